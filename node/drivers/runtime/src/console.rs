//! A pseudo-terminal of the container's own devpts.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;

use crate::error::{Result, doing};
use crate::{mounts, resolve, sys};

const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;

/// Both ends of a new terminal: (master, the process's end).
pub fn open(root: BorrowedFd<'_>) -> Result<(OwnedFd, OwnedFd)> {
    let made = || {
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let master = resolve::open(root, Path::new("/dev/pts/ptmx"), flags)?;
        // Whatever lies at that path: only a terminal of a devpts will do.
        if rustix::fs::fstatfs(&master)?.f_type as i64 != DEVPTS_SUPER_MAGIC {
            return Err(Errno::NODEV);
        }
        rustix::pty::unlockpt(&master)?;
        let peer = sys::terminal_peer(master.as_fd())?;
        Ok((master, peer))
    };
    made().map_err(doing("open a terminal in /dev/pts"))
}

/// Bind the terminal to /dev/console, by descriptor on both sides.
pub fn bind(root: BorrowedFd<'_>, peer: BorrowedFd<'_>) -> Result<()> {
    let bound = || {
        let dev = resolve::open(root, Path::new("/dev"), OFlags::PATH | OFlags::DIRECTORY)?;
        let flags = OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY | OFlags::NONBLOCK;
        match rustix::fs::openat(&dev, "console", flags | OFlags::EXCL, Mode::from_raw_mode(0o600)) {
            Ok(_) | Err(Errno::EXIST) => {}
            Err(e) => return Err(e),
        }
        let target = rustix::fs::openat(
            &dev,
            "console",
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        let tree = rustix::mount::open_tree(peer, "", flags)?;
        mounts::attach(tree.as_fd(), target.as_fd())
    };
    bound().map_err(doing("bind the terminal to /dev/console"))
}
