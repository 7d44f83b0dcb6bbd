//! Device words: `rwm`, `c 1:3 rwm`, and the nodes every container has.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType};

/// `c`, `b` or `a` with optional numbers and access letters, as in `--device-cgroup-rule`.
pub fn parse_rule(text: &str) -> Result<LinuxDeviceCgroup, String> {
    let bad = || format!("invalid device cgroup rule format: '{text}'");
    let mut words = text.split_ascii_whitespace();
    let (Some(kind), Some(numbers), Some(access), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad());
    };
    let kind = match kind {
        "a" => LinuxDeviceType::A,
        "b" => LinuxDeviceType::B,
        "c" => LinuxDeviceType::C,
        _ => return Err(bad()),
    };
    let (major, minor) = numbers.split_once(':').ok_or_else(bad)?;
    let number = |text: &str| match text {
        "*" => Ok(None),
        text => text
            .parse::<i64>()
            .ok()
            .filter(|n| *n >= 0)
            .map(Some)
            .ok_or_else(bad),
    };
    if !access_is_valid(access) {
        return Err(bad());
    }
    Ok(rule(true, kind, number(major)?, number(minor)?, access))
}

/// Only `r`, `w` and `m`, each at most once.
pub fn access_is_valid(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b"rwm".contains(&b))
        && b"rwm"
            .iter()
            .all(|l| text.bytes().filter(|b| b == l).count() <= 1)
}

pub fn rule(
    allow: bool,
    kind: LinuxDeviceType,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> LinuxDeviceCgroup {
    let mut builder = LinuxDeviceCgroupBuilder::default()
        .allow(allow)
        .typ(kind)
        .access(access.to_string());
    if let Some(major) = major {
        builder = builder.major(major);
    }
    if let Some(minor) = minor {
        builder = builder.minor(minor);
    }
    builder.build().unwrap_or_default()
}

/// Docker's list for a container without `--privileged`: deny all, then the harmless character devices.
pub fn default_rules() -> Vec<LinuxDeviceCgroup> {
    let c = |major, minor, access| rule(true, LinuxDeviceType::C, major, minor, access);
    vec![
        rule(false, LinuxDeviceType::A, None, None, "rwm"),
        c(None, None, "m"),
        rule(true, LinuxDeviceType::B, None, None, "m"),
        c(Some(1), Some(3), "rwm"),
        c(Some(1), Some(5), "rwm"),
        c(Some(1), Some(7), "rwm"),
        c(Some(1), Some(8), "rwm"),
        c(Some(1), Some(9), "rwm"),
        c(Some(5), Some(0), "rwm"),
        c(Some(5), Some(1), "rwm"),
        c(Some(5), Some(2), "rwm"),
        c(Some(136), None, "rwm"),
        c(Some(10), Some(200), "rwm"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_parse() {
        let r = parse_rule("c 189:* rw").unwrap();
        assert_eq!(
            (r.major(), r.minor(), r.access().as_deref()),
            (Some(189), None, Some("rw"))
        );
        for bad in ["", "c", "x 1:1 r", "c 1 r", "c 1:1 rr", "c -1:1 r", "c 1:1 rwx"] {
            assert!(parse_rule(bad).is_err(), "{bad}");
        }
    }
}
