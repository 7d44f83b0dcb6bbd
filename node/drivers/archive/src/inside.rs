//! Reaching things inside a root by descriptor only.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// Renames elsewhere make the kernel unsure of a walk; it is asked again, not for ever.
const TRIES_MAX: u32 = 32;
/// As the kernel has it for one walk.
const LINKS_MAX: u32 = 40;

fn openat2(root: BorrowedFd<'_>, path: &[u8], flags: OFlags, how: ResolveFlags) -> Result<OwnedFd, Errno> {
    let how = how | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..TRIES_MAX {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), how) {
            Err(Errno::AGAIN | Errno::INTR) => std::thread::yield_now(),
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens `path` as a process would whose `/` is `root`.
pub fn open(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    openat2(root, path, flags, ResolveFlags::IN_ROOT)
}

/// The thing itself, a link not followed (unless a slash at the path's end asks for it).
pub fn open_itself(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    open(root, path, OFlags::PATH | OFlags::NOFOLLOW)
}

/// A directory entry itself. `name` is one name.
pub fn entry(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Another descriptor of what one names: the very same file, whatever its name leads to by now.
pub fn reopen(fd: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(CWD, name_of(fd), flags | OFlags::CLOEXEC, Mode::empty())
}

/// For calls that take a path only. Follows nothing but the descriptor.
pub fn name_of(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// For reading, of what is known to be a regular file: anything else could block or act when it is opened.
pub fn file(fd: BorrowedFd<'_>) -> Result<File, Errno> {
    reopen(fd, OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK).map(File::from)
}

/// A directory to be listed.
pub fn directory(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(fd, ".", flags, Mode::empty())
}

/// A directory entry that is a directory, to be listed.
pub fn subdirectory(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

pub fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

pub fn link_target(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    Ok(rustix::fs::readlinkat(fd, "", Vec::new())?.into_bytes())
}

/// Why a directory below another could not be reached.
#[derive(Debug, PartialEq, Eq)]
pub enum Astray {
    /// A relative link leads above the starting point.
    Escapes,
    Os(Errno),
}

impl From<Errno> for Astray {
    fn from(errno: Errno) -> Astray {
        Astray::Os(errno)
    }
}

/// A directory below `top`, from which nothing leads away: an absolute link means a place below `top`, a relative one
/// that leaves it is refused.
pub fn below(top: BorrowedFd<'_>, parts: &[&[u8]]) -> Result<OwnedFd, Astray> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    if parts.is_empty() {
        return Ok(directory(top)?);
    }
    match openat2(top, &parts.join(&b'/'), flags, ResolveFlags::BENEATH) {
        // A container that renames all the time keeps the kernel unsure for ever; one step at a time is always sure.
        Err(Errno::XDEV | Errno::AGAIN) => stepwise(top, parts, None),
        other => Ok(other?),
    }
}

/// The same, making what is missing (0755, then `settle` may say whose it is), also where a link leads.
pub fn below_made(
    top: BorrowedFd<'_>,
    parts: &[&[u8]],
    settle: impl Fn(&OwnedFd) -> Result<(), Errno>,
) -> Result<OwnedFd, Astray> {
    match below(top, parts) {
        Err(Astray::Os(Errno::NOENT)) => stepwise(top, parts, Some(&settle)),
        other => other,
    }
}

type Settle<'a> = Option<&'a dyn Fn(&OwnedFd) -> Result<(), Errno>>;

fn stepwise(top: BorrowedFd<'_>, parts: &[&[u8]], make: Settle<'_>) -> Result<OwnedFd, Astray> {
    let mut todo: Vec<Vec<u8>> = parts.iter().rev().map(|part| part.to_vec()).collect();
    let mut trail: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    while let Some(part) = todo.pop() {
        if part == b".." {
            trail.pop().ok_or(Astray::Escapes)?;
            continue;
        }
        let here = trail.last().map_or(top, |fd| fd.as_fd());
        let next = match (entry(here, &part), make) {
            (Err(Errno::NOENT), Some(settle)) => {
                match rustix::fs::mkdirat(here, &part, Mode::from_raw_mode(0o700)) {
                    Ok(()) => {
                        let made = subdirectory(here, &part)?;
                        // Whatever the umask.
                        rustix::fs::fchmod(&made, Mode::from_raw_mode(0o755))?;
                        settle(&made)?;
                    }
                    Err(Errno::EXIST) => {}
                    Err(other) => return Err(other.into()),
                }
                entry(here, &part)?
            }
            (next, _) => next?,
        };
        match kind(&rustix::fs::fstat(&next)?) {
            FileType::Directory => trail.push(next),
            FileType::Symlink => {
                links += 1;
                let target = link_target(next.as_fd())?;
                if links > LINKS_MAX {
                    return Err(Errno::LOOP.into());
                }
                if target.starts_with(b"/") {
                    trail.clear();
                }
                let steps = target.split(|&b| b == b'/').rev();
                todo.extend(steps.filter(|p| !matches!(*p, b"" | b".")).map(<[u8]>::to_vec));
            }
            _ => return Err(Errno::NOTDIR.into()),
        }
        if todo.len() + trail.len() > DEPTH_MAX {
            return Err(Errno::NAMETOOLONG.into());
        }
    }
    Ok(directory(trail.last().map_or(top, |fd| fd.as_fd()))?)
}

/// Names in one path, and directories open at a time.
pub const DEPTH_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_stay_below() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        std::fs::create_dir_all(path.join("top/etc")).unwrap();
        std::fs::create_dir_all(path.join("etc")).unwrap();
        symlink("/etc", path.join("top/absolute")).unwrap();
        symlink("../etc", path.join("top/out")).unwrap();
        symlink("loop", path.join("top/loop")).unwrap();
        symlink("/etc/../absolute", path.join("top/twice")).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let top = rustix::fs::open(path.join("top"), flags, Mode::empty()).unwrap();
        let inode = |fd: OwnedFd| rustix::fs::fstat(&fd).unwrap().st_ino;
        let etc = inode(below(top.as_fd(), &[b"etc"]).unwrap());
        assert_eq!(inode(below(top.as_fd(), &[b"absolute"]).unwrap()), etc);
        assert_eq!(inode(below(top.as_fd(), &[b"twice"]).unwrap()), etc);
        assert_eq!(below(top.as_fd(), &[b"out"]).unwrap_err(), Astray::Escapes);
        assert_eq!(
            below(top.as_fd(), &[b"loop"]).unwrap_err(),
            Astray::Os(Errno::LOOP)
        );
        assert_eq!(
            below(top.as_fd(), &[b"no", b"x"]).unwrap_err(),
            Astray::Os(Errno::NOENT)
        );
    }
}
