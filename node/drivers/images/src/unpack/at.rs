//! Files below a directory, reached through descriptors only: nothing that the archive made can lead outside.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, fchmod, mkdirat, openat, openat2, statat, unlinkat,
};
use rustix::io::Errno;

use shoal_node_core_host::tarball::damaged;

/// A name in the archive, cleaned as Go's `filepath.Clean` does, relative to the layer's root.
/// Empty for the root itself; refused if it leads above it.
pub(super) fn clean(name: &[u8]) -> io::Result<Vec<&[u8]>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop().ok_or_else(|| outside(name))?;
            }
            part if part.contains(&0) => return Err(damaged("a name with a zero byte")),
            part => parts.push(part),
        }
    }
    Ok(parts)
}

fn outside(name: &[u8]) -> io::Error {
    damaged(format!(
        "invalid tar header: {:?} is outside of the layer",
        String::from_utf8_lossy(name)
    ))
}

/// Opens a directory below `root`; symbolic links on the way are followed as if `root` were `/`.
pub(super) fn directory(root: BorrowedFd, parts: &[&[u8]]) -> io::Result<OwnedFd> {
    let path = if parts.is_empty() {
        b".".to_vec()
    } else {
        parts.join(&b'/')
    };
    let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    loop {
        match openat2(root, &path[..], flags, Mode::empty(), how) {
            // A rename elsewhere made the kernel unsure.
            Err(Errno::AGAIN) => continue,
            other => return other.map_err(named(&path)),
        }
    }
}

/// The same, making what is missing on the way (0755, root).
pub(super) fn directory_made(root: BorrowedFd, parts: &[&[u8]]) -> io::Result<OwnedFd> {
    match directory(root, parts) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let mut below = root.try_clone_to_owned()?;
    for end in 1..=parts.len() {
        below = match directory(root, &parts[..end]) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A dangling link on the way is an error here, as mkdir does not follow it.
                mkdirat(&below, parts[end - 1], Mode::from_raw_mode(0o700)).map_err(named(parts[end - 1]))?;
                let made = directory(root, &parts[..end])?;
                // Whatever the umask.
                fchmod(&made, Mode::from_raw_mode(0o755))?;
                made
            }
            other => other?,
        };
    }
    Ok(below)
}

/// What is at a name, not following links; `None` for nothing.
pub(super) fn kind(parent: BorrowedFd, name: &[u8]) -> io::Result<Option<(FileType, u64)>> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some((FileType::from_raw_mode(stat.st_mode), stat.st_rdev))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(named(name)(error)),
    }
}

/// Removes whatever is at a name, with everything below it.
pub(super) fn remove(parent: BorrowedFd, name: &[u8]) -> io::Result<()> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        Err(Errno::NOENT) => return Ok(()),
        other => return other.map_err(named(name)),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let below = openat(parent, name, flags, Mode::empty()).map_err(named(name))?;
    for entry in Dir::read_from(&below)? {
        let entry = entry?;
        let child = entry.file_name().to_bytes();
        if child != b"." && child != b".." {
            remove(below.as_fd(), child)?;
        }
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR).map_err(named(name))
}

/// Says which name an error is about. Errors that a hostile or damaged archive causes are marked as such.
pub(super) fn named(name: &[u8]) -> impl Fn(Errno) -> io::Error {
    let name = String::from_utf8_lossy(&name[..name.len().min(256)]).into_owned();
    move |errno| {
        let error = io::Error::from(errno);
        let kind = match errno {
            Errno::LOOP | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::XDEV | Errno::MLINK | Errno::ISDIR => {
                io::ErrorKind::InvalidData
            }
            _ => error.kind(),
        };
        io::Error::new(kind, format!("{:?}: {error}", OsStr::from_bytes(name.as_bytes())))
    }
}
