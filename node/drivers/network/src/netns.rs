//! A container's network namespace, held by descriptor.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use parking_lot::Mutex;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::error::{Error, Result};
use crate::netlink::{Family, Socket};

/// The stack of a thread that works inside a namespace.
const STACK_BYTES: usize = 256 * 1024;

/// The namespace lives as long as this, or a process in it, does.
#[derive(Debug)]
pub struct Netns {
    fd: OwnedFd,
    /// Speaks inside the namespace, from whichever thread.
    socket: Mutex<Socket>,
}

impl Netns {
    /// A new, empty namespace (its loopback is down, and interfaces that come later have no IPv6).
    pub fn create() -> Result<Netns> {
        away(make_here)
    }

    pub fn of_pid(pid: i32) -> Result<Netns> {
        Self::of_path(Path::new(&format!("/proc/{pid}/ns/net")))
    }

    pub fn of_path(path: &Path) -> Result<Netns> {
        let file = File::open(path)
            .map_err(|e| Error::io(format!("open network namespace {}", path.display()), e))?;
        Self::of_fd(file.into())
    }

    pub fn of_fd(fd: OwnedFd) -> Result<Netns> {
        let socket = away(|| {
            enter(fd.as_fd())?;
            Socket::open(Family::Route)
        })?;
        Ok(Netns {
            fd,
            socket: Mutex::new(socket),
        })
    }

    /// Another descriptor of the same namespace, to give away.
    pub fn try_clone_fd(&self) -> Result<OwnedFd> {
        self.fd
            .try_clone()
            .map_err(|e| Error::io("duplicate network namespace", e))
    }

    /// Runs `work` on a new thread inside the namespace and waits for it: for what has no descriptor to speak through.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        in_thread(|| {
            enter(self.fd.as_fd())?;
            Ok(work())
        })
    }

    /// Does something short inside the namespace, on the calling thread.
    pub(crate) fn visit<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        away(|| {
            enter(self.fd.as_fd())?;
            work()
        })
    }

    pub(crate) fn socket(&self) -> &Mutex<Socket> {
        &self.socket
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Moves the calling thread into a new namespace and holds it.
fn make_here() -> Result<Netns> {
    // SAFETY: only the network namespace of the calling thread changes, and `away` brings it back; descriptors of other
    // namespaces stay valid.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
        .map_err(|e| Error::io("make network namespace", e))?;
    // Interfaces to come get no IPv6 address by themselves, as Docker has it where a network has no IPv6;
    // loopback keeps its own. A kernel without IPv6 has no such file.
    let _ = std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    let file =
        File::open("/proc/thread-self/ns/net").map_err(|e| Error::io("open new network namespace", e))?;
    Ok(Netns {
        fd: file.into(),
        socket: Mutex::new(Socket::open(Family::Route)?),
    })
}

fn enter(fd: BorrowedFd<'_>) -> Result<()> {
    move_into_link_name_space(fd, Some(LinkNameSpaceType::Network))
        .map_err(|e| Error::io("enter network namespace", e))
}

/// Does something that moves the calling thread into another namespace, and brings it back. There is nothing between
/// that could see the thread elsewhere; another thread for it would cost two waits for a processor.
pub(crate) fn away<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let home =
        File::open("/proc/thread-self/ns/net").map_err(|e| Error::io("open own network namespace", e))?;
    let result = work();
    // Only a lack of kernel memory can refuse this. The thread must not go on elsewhere, so it waits until it can return.
    while enter(home.as_fd()).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    result
}

fn in_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("netns".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work)
            .map_err(|e| Error::io("start a thread", e))?;
        thread.join().unwrap_or_else(|_| {
            Err(Error::Invalid(
                "a thread inside a network namespace panicked".into(),
            ))
        })
    })
}
