//! Mounting what a volume's options describe over its directory, and taking it off again.

use std::ffi::CString;
use std::io::{self, ErrorKind};
use std::net::ToSocketAddrs;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_change, mount_remount, unmount};

use crate::options::Mount;

/// Whether something is mounted right there.
pub(crate) fn is_mounted(path: &Path) -> io::Result<bool> {
    let meta = statx(
        CWD,
        path,
        AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC,
        StatxFlags::TYPE,
    )?;
    Ok(meta.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Mounts it unless something is mounted there already. The text says what was tried, as Docker's does.
pub(crate) fn attach(wanted: &Mount, path: &Path) -> Result<(), String> {
    match is_mounted(path) {
        Ok(true) => return Ok(()),
        Ok(false) => {}
        Err(error) => return Err(format!("look at {}: {error}", path.display())),
    }
    let data = resolved(wanted)?;
    let failed = |error: io::Error| {
        let mut text = format!("mount {}:{}", wanted.device, path.display());
        if !wanted.flags.is_empty() {
            text += &format!(", flags: {:#x}", wanted.flags.bits());
        }
        if !data.is_empty() {
            text += &format!(", data: {data}");
        }
        format!("failed to mount local volume: {text}: {}", words(&error))
    };
    let options = CString::new(data.as_str()).map_err(|e| failed(e.into()))?;
    let options = (!data.is_empty()).then_some(options.as_c_str());
    mount(&wanted.device, path, &wanted.kind, wanted.flags, options).map_err(|e| failed(e.into()))?;
    let more = || -> rustix::io::Result<()> {
        // The kernel looks at a bind's other flags only when it is remounted.
        let others = wanted.flags - (MountFlags::BIND | MountFlags::REC);
        if wanted.flags.contains(MountFlags::BIND) && !others.is_empty() {
            mount_remount(path, MountFlags::BIND | others, c"")?;
        }
        if !wanted.propagation.is_empty() {
            mount_change(path, wanted.propagation)?;
        }
        Ok(())
    };
    more().map_err(|error| {
        let _ = detach(path);
        failed(error.into())
    })
}

/// Whoever still uses it keeps it; it has no place any more.
pub(crate) fn detach(path: &Path) -> io::Result<()> {
    match unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        // Nothing is mounted there.
        Ok(()) | Err(rustix::io::Errno::INVAL) => Ok(()),
        Err(error) if io::Error::from(error).kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The kernel's network file systems take addresses, not names.
fn resolved(wanted: &Mount) -> Result<String, String> {
    if !matches!(wanted.kind.as_str(), "nfs" | "nfs4" | "cifs") {
        return Ok(wanted.data.clone());
    }
    let mut out = Vec::new();
    for option in wanted.data.split(',').filter(|option| !option.is_empty()) {
        match option.strip_prefix("addr=") {
            Some(host) if host.parse::<std::net::IpAddr>().is_err() => {
                let wrong = |why: String| format!("error resolving passed in network volume address: {why}");
                let found = (host, 0).to_socket_addrs().map_err(|e| wrong(e.to_string()))?;
                // Of a host that has both, IPv4, as Docker.
                let address = found
                    .min_by_key(std::net::SocketAddr::is_ipv6)
                    .ok_or_else(|| wrong(format!("{host} has no address")))?;
                out.push(format!("addr={}", address.ip()));
            }
            _ => out.push(option.to_owned()),
        }
    }
    Ok(out.join(","))
}

/// Go's words for the errors that are met most.
fn words(error: &io::Error) -> String {
    match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::NOENT) => "no such file or directory".into(),
        Some(rustix::io::Errno::NODEV) => "no such device".into(),
        Some(rustix::io::Errno::INVAL) => "invalid argument".into(),
        Some(rustix::io::Errno::ACCESS) => "permission denied".into(),
        Some(rustix::io::Errno::PERM) => "operation not permitted".into(),
        Some(rustix::io::Errno::NOTDIR) => "not a directory".into(),
        Some(rustix::io::Errno::NOTBLK) => "block device required".into(),
        Some(rustix::io::Errno::CONNREFUSED) => "connection refused".into(),
        Some(rustix::io::Errno::TIMEDOUT) => "connection timed out".into(),
        _ => error.to_string(),
    }
}
