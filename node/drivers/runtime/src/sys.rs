//! System calls that no crate wraps the way they are needed here.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

/// The result of a raw call.
fn result(value: libc::c_long) -> Result<libc::c_long, Errno> {
    if value < 0 {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL))
    } else {
        Ok(value)
    }
}

/// libc's constant of this name is too narrow for its value.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What `clone3` gave the parent, or that this is the child.
pub enum Cloned {
    Child,
    Parent { pid: u32, pidfd: OwnedFd },
}

/// A new process, a copy of this one, with a pidfd. `flags` are namespaces; `cgroup` puts it into that version 2 group.
///
/// # Safety
/// The process must have one thread only: the child goes on with a copy of this thread's memory, and a lock held by
/// another thread would stay locked for ever.
pub unsafe fn clone3(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned, Errno> {
    // SAFETY: the caller's promise.
    unsafe { clone(flags, libc::SIGCHLD, cgroup) }
}

/// The same, but the new process is a child of this one's parent.
///
/// # Safety
/// As [`clone3`].
pub unsafe fn clone3_sibling(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned, Errno> {
    // SAFETY: the caller's promise.
    unsafe { clone(flags | libc::CLONE_PARENT as u64, 0, cgroup) }
}

/// # Safety
/// As [`clone3`].
unsafe fn clone(flags: u64, exit_signal: i32, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned, Errno> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: all fields are plain numbers, zero means absent.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = exit_signal as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: no CLONE_VM, so the child has its own copy of the stack; the structure lives through the call.
    let pid = result(unsafe { libc::syscall(libc::SYS_clone3, &args, size_of::<libc::clone_args>()) })?;
    if pid == 0 {
        return Ok(Cloned::Child);
    }
    // SAFETY: the kernel has just made this descriptor for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned::Parent {
        pid: pid as u32,
        pidfd,
    })
}

/// Enter namespaces: of a namespace descriptor (`kind` 0 or its type), or of a process by pidfd (`kind` a set).
pub fn setns(fd: BorrowedFd<'_>, kind: i32) -> Result<(), Errno> {
    // SAFETY: takes numbers only.
    result(unsafe { libc::syscall(libc::SYS_setns, fd.as_raw_fd(), kind) }).map(drop)
}

pub fn unshare(flags: i32) -> Result<(), Errno> {
    // SAFETY: takes a number only; CLONE_FILES and CLONE_VM are not among the callers' flags.
    result(unsafe { libc::syscall(libc::SYS_unshare, flags) }).map(drop)
}

/// Change the attributes of the mount behind `fd` (of all below it too if `recursive`).
pub fn mount_setattr(
    fd: BorrowedFd<'_>,
    recursive: bool,
    set: u64,
    clear: u64,
    propagation: u64,
) -> Result<(), Errno> {
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: clear,
        propagation,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is nul-terminated, the structure has the size that is passed.
    result(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &attributes,
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

/// Show the files of the detached mount behind `fd` by the ids of a user namespace.
pub fn idmap(fd: BorrowedFd<'_>, userns: BorrowedFd<'_>) -> Result<(), Errno> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: userns.as_raw_fd() as u64,
    };
    // SAFETY: the path is nul-terminated, the structure has the size that is passed.
    result(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &attributes,
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

/// A child that does nothing until somebody kills it; it does not outlive its parent.
pub fn wait_for_death() -> ! {
    let _ = prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0);
    loop {
        // SAFETY: waits for a signal.
        unsafe { libc::pause() };
    }
}

pub fn pivot_root(new: &CStr, old: &CStr) -> Result<(), Errno> {
    // SAFETY: both are nul-terminated strings.
    result(unsafe { libc::syscall(libc::SYS_pivot_root, new.as_ptr(), old.as_ptr()) }).map(drop)
}

/// Mark every descriptor from `first` on as close-on-exec.
pub fn cloexec_from(first: u32) -> Result<(), Errno> {
    // SAFETY: takes numbers only; marking closes nothing now.
    result(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) })
        .map(drop)
}

/// Close every descriptor from 3 on except `kept`.
///
/// # Safety
/// Nobody may use or drop an owner of a closed one afterwards: only for a process that is about to exec or exit.
pub unsafe fn close_others(kept: &mut [i32]) {
    kept.sort_unstable();
    let mut first = 3;
    let close = |first: u32, last: u32| {
        if first <= last {
            // SAFETY: the caller's promise.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
    };
    for &mut fd in kept {
        let fd = fd as u32;
        if fd >= first {
            close(first, fd.saturating_sub(1));
            first = fd + 1;
        }
    }
    close(first, u32::MAX);
}

pub fn prctl(option: i32, a: u64, b: u64) -> Result<i32, Errno> {
    // SAFETY: the options used here take numbers only.
    result(unsafe { libc::prctl(option, a, b, 0, 0) }.into()).map(|value| value as i32)
}

/// Set the three capability sets of this thread.
pub fn capset(effective: u64, permitted: u64, inheritable: u64) -> Result<(), Errno> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let header = Header {
        version: 0x2008_0522,
        pid: 0,
    };
    let word = |shift: u32| Data {
        effective: (effective >> shift) as u32,
        permitted: (permitted >> shift) as u32,
        inheritable: (inheritable >> shift) as u32,
    };
    let data = [word(0), word(32)];
    // SAFETY: version 3 of this interface takes one header and two data words, as laid out above.
    result(unsafe { libc::syscall(libc::SYS_capset, &header, data.as_ptr()) }).map(drop)
}

/// A session keyring of its own, so that keys of whoever started the daemon are not reachable. A kernel without
/// keyrings has nothing to reach.
pub fn new_session_keyring() -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring.
    match result(unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            KEYCTL_JOIN_SESSION_KEYRING,
            std::ptr::null::<libc::c_char>(),
        )
    }) {
        Ok(_) | Err(Errno::NOSYS) => Ok(()),
        Err(e) => Err(e),
    }
}

/// The raw calls: the C library's would try to tell other threads.
pub fn setresuid(uid: u32) -> Result<(), Errno> {
    // SAFETY: takes numbers only.
    result(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

pub fn setresgid(gid: u32) -> Result<(), Errno> {
    // SAFETY: takes numbers only.
    result(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

pub fn setgroups(groups: &[u32]) -> Result<(), Errno> {
    // SAFETY: pointer and length describe one live slice.
    result(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// Make the terminal behind `fd` the controlling one of this session.
pub fn set_controlling_terminal(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: takes a number.
    result(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSCTTY, 0) }.into()).map(drop)
}

/// The other end of a pseudo-terminal's master, without going by any path.
pub fn terminal_peer(master: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: takes a number; the descriptor returned is new.
    let fd = result(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) }.into())?;
    // SAFETY: just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Replace this process. Returns only if that failed.
///
/// # Safety
/// `argv` and `envp` are null-terminated arrays of nul-terminated strings.
pub unsafe fn execve(
    path: &CStr,
    argv: *const *const libc::c_char,
    envp: *const *const libc::c_char,
) -> Errno {
    // SAFETY: the caller's promise.
    unsafe { libc::execve(path.as_ptr(), argv, envp) };
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

/// End this process at once, running nothing.
pub fn exit(code: i32) -> ! {
    // SAFETY: never returns; no destructor matters in a process made by clone.
    unsafe { libc::_exit(code) }
}
