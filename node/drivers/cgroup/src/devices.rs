//! Which device nodes the processes of a group may make and open.
//!
//! Rules are read in order and the last that matches wins; what no rule matches is denied. Version 1 keeps a list in the
//! kernel, version 2 asks a BPF program of ours ([`crate::devices_bpf`]).

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType, LinuxResources};
use rustix::fs::OFlags;

use crate::devices_bpf;
use crate::dir::Dir;
use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Any,
    Block,
    Char,
}

/// One rule with Docker's and OCI's optional parts filled in. `None` is any number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub allow: bool,
    pub kind: Kind,
    pub major: Option<u32>,
    pub minor: Option<u32>,
    pub read: bool,
    pub write: bool,
    pub mknod: bool,
}

impl Rule {
    fn parse(rule: &LinuxDeviceCgroup) -> Result<Rule> {
        let kind = match rule.typ() {
            None | Some(LinuxDeviceType::A) => Kind::Any,
            Some(LinuxDeviceType::B) => Kind::Block,
            Some(LinuxDeviceType::C | LinuxDeviceType::U) => Kind::Char,
            Some(other) => {
                return Err(Error::Invalid(format!(
                    "device rule for {other:?}: only a, b and c can be ruled"
                )));
            }
        };
        let number = |value: Option<i64>| match value {
            None => Ok(None),
            Some(v) if v < 0 => Ok(None),
            Some(v) => u32::try_from(v)
                .map(Some)
                .map_err(|_| Error::Invalid(format!("device number {v} is too large"))),
        };
        let access = rule
            .access()
            .as_deref()
            .filter(|a| !a.is_empty())
            .unwrap_or("rwm");
        if let Some(c) = access.chars().find(|c| !"rwm".contains(*c)) {
            return Err(Error::Invalid(format!(
                "device access {access:?}: {c:?} is none of r, w, m"
            )));
        }
        let (major, minor) = (number(rule.major())?, number(rule.minor())?);
        if kind == Kind::Any && (major.is_some() || minor.is_some()) {
            return Err(Error::Invalid(
                "a device rule for all types cannot name a number".into(),
            ));
        }
        Ok(Rule {
            allow: rule.allow(),
            kind,
            major,
            minor,
            read: access.contains('r'),
            write: access.contains('w'),
            mknod: access.contains('m'),
        })
    }

    /// Whether it speaks of every device and every access.
    pub fn is_total(&self) -> bool {
        self.kind == Kind::Any && self.read && self.write && self.mknod
    }

    /// As the kernel's version 1 files read and write it.
    fn line(&self) -> String {
        let kind = match self.kind {
            Kind::Any => return "a *:* rwm".into(),
            Kind::Block => 'b',
            Kind::Char => 'c',
        };
        let number = |v: Option<u32>| v.map_or("*".to_owned(), |v| v.to_string());
        let mut line = format!("{kind} {}:{} ", number(self.major), number(self.minor));
        for (on, letter) in [(self.read, 'r'), (self.write, 'w'), (self.mknod, 'm')] {
            if on {
                line.push(letter);
            }
        }
        line
    }
}

fn parse(resources: &LinuxResources) -> Result<Option<Vec<Rule>>> {
    resources
        .devices()
        .as_ref()
        .filter(|rules| !rules.is_empty())
        .map(|rules| {
            Ok(rules
                .iter()
                .map(Rule::parse)
                .collect::<Result<Vec<_>>>()?
                .into_iter()
                .flat_map(split)
                .collect())
        })
        .transpose()
}

/// A rule for some accesses to all types becomes one for each type: version 1 reads `a` as all accesses.
fn split(rule: Rule) -> Vec<Rule> {
    if rule.kind != Kind::Any || rule.is_total() {
        return vec![rule];
    }
    [Kind::Block, Kind::Char]
        .map(|kind| Rule { kind, ..rule.clone() })
        .to_vec()
}

pub(crate) fn apply_v1(dir: &Dir, resources: &LinuxResources) -> Result<()> {
    let Some(rules) = parse(resources)? else {
        return Ok(());
    };
    let allow = dir.open_file("devices.allow", OFlags::WRONLY)?;
    let deny = dir.open_file("devices.deny", OFlags::WRONLY)?;
    let grant = |line: &str| dir.write_open(&allow, "devices.allow", line);
    let revoke = |line: &str| dir.write_open(&deny, "devices.deny", line);

    let begin = rules.iter().rposition(Rule::is_total).map_or(0, |at| at + 1);
    let closed = begin > 0 && !rules[begin - 1].allow;
    let rest = &rules[begin..];
    if closed && rest.iter().all(|r| r.allow) {
        // The usual list: all denied, then exceptions. Only the difference is written, so that a running container
        // never sees a moment in which everything is denied.
        let wanted: Vec<String> = rest.iter().map(Rule::line).collect();
        let listed = dir.read("devices.list")?;
        let mut present: Vec<&str> = listed.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        if present.iter().any(|line| line.starts_with("a ")) {
            revoke("a")?;
            present.clear();
        }
        for line in wanted.iter().filter(|line| !present.contains(&line.as_str())) {
            grant(line)?;
        }
        for line in present.iter().filter(|line| !wanted.iter().any(|w| w == *line)) {
            revoke(line)?;
        }
        return Ok(());
    }
    match begin {
        // No rule says where to start from: nothing is allowed.
        0 => revoke("a")?,
        _ if closed => revoke("a")?,
        _ => grant("a")?,
    }
    for rule in rest {
        if rule.allow {
            grant(&rule.line())?
        } else {
            revoke(&rule.line())?
        }
    }
    Ok(())
}

pub(crate) fn apply_v2(dir: &Dir, resources: &LinuxResources) -> Result<()> {
    let Some(rules) = parse(resources)? else {
        return Ok(());
    };
    let program = devices_bpf::compile(&rules);
    devices_bpf::attach(dir, program.as_deref())
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::LinuxDeviceCgroupBuilder;

    use super::*;

    #[test]
    fn fills_in_what_a_rule_leaves_out() {
        let rule = LinuxDeviceCgroupBuilder::default()
            .allow(false)
            .access("rwm")
            .build()
            .unwrap();
        assert!(Rule::parse(&rule).unwrap().is_total());
        let rule = LinuxDeviceCgroupBuilder::default()
            .allow(true)
            .typ(LinuxDeviceType::C)
            .major(136)
            .minor(-1)
            .access("rw")
            .build()
            .unwrap();
        assert_eq!(Rule::parse(&rule).unwrap().line(), "c 136:* rw");
        let rule = LinuxDeviceCgroupBuilder::default()
            .allow(true)
            .access("rx")
            .build()
            .unwrap();
        assert!(Rule::parse(&rule).is_err());
    }
}
