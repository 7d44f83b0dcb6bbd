//! Paths inside a root that a container may have prepared: every step is the kernel's, by descriptor, and can never
//! leave the root (`openat2` with RESOLVE_IN_ROOT; magic links refused).

use std::ffi::OsStr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Symbolic links that lead nowhere are followed at most this often while directories are made.
const LINKS_MAX: u32 = 40;

/// Open `path` as the container would see it.
pub fn open(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // The kernel says so when something on the way was renamed while it walked.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

/// A directory, made with all its parents if it is missing.
pub fn make_dir(root: BorrowedFd<'_>, path: &Path, mode: u32) -> Result<OwnedFd, Errno> {
    make_dir_within(root, path, mode, LINKS_MAX)
}

fn make_dir_within(root: BorrowedFd<'_>, path: &Path, mode: u32, links: u32) -> Result<OwnedFd, Errno> {
    match open(root, path, OFlags::PATH | OFlags::DIRECTORY) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    if links == 0 {
        return Err(Errno::LOOP);
    }
    let (parent, name) = split(path).ok_or(Errno::NOENT)?;
    let dir = make_dir_within(root, parent, mode, links)?;
    match rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(e),
    }
    match open(root, path, OFlags::PATH | OFlags::DIRECTORY) {
        Err(Errno::NOENT) => {
            // A link that leads nowhere yet: make what it names.
            let target = link_target(&dir, parent, name)?;
            make_dir_within(root, &target, mode, links - 1)
        }
        other => other,
    }
}

/// Something that is not a directory, made as an empty file (with its parents) if it is missing.
pub fn make_file(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    make_file_within(root, path, LINKS_MAX)
}

fn make_file_within(root: BorrowedFd<'_>, path: &Path, links: u32) -> Result<OwnedFd, Errno> {
    match open(root, path, OFlags::PATH) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    if links == 0 {
        return Err(Errno::LOOP);
    }
    let (parent, name) = split(path).ok_or(Errno::NOENT)?;
    let dir = make_dir_within(root, parent, 0o755, links)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
    match rustix::fs::openat(&dir, name, flags, Mode::from_raw_mode(0o644)) {
        Ok(_) | Err(Errno::EXIST) => {}
        Err(e) => return Err(e),
    }
    match open(root, path, OFlags::PATH) {
        Err(Errno::NOENT) => {
            let target = link_target(&dir, parent, name)?;
            make_file_within(root, &target, links - 1)
        }
        other => other,
    }
}

fn link_target(dir: &OwnedFd, parent: &Path, name: &OsStr) -> Result<PathBuf, Errno> {
    let target = rustix::fs::readlinkat(dir, name, Vec::new())?;
    use std::os::unix::ffi::OsStrExt;
    // `join` replaces the path if the target is absolute; either way it is resolved within the root again.
    Ok(parent.join(OsStr::from_bytes(target.as_bytes())))
}

/// The directory and the last name of a path; `None` for the root itself.
fn split(path: &Path) -> Option<(&Path, &OsStr)> {
    let Some(Component::Normal(name)) = path.components().next_back() else {
        return None;
    };
    let parent = path.parent().unwrap_or(Path::new("/"));
    Some((
        if parent.as_os_str().is_empty() {
            Path::new("/")
        } else {
            parent
        },
        name,
    ))
}

/// The kernel's null device, opened on the host and checked to be it: a container's own could be anything.
pub fn host_null(flags: OFlags) -> Result<OwnedFd, Errno> {
    let fd = rustix::fs::openat(
        CWD,
        "/dev/null",
        flags | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        Mode::empty(),
    )?;
    let stat = rustix::fs::fstat(&fd)?;
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    if is_device && stat.st_rdev == rustix::fs::makedev(1, 3) {
        Ok(fd)
    } else {
        Err(Errno::NODEV)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    use super::*;

    fn root(dir: &Path) -> OwnedFd {
        rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    #[test]
    fn nothing_leads_out_of_the_root() {
        let outside = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        symlink(outside.path(), dir.path().join("absolute")).unwrap();
        symlink("../../../../../../../..", dir.path().join("up")).unwrap();
        let root = root(dir.path());
        make_dir(root.as_fd(), Path::new("/absolute/made"), 0o755).unwrap();
        make_file(root.as_fd(), Path::new("/up/file")).unwrap();
        make_file(root.as_fd(), Path::new("../../escaped")).unwrap();
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        assert!(dir.path().join("file").exists());
        assert!(dir.path().join("escaped").exists());
        assert!(
            dir.path()
                .join(outside.path().strip_prefix("/").unwrap())
                .join("made")
                .is_dir()
        );
    }

    #[test]
    fn dangling_links_are_made_where_they_point_and_loops_end() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/run", dir.path().join("var")).unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        let root = root(dir.path());
        make_dir(root.as_fd(), Path::new("/var/lock"), 0o755).unwrap();
        assert!(dir.path().join("run/lock").is_dir());
        assert!(make_dir(root.as_fd(), Path::new("/a/x"), 0o755).is_err());
        make_file(root.as_fd(), Path::new("/etc/hosts")).unwrap();
        assert!(dir.path().join("etc/hosts").is_file());
        assert_eq!(
            make_dir(root.as_fd(), Path::new("/etc/hosts"), 0o755).unwrap_err(),
            Errno::NOTDIR
        );
    }

    #[test]
    fn the_host_s_null_device() {
        assert!(host_null(OFlags::PATH).is_ok());
    }
}
