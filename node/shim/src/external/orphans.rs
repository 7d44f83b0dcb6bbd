//! Children that the shim did not make: what an external runtime leaves behind, and orphans of a container that shares
//! the host's process ids. Those that nobody asks for are reaped here.

use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use crate::event_loop::EventLoop;

/// From now on orphans below this process are its children; the descriptor tells when one has ended.
pub fn adopt() -> std::io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    if unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: a signal set is plain data, filled right here.
    let mut set = unsafe { std::mem::zeroed::<libc::sigset_t>() };
    // SAFETY: the set is live; programs that are started from here get an empty mask of their own.
    let fd = unsafe {
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl EventLoop {
    /// Reap whoever is not waited for by name.
    pub fn reap_orphans(&mut self) {
        let Some(children) = &self.children else { return };
        // One notice may stand for many ends.
        let mut notices = [0u8; 1024];
        while matches!(rustix::io::read(children.as_fd(), &mut notices[..]), Ok(length) if length > 0) {}
        let mut last = 0;
        while let Some(pid) = ended() {
            let known = self.processes.iter().find(|(_, process)| process.pid == pid);
            match known.map(|(key, _)| *key) {
                Some(key) if last != pid => self.ended(key),
                _ => reap(pid),
            }
            last = pid;
        }
    }
}

/// A child that has ended and is not reaped yet.
fn ended() -> Option<u32> {
    // SAFETY: plain data, filled by the call.
    let mut info = unsafe { std::mem::zeroed::<libc::siginfo_t>() };
    let look = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` is live.
    if unsafe { libc::waitid(libc::P_ALL, 0, &mut info, look) } != 0 {
        return None;
    }
    // SAFETY: after a successful call the field is filled, with zero when nobody has ended.
    u32::try_from(unsafe { info.si_pid() })
        .ok()
        .filter(|pid| *pid > 0)
}

fn reap(pid: u32) {
    if let Ok(pid) = libc::pid_t::try_from(pid) {
        // SAFETY: nobody wants the status.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) };
    }
}
