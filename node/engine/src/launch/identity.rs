//! Who a process runs as: names resolved against the container's own passwd and group files.

use crate::containers::{Kit, Record};
use crate::error::{Result, invalid, system};
use crate::layers::Layers;
use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use shoal_node_core_host::ocispec::Rights;
use shoal_node_core_host::{caps, users};
use shoal_node_drivers_runtime as runtime;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

/// Where the files are read.
pub enum Source {
    /// Not running: the layers of its root filesystem.
    Layers(Layers),
    /// Running: its root, as its process sees it.
    Root(OwnedFd),
}

impl Source {
    pub fn of_process(pid: i32) -> Result<Source> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = open(format!("/proc/{pid}/root"), flags, Mode::empty())
            .map_err(|e| system(format!("open the root of process {pid}: {e}")))?;
        Ok(Source::Root(fd))
    }

    fn text(&self, path: &str) -> Result<String> {
        let bytes = match self {
            Source::Layers(layers) => layers.read(path, users::FILE_BYTES_MAX),
            Source::Root(root) => read_in(root, path),
        };
        let bytes = bytes.map_err(|e| system(format!("read {path} of the container: {e}")))?;
        Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
    }
}

fn read_in(root: &OwnedFd, path: &str) -> std::io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = match openat2(root, path.trim_start_matches('/'), flags, Mode::empty(), resolve) {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(users::FILE_BYTES_MAX as u64).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Who the container's user is, as numbers; `None` where it names none.
pub fn owner(record: &Record, source: &Source) -> Result<Option<(u32, u32)>> {
    if record.config.user.is_empty() {
        return Ok(None);
    }
    let (passwd, group) = (source.text("/etc/passwd")?, source.text("/etc/group")?);
    let user = users::resolve(&record.config.user, &[], &passwd, &group);
    let user = user.map_err(|e| invalid(e.to_string()))?;
    Ok(Some((user.uid, user.gid)))
}

/// The AppArmor profile that confines this container; none where the kernel has none or it is unconfined.
pub fn apparmor(kit: &Kit, record: &Record) -> Option<String> {
    if !kit.host.apparmor {
        return None;
    }
    match super::seccomp::option(&record.host.security_opt, "apparmor") {
        Some("unconfined") => None,
        Some(profile) => Some(profile.to_owned()),
        None if record.host.privileged || !kit.host.apparmor_default => None,
        None => Some(runtime::apparmor::DEFAULT.to_owned()),
    }
}

/// The rights of a process of this container that runs as `user` (empty: root).
pub fn rights(kit: &Kit, record: &Record, source: &Source, user: &str, privileged: bool) -> Result<Rights> {
    let host = &record.host;
    let user = users::resolve(
        user,
        &host.group_add,
        &source.text("/etc/passwd")?,
        &source.text("/etc/group")?,
    )
    .map_err(|e| invalid(e.to_string()))?;
    let caps = caps::resolve(
        &host.cap_add,
        &host.cap_drop,
        privileged || host.privileged,
        kit.host.last_cap,
    )
    .map_err(invalid)?;
    let rlimits = host
        .resources
        .ulimits
        .iter()
        .map(|u| (u.name.to_ascii_lowercase(), u.soft, u.hard))
        .collect();
    let no_new_privileges = !privileged && super::seccomp::no_new_privileges(&host.security_opt);
    let apparmor = match privileged {
        true => None,
        false => apparmor(kit, record),
    };
    let oom_score_adj = i32::try_from(host.oom_score_adj).unwrap_or(0);
    Ok(Rights {
        user,
        caps,
        no_new_privileges,
        apparmor,
        rlimits,
        oom_score_adj,
    })
}
