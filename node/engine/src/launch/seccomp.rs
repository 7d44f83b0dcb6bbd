//! Which seccomp filter a container gets, compiled once and kept by content in the exec root.

use crate::config::SeccompDefault;
use crate::containers::Record;
use crate::error::{Result, invalid, system};
use oci_spec::runtime::{Capability, LinuxSeccomp};
use parking_lot::Mutex;
use shoal_node_core_host::bridgeopts::go_bool;
use shoal_node_core_host::seccomp::{self, Host};
use std::collections::HashMap;
use std::path::PathBuf;

/// More different filters than this start the memory afresh; the files stay.
const KNOWN_MAX: usize = 256;

pub struct Seccomp {
    dir: PathBuf,
    kernel: (u32, u32),
    default: SeccompDefault,
    known: Mutex<HashMap<String, PathBuf>>,
}

impl Seccomp {
    pub fn new(dir: PathBuf, kernel: (u32, u32), default: SeccompDefault) -> Self {
        Seccomp {
            dir,
            kernel,
            default,
            known: Mutex::default(),
        }
    }

    /// The filter as another runtime compiles it itself.
    pub fn filter(&self, record: &Record, caps: &[Capability]) -> Result<Option<LinuxSeccomp>> {
        let Some(profile) = self.profile(record) else {
            return Ok(None);
        };
        let filter = seccomp::resolve(profile, self.host(caps));
        Ok(Some(filter.map_err(|e| invalid(e.to_string()))?))
    }

    /// The text of the container's profile; none when it is unconfined.
    fn profile<'a>(&'a self, record: &'a Record) -> Option<&'a str> {
        if record.host.privileged {
            return None;
        }
        match (option(&record.host.security_opt, "seccomp"), &self.default) {
            (Some("unconfined"), _) | (None, SeccompDefault::Unconfined) => None,
            (Some("builtin"), _) | (None, SeccompDefault::Builtin) => Some(seccomp::DEFAULT),
            (Some(profile), _) => Some(profile),
            (None, SeccompDefault::Profile { text, .. }) => Some(text),
        }
    }

    fn host<'a>(&self, caps: &'a [Capability]) -> Host<'a> {
        Host {
            caps,
            kernel: self.kernel,
        }
    }

    /// The compiled filter, or none when the container is unconfined.
    pub fn program(&self, record: &Record, caps: &[Capability]) -> Result<Option<PathBuf>> {
        let Some(profile) = self.profile(record) else {
            return Ok(None);
        };
        let host = self.host(caps);
        let key = seccomp::key(profile, host);
        if let Some(path) = self.known.lock().get(&key) {
            return Ok(Some(path.clone()));
        }
        let filter = seccomp::resolve(profile, host).map_err(|e| invalid(e.to_string()))?;
        let path = shoal_node_drivers_runtime::seccomp::cached(&self.dir, &filter)
            .map_err(|e| system(format!("compile the seccomp filter: {e}")))?;
        let mut known = self.known.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(key, path.clone());
        Ok(Some(path))
    }
}

/// `key=value` or `key:value` among the security options; the last one counts.
pub fn option<'a>(options: &'a [String], key: &str) -> Option<&'a str> {
    options.iter().rev().find_map(|o| {
        let rest = o.strip_prefix(key)?;
        rest.strip_prefix('=').or_else(|| rest.strip_prefix(':'))
    })
}

pub fn no_new_privileges(options: &[String]) -> bool {
    options.iter().rev().find_map(|o| match o.as_str() {
        "no-new-privileges" => Some(true),
        o => go_bool(o.strip_prefix("no-new-privileges")?.get(1..)?),
    }) == Some(true)
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_new_privileges_in_every_spelling() {
        for (option, told) in [
            ("no-new-privileges", true),
            ("no-new-privileges:true", true),
            ("no-new-privileges=1", true),
            ("no-new-privileges:T", true),
            ("no-new-privileges=false", false),
            ("no-new-privileges:0", false),
            ("seccomp=unconfined", false),
        ] {
            assert_eq!(super::no_new_privileges(&[option.into()]), told, "{option}");
        }
    }
}
