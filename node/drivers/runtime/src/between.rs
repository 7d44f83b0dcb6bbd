//! A container in another's user namespace. Nobody returns from a user namespace, and what is made new belongs to the one
//! that its maker is in: so a process in between enters it, and the container's first process is its sibling.
//!
//! ```text
//! shim ── clone ──▶ between: enters network, pid, user ── clone (sibling) ──▶ the first process, the shim's child
//!      ◀─── pid ───┘ ends
//! ```

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

use crate::error::{Error, Result, doing};
use crate::namespaces::Plan;
use crate::sys::{self, Cloned};

/// Clones into `plan.user`; the rest as `container::spawn` has it.
///
/// # Safety
/// The calling process must have one thread only.
pub unsafe fn clone(plan: &Plan, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(doing("make a pipe"))?;
    // SAFETY: the caller's promise.
    let between = unsafe { sys::clone3(0, None) }.map_err(doing("clone a process"))?;
    let Cloned::Parent { pidfd, .. } = between else {
        drop(read);
        // SAFETY: the caller's promise; this is a copy of its one thread.
        match unsafe { enter(plan, cgroup) } {
            Ok(Cloned::Child) => return Ok(Cloned::Child),
            Ok(Cloned::Parent { pid, .. }) => {
                let _ = rustix::io::write(&write, &pid.to_ne_bytes());
            }
            Err(error) => {
                let _ = rustix::io::write(&write, &0u32.to_ne_bytes());
                let _ = rustix::io::write(&write, error.message.as_bytes());
            }
        }
        sys::exit(0);
    };
    drop(write);
    let said = rest(&read);
    let _ = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
    let said = said?;
    let Some((head, text)) = said.split_first_chunk() else {
        return Err(Error::new("a process on the way to another user namespace died"));
    };
    let pid = u32::from_ne_bytes(*head);
    let Some(known) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Err(Error::new(String::from_utf8_lossy(text).into_owned()));
    };
    // Our own child, and not waited for yet: the number is its for sure.
    let pidfd = rustix::process::pidfd_open(known, PidfdFlags::empty())
        .map_err(doing("open the container's process"))?;
    Ok(Cloned::Parent { pid, pidfd })
}

/// # Safety
/// As [`clone`].
unsafe fn enter(plan: &Plan, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned> {
    // As long as this is the host's root, whoever they belong to.
    plan.enter_for_clone()?;
    if let Some(user) = &plan.user {
        sys::setns(user.as_fd(), libc::CLONE_NEWUSER).map_err(doing("enter the user namespace"))?;
    }
    // SAFETY: the caller's promise.
    unsafe { sys::clone3_sibling(plan.new, cgroup) }.map_err(doing("clone the container's process"))
}

fn rest(pipe: &OwnedFd) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut piece = [0; 512];
    loop {
        match rustix::io::read(pipe, &mut piece) {
            Ok(0) => return Ok(out),
            Ok(count) => out.extend_from_slice(&piece[..count]),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => {
                return Err(Error::os(
                    "read from a process on the way to another user namespace",
                    e,
                ));
            }
        }
    }
}
