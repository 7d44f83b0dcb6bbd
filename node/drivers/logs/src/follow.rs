//! Waiting for more: inotify on the log's directory, and a handle that ends the wait.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

/// Ends a following [`Reader`](crate::Reader) from another thread: it still gives what the files hold, then
/// ends. Without it a follower waits for as long as the log's directory is there.
#[derive(Debug, Clone)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    bell: Arc<OwnedFd>,
}

impl Stop {
    pub(crate) fn new() -> io::Result<Stop> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Stop {
            asked: Arc::default(),
            bell: Arc::new(bell),
        })
    }

    pub fn stop(&self) {
        self.asked.store(true, Ordering::Release);
        // Only fails when the counter is full, and then the bell rings already.
        let _ = rustix::io::write(&*self.bell, &1u64.to_ne_bytes());
    }

    pub(crate) fn asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }
}

/// Why a wait ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Something happened in the directory; look again.
    Changed,
    /// Asked to stop, the directory is gone, or the time is up: what is in the files is the rest.
    Over,
}

#[derive(Debug)]
pub(crate) struct Watch {
    inotify: OwnedFd,
}

impl Watch {
    /// Watches the directory rather than the file: rotation changes which file that is.
    pub(crate) fn new(directory: &Path) -> io::Result<Watch> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let flags = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&inotify, directory, flags)?;
        Ok(Watch { inotify })
    }

    /// Blocks until something changed or the wait is over. `longest` bounds it.
    pub(crate) fn wait(&self, stop: &Stop, longest: Option<Duration>) -> io::Result<Woken> {
        let timeout = longest.map(|d| Timespec {
            tv_sec: d.as_secs() as i64,
            tv_nsec: d.subsec_nanos().into(),
        });
        let mut fds = [
            PollFd::new(&self.inotify, PollFlags::IN),
            PollFd::new(&*stop.bell, PollFlags::IN),
        ];
        let ready = loop {
            match poll(&mut fds, timeout.as_ref()) {
                Err(rustix::io::Errno::INTR) => continue,
                other => break other?,
            }
        };
        if ready == 0 || stop.asked() {
            return Ok(Woken::Over);
        }
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            match events.next() {
                Ok(event) if event.events().contains(ReadFlags::IGNORED) => return Ok(Woken::Over),
                Ok(_) => continue,
                Err(rustix::io::Errno::AGAIN) => return Ok(Woken::Changed),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
        }
    }
}
