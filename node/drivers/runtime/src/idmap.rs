//! Ids of a user namespace on the host's disks: a mount through which the container's root is root on the disk too, so
//! that layers and volumes are the same for every container, whatever its mapping.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Spec};
use rustix::fs::{FileType, Mode, OFlags, Uid};
use rustix::io::Errno;

use crate::error::{Error, Result, doing, on};
use crate::process::Stdio;
use crate::sys;

/// A user namespace that exists for its mapping.
pub struct Mapping(OwnedFd);

impl Mapping {
    /// That of the container's user namespace, if it is to get one or to join one.
    ///
    /// # Safety
    /// The calling process must have one thread only.
    pub unsafe fn of(spec: &Spec) -> Result<Option<Mapping>> {
        let Some(linux) = spec.linux() else {
            return Ok(None);
        };
        let user = |n: &oci_spec::runtime::LinuxNamespace| n.typ() == LinuxNamespaceType::User;
        if !linux.namespaces().iter().flatten().any(user) {
            return Ok(None);
        }
        let lines = |m: &Option<Vec<LinuxIdMapping>>| with_root(m.as_deref().unwrap_or_default());
        let (uids, gids) = (lines(linux.uid_mappings()), lines(linux.gid_mappings()));
        // SAFETY: the caller's promise.
        unsafe { Self::new(&uids, &gids) }.map(Some)
    }

    /// # Safety
    /// The calling process must have one thread only.
    unsafe fn new(uids: &str, gids: &str) -> Result<Mapping> {
        // SAFETY: the caller's promise.
        match unsafe { sys::clone3(libc::CLONE_NEWUSER as u64, None) }
            .map_err(doing("make a user namespace"))?
        {
            sys::Cloned::Child => sys::wait_for_death(),
            sys::Cloned::Parent { pid, pidfd } => {
                let made = (|| {
                    for (name, text) in [("gid_map", gids), ("uid_map", uids)] {
                        let path = format!("/proc/{pid}/{name}");
                        std::fs::write(&path, text).map_err(|e| Error::new(format!("write {path}: {e}")))?;
                    }
                    let path = format!("/proc/{pid}/ns/user");
                    rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                        .map_err(on("open", Path::new(&path)))
                })();
                let _ = rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL);
                let id = rustix::process::WaitId::PidFd(pidfd.as_fd());
                let _ = rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED);
                made.map(Mapping)
            }
        }
    }

    /// For a detached mount, before anything is mounted below it.
    pub fn apply(&self, tree: BorrowedFd<'_>) -> Result<(), Errno> {
        sys::idmap(tree, self.0.as_fd())
    }
}

/// The kernel's text of a mapping, with a place on the disk for what the host's root makes (an overlay's own files).
fn with_root(mappings: &[LinuxIdMapping]) -> String {
    let mut text: String = mappings
        .iter()
        .map(|m| format!("{} {} {}\n", m.container_id(), m.host_id(), m.size()))
        .collect();
    let end = mappings
        .iter()
        .map(|m| u64::from(m.container_id()) + u64::from(m.size()));
    if let (true, Some(end)) = (mappings.iter().all(|m| m.host_id() > 0), end.max()) {
        text.push_str(&format!("{end} 0 1\n"));
    }
    text
}

/// What `id` of the container is on the host, by the kernel's text of its mapping.
pub fn host_id(map: &str, id: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut numbers = line
            .split_ascii_whitespace()
            .filter_map(|n| n.parse::<u32>().ok());
        let (inside, outside, size) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let offset = id.checked_sub(inside).filter(|offset| *offset < size)?;
        outside.checked_add(offset)
    })
}

/// The process must be able to open its own standard output again, and no one inside may give a pipe of the host away.
pub fn own(stdio: &Stdio, map: &str, uid: u32) {
    let (Stdio::Files(files), Some(uid)) = (stdio, host_id(map, uid)) else {
        return;
    };
    for fd in files {
        let fifo = rustix::fs::fstat(fd).is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::Fifo);
        if fifo {
            let _ = rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::LinuxIdMappingBuilder;

    #[test]
    fn ids_are_found_and_root_has_a_place() {
        let map = "0 100000 10\n10 5000 1\n";
        assert_eq!(host_id(map, 0), Some(100_000));
        assert_eq!(host_id(map, 9), Some(100_009));
        assert_eq!(host_id(map, 10), Some(5000));
        assert_eq!(host_id(map, 11), None);
        let one = |inside: u32, host: u32| {
            let builder = LinuxIdMappingBuilder::default()
                .container_id(inside)
                .host_id(host);
            builder.size(100u32).build().unwrap()
        };
        assert_eq!(with_root(&[one(0, 1000)]), "0 1000 100\n100 0 1\n");
        assert_eq!(
            with_root(&[one(0, 0)]),
            "0 0 100\n",
            "the host's root has one already"
        );
    }
}
