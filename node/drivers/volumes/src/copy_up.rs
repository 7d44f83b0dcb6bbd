//! Copying a directory of an image into an empty volume, by descriptors on both sides: no name that the image
//! chose is ever resolved as a path.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat,
    fchmod, fchown, fgetxattr, flistxattr, fsetxattr, fstat, futimens, linkat, mkdirat, mknodat, openat,
    readlinkat, statat, symlinkat, utimensat,
};
use rustix::io::Errno;

/// Directories within directories; the kernel's own limit on a path is lower than what this allows.
const DEPTH_MAX: usize = 1024;
const XATTR_MAX: usize = 64 * 1024;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

pub(crate) fn copy_up(source: BorrowedFd, target: &Path) -> io::Result<bool> {
    let target = rustix::fs::open(target, DIRECTORY, Mode::empty())?;
    // A descriptor of its own: the caller's may be O_PATH, and reading moves a directory's offset.
    let source = openat(source, c".", DIRECTORY, Mode::empty())?;
    if !names(&target)?.is_empty() {
        return Ok(false);
    }
    let mut copy = Copy {
        links: HashMap::new(),
        depth: 0,
    };
    copy.directory(source.as_fd(), target.as_fd())?;
    attributes(source.as_fd(), target.as_fd(), &fstat(&source)?)?;
    Ok(true)
}

/// Sizes of all files below, one with several names once.
pub(crate) fn usage(target: &Path) -> io::Result<u64> {
    let mut directories = vec![rustix::fs::open(target, DIRECTORY, Mode::empty())?];
    let mut seen = std::collections::HashSet::new();
    let mut sum = 0;
    while let Some(directory) = directories.pop() {
        for name in names(&directory)? {
            // Containers may be changing it: what is gone counts nothing.
            let Ok(stat) = statat(&directory, &*name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory if directories.len() < DEPTH_MAX => {
                    directories.extend(openat(&directory, &*name, DIRECTORY, Mode::empty()));
                }
                FileType::RegularFile if stat.st_nlink == 1 || seen.insert((stat.st_dev, stat.st_ino)) => {
                    sum += stat.st_size as u64;
                }
                _ => {}
            }
        }
    }
    Ok(sum)
}

struct Copy {
    /// Where files with several names have gone: the directory and the name there.
    links: HashMap<(u64, u64), (OwnedFd, Box<CStr>)>,
    depth: usize,
}

impl Copy {
    fn directory(&mut self, source: BorrowedFd, target: BorrowedFd) -> io::Result<()> {
        if self.depth == DEPTH_MAX {
            return Err(io::Error::other("directories are nested too deeply"));
        }
        self.depth += 1;
        for name in names(source)? {
            let stat = statat(source, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
            self.entry(source, target, &name, &stat)
                .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", name.to_string_lossy())))?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn entry(&mut self, source: BorrowedFd, target: BorrowedFd, name: &CStr, stat: &Stat) -> io::Result<()> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let several = stat.st_nlink > 1 && kind != FileType::Directory;
        let inode = (stat.st_dev, stat.st_ino);
        if several && let Some((directory, first)) = self.links.get(&inode) {
            return Ok(linkat(directory, &**first, target, name, AtFlags::empty())?);
        }
        match kind {
            FileType::Directory => {
                mkdirat(target, name, Mode::from_raw_mode(0o700))?;
                let from = openat(source, name, DIRECTORY, Mode::empty())?;
                let to = openat(target, name, DIRECTORY, Mode::empty())?;
                self.directory(from.as_fd(), to.as_fd())?;
                return attributes(from.as_fd(), to.as_fd(), stat);
            }
            FileType::RegularFile => {
                let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mut from = File::from(openat(source, name, flags | OFlags::RDONLY, Mode::empty())?);
                let create = flags | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
                let mut to = File::from(openat(target, name, create, Mode::from_raw_mode(0o600))?);
                // In the kernel, where it can.
                io::copy(&mut from, &mut to)?;
                attributes(from.as_fd(), to.as_fd(), stat)?;
            }
            FileType::Symlink => symlinkat(&*readlinkat(source, name, Vec::new())?, target, name)?,
            // overlayfs' mark of a deleted file is none.
            FileType::CharacterDevice if stat.st_rdev == 0 => return Ok(()),
            FileType::Socket | FileType::Unknown => return Ok(()),
            kind => mknodat(
                target,
                name,
                kind,
                Mode::from_raw_mode(stat.st_mode & 0o7777),
                stat.st_rdev,
            )?,
        }
        if kind != FileType::RegularFile {
            let nofollow = AtFlags::SYMLINK_NOFOLLOW;
            let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
            chownat(target, name, Some(uid), Some(gid), nofollow)?;
            if kind != FileType::Symlink {
                // Made by us just now, and not a link.
                chmodat(
                    target,
                    name,
                    Mode::from_raw_mode(stat.st_mode & 0o7777),
                    AtFlags::empty(),
                )?;
            }
            utimensat(target, name, &times(stat), nofollow)?;
        }
        if several {
            self.links
                .insert(inode, (target.try_clone_to_owned()?, name.into()));
        }
        Ok(())
    }
}

/// Owner, mode, extended attributes and times, in the order in which none clears another.
fn attributes(source: BorrowedFd, target: BorrowedFd, stat: &Stat) -> io::Result<()> {
    fchown(
        target,
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
    )?;
    fchmod(target, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    let mut list = vec![0; XATTR_MAX];
    let length = match flistxattr(source, &mut list[..]) {
        Err(Errno::OPNOTSUPP) => 0,
        other => other?,
    };
    for name in list[..length].split(|&b| b == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
            continue;
        }
        let mut value = vec![0; XATTR_MAX];
        let length = fgetxattr(source, name, &mut value[..])?;
        match fsetxattr(target, name, &value[..length], XattrFlags::empty()) {
            Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            other => other?,
        }
    }
    Ok(futimens(target, &times(stat))?)
}

fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: stat.st_atime,
            tv_nsec: stat.st_atime_nsec as i64,
        },
        last_modification: Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: stat.st_mtime_nsec as i64,
        },
    }
}

fn names(directory: impl AsFd) -> io::Result<Vec<Box<CStr>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name.into_boxed_c_str());
        }
    }
    Ok(names)
}
