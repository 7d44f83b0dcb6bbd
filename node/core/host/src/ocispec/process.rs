//! The process part: arguments, environment, identity, capabilities, limits.

use super::{Error, Rights};
use oci_spec::runtime::{
    Capabilities, LinuxCapabilitiesBuilder, PosixRlimit, PosixRlimitBuilder, PosixRlimitType,
};
use oci_spec::runtime::{Process as OciProcess, ProcessBuilder, UserBuilder};

#[derive(Clone, Debug, Default)]
pub struct Process {
    pub args: Vec<String>,
    pub env: Vec<String>,
    /// Absolute.
    pub cwd: String,
    pub tty: bool,
    pub rights: Rights,
}

/// For a container's first process and for every exec alike, so that neither has a right that the other lacks.
pub fn process(p: &Process) -> Result<OciProcess, Error> {
    let rights = &p.rights;
    let user = &rights.user;
    let all: Capabilities = rights.caps.iter().copied().collect();
    // Another user than root has its capabilities only in the bounding set. Nothing is inheritable or ambient.
    let held = if user.uid == 0 {
        all.clone()
    } else {
        Capabilities::new()
    };
    let caps = LinuxCapabilitiesBuilder::default()
        .bounding(all)
        .effective(held.clone())
        .permitted(held)
        .inheritable(Capabilities::new())
        .ambient(Capabilities::new())
        .build()?;
    let rlimits = rights
        .rlimits
        .iter()
        .map(|(name, soft, hard)| rlimit(name, *soft, *hard))
        .collect::<Result<Vec<_>, _>>()?;
    let mut process = ProcessBuilder::default()
        .terminal(p.tty)
        .user(
            UserBuilder::default()
                .uid(user.uid)
                .gid(user.gid)
                .additional_gids(user.groups.clone())
                .build()?,
        )
        .args(p.args.clone())
        .env(p.env.clone())
        .cwd(if p.cwd.is_empty() { "/" } else { &p.cwd })
        .capabilities(caps)
        .rlimits(rlimits)
        .no_new_privileges(rights.no_new_privileges)
        .oom_score_adj(rights.oom_score_adj)
        .build()?;
    process.set_apparmor_profile(rights.apparmor.clone());
    Ok(process)
}

fn rlimit(name: &str, soft: i64, hard: i64) -> Result<PosixRlimit, Error> {
    let kind = match name {
        "core" => PosixRlimitType::RlimitCore,
        "cpu" => PosixRlimitType::RlimitCpu,
        "data" => PosixRlimitType::RlimitData,
        "fsize" => PosixRlimitType::RlimitFsize,
        "locks" => PosixRlimitType::RlimitLocks,
        "memlock" => PosixRlimitType::RlimitMemlock,
        "msgqueue" => PosixRlimitType::RlimitMsgqueue,
        "nice" => PosixRlimitType::RlimitNice,
        "nofile" => PosixRlimitType::RlimitNofile,
        "nproc" => PosixRlimitType::RlimitNproc,
        "rss" => PosixRlimitType::RlimitRss,
        "rtprio" => PosixRlimitType::RlimitRtprio,
        "rttime" => PosixRlimitType::RlimitRttime,
        "sigpending" => PosixRlimitType::RlimitSigpending,
        "stack" => PosixRlimitType::RlimitStack,
        other => return Err(Error::Rlimit(other.into())),
    };
    let value = |v: i64| u64::try_from(v).unwrap_or(u64::MAX);
    Ok(PosixRlimitBuilder::default()
        .typ(kind)
        .soft(value(soft))
        .hard(value(hard))
        .build()?)
}
