//! `tmpcopyup`: a fresh tmpfs starts with a copy of what the image has at its place. By descriptors only.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use crate::resolve;

/// Directories below one another that are followed.
const DEPTH_MAX: u32 = 64;

/// Copy the content of directory `path` in `root` into the directory `to`, and its owner and mode onto it.
pub fn copy(root: BorrowedFd<'_>, path: &Path, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let from = match resolve::open(root, path, OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(from) => from,
        Err(Errno::NOENT) => return Ok(()),
        Err(e) => return Err(e),
    };
    let to = rustix::fs::openat(
        to,
        ".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    copy_dir(from.as_fd(), to.as_fd(), DEPTH_MAX)
}

fn copy_dir(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: u32) -> Result<(), Errno> {
    if depth == 0 {
        return Err(Errno::LOOP);
    }
    let stat = rustix::fs::fstat(from)?;
    rustix::fs::fchown(
        to,
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
    )?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode))?;
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        let open = OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                rustix::fs::mkdirat(to, name, mode)?;
                let below = rustix::fs::openat(from, name, open | OFlags::DIRECTORY, Mode::empty())?;
                let made = rustix::fs::openat(to, name, open | OFlags::DIRECTORY, Mode::empty())?;
                copy_dir(below.as_fd(), made.as_fd(), depth - 1)?;
                continue;
            }
            FileType::RegularFile => {
                let source = rustix::fs::openat(from, name, open, Mode::empty())?;
                let flags = open | OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
                let target = rustix::fs::openat(to, name, flags, mode)?;
                let mut left = stat.st_size as usize;
                while left > 0 {
                    match rustix::fs::sendfile(&target, &source, None, left)? {
                        0 => break,
                        sent => left -= sent,
                    }
                }
            }
            FileType::Symlink => {
                let link = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(&link, to, name)?;
            }
            kind => rustix::fs::mknodat(to, name, kind, mode, stat.st_rdev)?,
        }
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}
