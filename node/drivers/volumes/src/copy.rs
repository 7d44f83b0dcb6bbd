//! A tree of files copied from one directory descriptor to another: owners, modes, times, extended attributes, links,
//! devices.

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, chownat, fchmod, fchown, fgetxattr,
    flistxattr, fsetxattr, fstat, futimens, linkat, mkdirat, mknodat, openat, readlinkat, statat, symlinkat,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

/// Directories below one another that are followed.
const DEPTH_MAX: u32 = 200;
const XATTR_BYTES_MAX: usize = 64 * 1024;

/// Does nothing when `to` has contents.
pub fn tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let empty = Dir::read_from(to)?
        .filter_map(Result::ok)
        .all(|e| matches!(e.file_name().to_bytes(), b"." | b".."));
    if !empty {
        return Ok(());
    }
    let mut copy = Copy {
        target: to,
        links: HashMap::new(),
    };
    copy.dir(from, to, &mut Vec::new())
}

struct Copy<'a> {
    target: BorrowedFd<'a>,
    /// Files with several names: where the first one was put.
    links: HashMap<(u64, u64), CString>,
}

impl Copy<'_> {
    fn dir(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        trail: &mut Vec<CString>,
    ) -> Result<(), Errno> {
        if trail.len() as u32 > DEPTH_MAX {
            return Err(Errno::LOOP);
        }
        for entry in Dir::read_from(from)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            trail.push(name.to_owned());
            self.one(from, to, name, trail)?;
            trail.pop();
        }
        // Last, so that the times are not changed by what was put inside.
        attributes(from, to)
    }

    fn one(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        trail: &mut Vec<CString>,
    ) -> Result<(), Errno> {
        let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let several = stat.st_nlink > 1 && kind != FileType::Directory;
        if several && let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
            return linkat(self.target, first, to, name, AtFlags::empty());
        }
        let open = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        match kind {
            FileType::Directory => {
                mkdirat(to, name, Mode::RWXU)?;
                let below = openat(from, name, open | OFlags::DIRECTORY, Mode::empty())?;
                let made = openat(to, name, open | OFlags::DIRECTORY, Mode::empty())?;
                return self.dir(below.as_fd(), made.as_fd(), trail);
            }
            FileType::RegularFile => {
                let source = openat(from, name, open | OFlags::NONBLOCK, Mode::empty())?;
                let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
                let target = openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
                let (mut source, mut target) = (File::from(source), File::from(target));
                std::io::copy(&mut source, &mut target)
                    .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
                attributes(source.as_fd(), target.as_fd())?;
            }
            FileType::Symlink => {
                let text = readlinkat(from, name, Vec::new())?;
                symlinkat(&text, to, name)?;
                owner(to, name, stat.st_uid, stat.st_gid)?;
            }
            FileType::Socket | FileType::Unknown => return Ok(()),
            _ => {
                mknodat(to, name, kind, Mode::from_raw_mode(stat.st_mode), stat.st_rdev)?;
                owner(to, name, stat.st_uid, stat.st_gid)?;
            }
        }
        if several {
            let path = trail.iter().map(|n| n.to_bytes()).collect::<Vec<_>>().join(&b'/');
            if let Ok(path) = CString::new(path) {
                self.links.insert((stat.st_dev, stat.st_ino), path);
            }
        }
        Ok(())
    }
}

fn owner(dir: BorrowedFd<'_>, name: &CStr, uid: u32, gid: u32) -> Result<(), Errno> {
    chownat(
        dir,
        name,
        Some(Uid::from_raw(uid)),
        Some(Gid::from_raw(gid)),
        AtFlags::SYMLINK_NOFOLLOW,
    )
}

fn attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let stat = fstat(from)?;
    fchown(
        to,
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
    )?;
    // After the owner: a change of owner takes the set-id bits away.
    fchmod(to, Mode::from_raw_mode(stat.st_mode))?;
    extended(from, to)?;
    let time = |tv_sec, tv_nsec: u64| Timespec {
        tv_sec,
        tv_nsec: i64::try_from(tv_nsec).unwrap_or(0),
    };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    };
    futimens(to, &times)
}

fn extended(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut names = vec![0u8; XATTR_BYTES_MAX];
    let length = match flistxattr(from, &mut names) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => return Ok(()),
        Err(e) => return Err(e),
    };
    let mut value = Vec::new();
    for name in names[..length].split(|b| *b == 0).filter(|n| !n.is_empty()) {
        // The layers' own bookkeeping stays behind.
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
            continue;
        }
        let Ok(name) = CString::new(name) else { continue };
        value.resize(XATTR_BYTES_MAX, 0);
        let length = fgetxattr(from, &name, &mut value[..])?;
        match fsetxattr(to, &name, &value[..length], rustix::fs::XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOTSUP) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
