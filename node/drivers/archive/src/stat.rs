//! What a path is, as `X-Docker-Container-Path-Stat` says it.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::inside;
use crate::path::ClientPath;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    pub name: String,
    pub size: i64,
    /// Go's `os.FileMode`.
    pub mode: u32,
    /// Seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// Where a link leads in the end, absolute and inside the root; empty for what is no link.
    pub link_target: String,
}

/// More than any kernel follows; Docker's limit.
const LINKS_MAX: u32 = 255;
/// Names to be looked at; links that grow a path are cut off.
const STEPS_MAX: u32 = 4096;

/// Looks at `path` in `root`; a link is described, not followed, unless the path ends in a slash.
pub fn stat(root: BorrowedFd<'_>, path: &ClientPath) -> Result<Stat> {
    let failed = Error::on("lstat", path.as_str().as_bytes());
    let fd = inside::open_itself(root, path.as_str().as_bytes()).map_err(&failed)?;
    let stat = fstat(&fd).map_err(&failed)?;
    let link_target = match inside::kind(&stat) {
        FileType::Symlink => followed(root, path.clean().as_bytes())?,
        _ => String::new(),
    };
    Ok(Stat {
        name: path.base().to_owned(),
        size: stat.st_size,
        mode: go_mode(stat.st_mode),
        mtime: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
        link_target,
    })
}

/// Where a path leads with all links followed; what does not exist is taken as it stands.
pub(crate) fn followed(root: BorrowedFd<'_>, path: &[u8]) -> Result<String> {
    let split = |path: &[u8]| -> Vec<Vec<u8>> {
        let parts = path.split(|&b| b == b'/').rev();
        parts
            .filter(|p| !matches!(*p, b"" | b"."))
            .map(<[u8]>::to_vec)
            .collect()
    };
    let looping = || Error::os(format!("follow {}", String::from_utf8_lossy(path)), Errno::LOOP);
    let mut todo = split(path);
    let mut done: Vec<Vec<u8>> = Vec::new();
    let (mut links, mut steps) = (0, 0);
    while let Some(part) = todo.pop() {
        steps += 1;
        if steps > STEPS_MAX {
            return Err(looping());
        }
        if part == b".." {
            done.pop();
            continue;
        }
        done.push(part);
        let here = [b"/", &done.join(&b'/')[..]].concat();
        let target = inside::open_itself(root, &here).and_then(|fd| inside::link_target(fd.as_fd()));
        // Not a link, or nothing.
        let Ok(target) = target else { continue };
        links += 1;
        if links > LINKS_MAX {
            return Err(looping());
        }
        done.pop();
        if target.starts_with(b"/") {
            done.clear();
        }
        todo.extend(split(&target));
    }
    Ok(format!("/{}", String::from_utf8_lossy(&done.join(&b'/'))))
}

fn go_mode(mode: u32) -> u32 {
    const GO_DIR: u32 = 1 << 31;
    const GO_SYMLINK: u32 = 1 << 27;
    const GO_DEVICE: u32 = 1 << 26;
    const GO_PIPE: u32 = 1 << 25;
    const GO_SOCKET: u32 = 1 << 24;
    const GO_SETUID: u32 = 1 << 23;
    const GO_SETGID: u32 = 1 << 22;
    const GO_CHAR: u32 = 1 << 21;
    const GO_STICKY: u32 = 1 << 20;
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => GO_DIR,
        FileType::Symlink => GO_SYMLINK,
        FileType::BlockDevice => GO_DEVICE,
        FileType::CharacterDevice => GO_DEVICE | GO_CHAR,
        FileType::Fifo => GO_PIPE,
        FileType::Socket => GO_SOCKET,
        _ => 0,
    };
    let bit = |kernel: u32, go: u32| if mode & kernel == 0 { 0 } else { go };
    kind | mode & 0o777 | bit(0o4000, GO_SETUID) | bit(0o2000, GO_SETGID) | bit(0o1000, GO_STICKY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags};
    use std::os::unix::fs::symlink;

    #[test]
    fn modes_as_go_has_them() {
        for (mode, go) in [
            (0o040755, 2147484141),
            (0o100644, 420),
            (0o120777, 134218239),
            (0o104755, 8389101),
            (0o010644, 33554852),
            (0o020644, 69206436),
            (0o041777, 2148532735),
        ] {
            assert_eq!(go_mode(mode), go, "{mode:o}");
        }
    }

    #[test]
    fn links_are_told_by_where_they_end() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("d/sub")).unwrap();
        std::fs::write(dir.path().join("f"), "12").unwrap();
        for (target, link) in [
            ("/f", "a"),
            ("../../../../x/y", "d/up"),
            ("a", "b"),
            ("sub", "d/s"),
            ("self", "self"),
        ] {
            symlink(target, dir.path().join(link)).unwrap();
        }
        let root = rustix::fs::open(dir.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let of = |path: &str| stat(root.as_fd(), &ClientPath::new(path));
        for (path, target) in [
            ("/a", "/f"),
            ("/b", "/f"),
            ("/d/up", "/x/y"),
            ("/d/s", "/d/sub"),
            ("/f", ""),
        ] {
            assert_eq!(of(path).unwrap().link_target, target, "{path}");
        }
        assert!(of("/d/s/").unwrap().link_target.is_empty());
        assert_eq!(of("/f").unwrap().size, 2);
        assert!(matches!(of("/nope"), Err(Error::NotFound(_))));
        assert!(matches!(of("/self"), Err(Error::Io { .. })));
        assert_eq!(of("/f/").unwrap_err().to_string(), "lstat /f/: not a directory");
    }
}
