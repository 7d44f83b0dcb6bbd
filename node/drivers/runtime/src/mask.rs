//! Paths that a container may not see, and paths that it may not change.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, OpenTreeFlags};

use crate::error::{Result, on};
use crate::{mounts, resolve, sys};

/// Cover each path: a file by the host's null device `null`, a directory by an empty read-only tmpfs. What does not
/// exist needs no cover.
pub fn mask(root: BorrowedFd<'_>, null: BorrowedFd<'_>, paths: &[PathBuf]) -> Result<()> {
    let mut empty: Option<OwnedFd> = None;
    for path in paths {
        mask_one(root, null, path, &mut empty).map_err(on("mask", path))?;
    }
    Ok(())
}

fn mask_one(
    root: BorrowedFd<'_>,
    null: BorrowedFd<'_>,
    path: &Path,
    empty: &mut Option<OwnedFd>,
) -> Result<(), Errno> {
    let target = match resolve::open(root, path, OFlags::PATH) {
        Ok(target) => target,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        Err(e) => return Err(e),
    };
    let is_dir = FileType::from_raw_mode(rustix::fs::fstat(&target)?.st_mode) == FileType::Directory;
    let cover = if !is_dir {
        copy_of(null)?
    } else if let Some(first) = empty {
        copy_of(first.as_fd())?
    } else {
        // One file system serves all: the first is attached, the others are copies of it.
        let made = mounts::make(
            "tmpfs",
            "tmpfs",
            &[("nr_blocks".into(), Some("1".into()))],
            MountAttrFlags::MOUNT_ATTR_RDONLY
                | MountAttrFlags::MOUNT_ATTR_NOSUID
                | MountAttrFlags::MOUNT_ATTR_NODEV
                | MountAttrFlags::MOUNT_ATTR_NOEXEC,
        )?;
        mounts::attach(made.as_fd(), target.as_fd())?;
        *empty = Some(made);
        return Ok(());
    };
    mounts::attach(cover.as_fd(), target.as_fd())
}

/// Make each existing path read-only, with everything below it on the same mount.
pub fn protect(root: BorrowedFd<'_>, paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        let protected = || {
            let target = match resolve::open(root, path, OFlags::PATH) {
                Ok(target) => target,
                Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
                Err(e) => return Err(e),
            };
            let flags = OpenTreeFlags::OPEN_TREE_CLONE
                | OpenTreeFlags::OPEN_TREE_CLOEXEC
                | OpenTreeFlags::AT_EMPTY_PATH
                | OpenTreeFlags::AT_RECURSIVE;
            let tree = rustix::mount::open_tree(&target, "", flags)?;
            sys::mount_setattr(tree.as_fd(), true, libc::MOUNT_ATTR_RDONLY, 0, 0)?;
            mounts::attach(tree.as_fd(), target.as_fd())
        };
        protected().map_err(on("make read-only", path))?;
    }
    Ok(())
}

/// A detached copy of the mount behind a descriptor.
fn copy_of(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(fd, "", flags)
}
