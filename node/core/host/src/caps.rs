//! Capabilities: Docker's default set, and what `--cap-add`, `--cap-drop` and `--privileged` make of it.

use oci_spec::runtime::Capability;

/// Name without `CAP_`, in the kernel's numbering.
const ALL: [(&str, Capability); 41] = [
    ("CHOWN", Capability::Chown),
    ("DAC_OVERRIDE", Capability::DacOverride),
    ("DAC_READ_SEARCH", Capability::DacReadSearch),
    ("FOWNER", Capability::Fowner),
    ("FSETID", Capability::Fsetid),
    ("KILL", Capability::Kill),
    ("SETGID", Capability::Setgid),
    ("SETUID", Capability::Setuid),
    ("SETPCAP", Capability::Setpcap),
    ("LINUX_IMMUTABLE", Capability::LinuxImmutable),
    ("NET_BIND_SERVICE", Capability::NetBindService),
    ("NET_BROADCAST", Capability::NetBroadcast),
    ("NET_ADMIN", Capability::NetAdmin),
    ("NET_RAW", Capability::NetRaw),
    ("IPC_LOCK", Capability::IpcLock),
    ("IPC_OWNER", Capability::IpcOwner),
    ("SYS_MODULE", Capability::SysModule),
    ("SYS_RAWIO", Capability::SysRawio),
    ("SYS_CHROOT", Capability::SysChroot),
    ("SYS_PTRACE", Capability::SysPtrace),
    ("SYS_PACCT", Capability::SysPacct),
    ("SYS_ADMIN", Capability::SysAdmin),
    ("SYS_BOOT", Capability::SysBoot),
    ("SYS_NICE", Capability::SysNice),
    ("SYS_RESOURCE", Capability::SysResource),
    ("SYS_TIME", Capability::SysTime),
    ("SYS_TTY_CONFIG", Capability::SysTtyConfig),
    ("MKNOD", Capability::Mknod),
    ("LEASE", Capability::Lease),
    ("AUDIT_WRITE", Capability::AuditWrite),
    ("AUDIT_CONTROL", Capability::AuditControl),
    ("SETFCAP", Capability::Setfcap),
    ("MAC_OVERRIDE", Capability::MacOverride),
    ("MAC_ADMIN", Capability::MacAdmin),
    ("SYSLOG", Capability::Syslog),
    ("WAKE_ALARM", Capability::WakeAlarm),
    ("BLOCK_SUSPEND", Capability::BlockSuspend),
    ("AUDIT_READ", Capability::AuditRead),
    ("PERFMON", Capability::Perfmon),
    ("BPF", Capability::Bpf),
    ("CHECKPOINT_RESTORE", Capability::CheckpointRestore),
];

/// Docker's fourteen.
pub const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// The capability a user means (`net_admin`, `CAP_NET_ADMIN`).
pub fn parse(name: &str) -> Option<Capability> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    ALL.iter().find(|(n, _)| *n == bare).map(|(_, c)| *c)
}

/// `CAP_…`, as Docker and seccomp profiles write it.
pub fn name(cap: Capability) -> String {
    ALL.iter()
        .find(|(_, c)| *c == cap)
        .map(|(n, _)| format!("CAP_{n}"))
        .unwrap_or_default()
}

/// As stored by Docker: upper case with the prefix, `ALL` kept, sorted. Refuses what no kernel knows.
pub fn normalize(names: &[String], field: &str) -> Result<Vec<String>, String> {
    let mut out = Vec::with_capacity(names.len());
    for n in names {
        if n.eq_ignore_ascii_case("all") {
            out.push("ALL".to_string());
        } else if let Some(cap) = parse(n) {
            out.push(name(cap));
        } else {
            let upper = n.to_ascii_uppercase();
            let shown = if upper.starts_with("CAP_") {
                upper
            } else {
                format!("CAP_{upper}")
            };
            return Err(format!("invalid {field}: unknown capability: {shown:?}"));
        }
    }
    out.sort();
    out.dedup();
    Ok(out)
}

/// The set of a container; `last_cap` is the highest number that the running kernel knows.
pub fn resolve(
    add: &[String],
    drop: &[String],
    privileged: bool,
    last_cap: usize,
) -> Result<Vec<Capability>, String> {
    let known = || ALL.iter().take(last_cap + 1);
    if privileged {
        return Ok(known().map(|(_, c)| *c).collect());
    }
    let add = normalize(add, "CapAdd")?;
    let drop = normalize(drop, "CapDrop")?;
    let all = |list: &[String]| list.iter().any(|n| n == "ALL");
    let listed = |list: &[String], n: &str| list.iter().any(|l| l.strip_prefix("CAP_") == Some(n));
    let keep = |n: &str| match () {
        () if all(&add) => !listed(&drop, n),
        () if all(&drop) => listed(&add, n),
        () => listed(&add, n) || (DEFAULT.contains(&n) && !listed(&drop, n)),
    };
    Ok(known().filter(|(n, _)| keep(n)).map(|(_, c)| *c).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| n.to_string()).collect()
    }

    #[test]
    fn the_default_is_fourteen() {
        assert_eq!(resolve(&[], &[], false, 40).unwrap().len(), 14);
        assert_eq!(resolve(&[], &[], true, 40).unwrap().len(), 41);
        assert_eq!(
            resolve(&[], &[], true, 37).unwrap().len(),
            38,
            "an older kernel knows fewer"
        );
    }

    #[test]
    fn adding_and_dropping() {
        let caps = resolve(&list(&["net_admin"]), &list(&["CAP_CHOWN"]), false, 40).unwrap();
        assert!(caps.contains(&Capability::NetAdmin) && !caps.contains(&Capability::Chown));
        assert_eq!(
            resolve(&list(&["KILL"]), &list(&["ALL"]), false, 40).unwrap(),
            [Capability::Kill]
        );
        let caps = resolve(&list(&["ALL"]), &list(&["SYS_ADMIN"]), false, 40).unwrap();
        assert_eq!(caps.len(), 40);
    }

    #[test]
    fn unknown_names_are_refused_in_dockers_words() {
        let error = resolve(&list(&["foo"]), &[], false, 40).unwrap_err();
        assert_eq!(error, "invalid CapAdd: unknown capability: \"CAP_FOO\"");
    }
}
