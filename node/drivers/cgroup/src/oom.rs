//! Notice and count of processes that the kernel killed because a group's memory ran out.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::OFlags;
use rustix::fs::inotify;

use crate::dir::{Dir, keyed};
use crate::error::{Error, Result};

pub(crate) fn kills_v1(dir: &Dir) -> Result<u64> {
    Ok(keyed(&dir.read("memory.oom_control")?)
        .find(|(k, _)| *k == "oom_kill")
        .map_or(0, |(_, v)| v))
}

pub(crate) fn kills_v2(dir: &Dir) -> Result<u64> {
    let text = dir.read_if_there("memory.events")?.unwrap_or_default();
    Ok(keyed(&text).find(|(k, _)| *k == "oom_kill").map_or(0, |(_, v)| v))
}

/// Becomes readable when something happened; then [`OomWatch::drain`] it and ask the group for its count. It also wakes
/// for smaller reasons (and, on version 1, when the group is removed), so the count decides.
#[derive(Debug)]
pub struct OomWatch {
    fd: OwnedFd,
}

impl OomWatch {
    pub(crate) fn v1(dir: &Dir) -> Result<OomWatch> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|e| Error::io("make eventfd for", dir.path(), e))?;
        let control = dir.open_file("memory.oom_control", OFlags::RDONLY)?;
        use std::os::fd::AsRawFd;
        // The kernel keeps the event for as long as the group lives; the control file may be closed after.
        dir.write(
            "cgroup.event_control",
            &format!("{} {}", event.as_raw_fd(), control.as_raw_fd()),
        )?;
        Ok(OomWatch { fd: event })
    }

    pub(crate) fn v2(dir: &Dir) -> Result<OomWatch> {
        let path = dir.path().join("memory.events");
        let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)
            .map_err(|e| Error::io("make inotify for", &path, e))?;
        inotify::add_watch(&fd, &path, inotify::WatchFlags::MODIFY)
            .map_err(|e| Error::io("watch", &path, e))?;
        Ok(OomWatch { fd })
    }

    /// Takes what is waiting, so that the descriptor is quiet until the next event.
    pub fn drain(&self) {
        let mut buffer = [0u8; 1024];
        while matches!(rustix::io::read(&self.fd, &mut buffer), Ok(count) if count > 8) {}
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
