//! Kernel settings of the container's own namespaces.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::error::{Error, Result};

/// Write each setting through `proc`, the procfs that was just made, by descriptor and without leaving it: no mount and
/// no link of the image can lead such a write astray (CVE-2025-52881).
pub fn write(proc: BorrowedFd<'_>, settings: &HashMap<String, String>) -> Result<()> {
    for (name, value) in settings {
        let path = path(name);
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(
            proc,
            &path,
            OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )
        .and_then(|file| rustix::io::write(file.as_fd(), value.as_bytes()))
        .map_err(|e| {
            Error::os(
                format_args!("open sysctl {name} file: write {value:?} to {}", path.display()),
                e,
            )
        })?;
    }
    Ok(())
}

/// `net.ipv4.ip_forward` → `sys/net/ipv4/ip_forward`. A name with a slash first is taken as a path already.
fn path(name: &str) -> PathBuf {
    let path = match name.find(['.', '/']).map(|at| &name[at..=at]) {
        Some("/") => name.to_owned(),
        // Dots separate, and a slash stands for a dot (interface names such as eth0.1).
        _ => name
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                c => c,
            })
            .collect(),
    };
    PathBuf::from("sys").join(path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths() {
        assert_eq!(
            path("net.ipv4.ip_forward"),
            PathBuf::from("sys/net/ipv4/ip_forward")
        );
        assert_eq!(
            path("net/ipv4/conf/eth0.1/forwarding"),
            PathBuf::from("sys/net/ipv4/conf/eth0.1/forwarding")
        );
        assert_eq!(
            path("net.ipv4.conf.eth0/1.forwarding"),
            PathBuf::from("sys/net/ipv4/conf/eth0.1/forwarding")
        );
        assert_eq!(path("/etc/passwd"), PathBuf::from("sys/etc/passwd"));
    }
}
