//! Whether two unpacked layers are the same, to the last byte.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};

use super::xattrs;

const OPEN: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);
const BUFFER: usize = 128 << 10;

/// Names, attributes and content. What cannot be compared is not the same.
pub(crate) fn same(one: &Path, other: &Path) -> bool {
    let compared = open_pair(one, other).and_then(|(one, other)| directories(one, other));
    compared.unwrap_or(false)
}

fn open_pair(one: &Path, other: &Path) -> io::Result<(OwnedFd, OwnedFd)> {
    let open = |path| rustix::fs::open(path, OPEN | OFlags::DIRECTORY, Mode::empty());
    Ok((open(one)?, open(other)?))
}

/// A pair of directories, and what of them is still to be compared.
struct Level {
    one: OwnedFd,
    other: OwnedFd,
    left: Vec<CString>,
}

impl Level {
    /// `None` if they have not the same names.
    fn enter(one: OwnedFd, other: OwnedFd) -> io::Result<Option<Level>> {
        let names = names(&one)?;
        if names != self::names(&other)? {
            return Ok(None);
        }
        let left = names.into_iter().collect();
        Ok(Some(Level { one, other, left }))
    }
}

fn directories(one: OwnedFd, other: OwnedFd) -> io::Result<bool> {
    let (mut levels, mut buffers) = (Vec::new(), (vec![0; BUFFER], vec![0; BUFFER]));
    levels.push(Level::enter(one, other)?);
    while let Some(level) = levels.last_mut() {
        let Some(level) = level else { return Ok(false) };
        let Some(name) = level.left.pop() else {
            levels.pop();
            continue;
        };
        let (one, other) = (level.one.as_fd(), level.other.as_fd());
        let stat = |directory| statat(directory, &*name, AtFlags::SYMLINK_NOFOLLOW);
        let stats = (stat(one)?, stat(other)?);
        if attributes(&stats.0) != attributes(&stats.1) {
            return Ok(false);
        }
        let open = |directory| openat(directory, &*name, OPEN, Mode::empty());
        match FileType::from_raw_mode(stats.0.st_mode) {
            FileType::Directory => {
                let (one, other) = (open(one)?, open(other)?);
                if xattrs::all(one.as_fd())? != xattrs::all(other.as_fd())? {
                    return Ok(false);
                }
                levels.push(Level::enter(one, other)?);
            }
            FileType::RegularFile => {
                let (one, other) = (open(one)?, open(other)?);
                if xattrs::all(one.as_fd())? != xattrs::all(other.as_fd())?
                    || !files(one.into(), other.into(), &mut buffers)?
                {
                    return Ok(false);
                }
            }
            FileType::Symlink if link(one, &name)? != link(other, &name)? => return Ok(false),
            // A device is all in its attributes, a link that is the same not to be followed.
            _ => {}
        }
    }
    Ok(true)
}

fn names(directory: &OwnedFd) -> io::Result<BTreeSet<CString>> {
    let mut names = BTreeSet::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.insert(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

/// Those that a layer's archive says. A directory's size and number of links are the file system's, and the times of what no
/// archive lists, directories above others and whiteouts, are those of the unpacking.
fn attributes(stat: &Stat) -> impl PartialEq + use<> {
    let of_file = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile | FileType::Symlink => {
            Some((stat.st_size, stat.st_nlink, stat.st_mtime, stat.st_mtime_nsec))
        }
        _ => None,
    };
    (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_rdev, of_file)
}

fn link(directory: BorrowedFd, name: &CString) -> io::Result<CString> {
    Ok(readlinkat(directory, name, Vec::new())?)
}

fn files(mut one: File, mut other: File, buffers: &mut (Vec<u8>, Vec<u8>)) -> io::Result<bool> {
    loop {
        let (a, b) = (fill(&mut one, &mut buffers.0)?, fill(&mut other, &mut buffers.1)?);
        if buffers.0[..a] != buffers.1[..b] {
            return Ok(false);
        }
        if a == 0 {
            return Ok(true);
        }
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime};

    type Change = fn(&Path);

    fn at(path: PathBuf, seconds: u64) {
        let file = File::options().read(true).open(path).expect("open");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        file.set_modified(time).expect("time");
    }

    /// A file of more than one buffer, one with two names, a link, a directory in another, a device.
    fn layer() -> tempfile::TempDir {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("dir");
        let root = folder.path();
        fs::create_dir_all(root.join("d/e")).expect("directories");
        let large: Vec<u8> = (0..BUFFER + 99).map(|n| (n / 7) as u8).collect();
        fs::write(root.join("d/large"), large).expect("file");
        fs::write(root.join("d/e/small"), b"small").expect("file");
        fs::hard_link(root.join("d/e/small"), root.join("linked")).expect("link");
        symlink("d/e", root.join("to")).expect("link");
        let gone = rustix::fs::CWD;
        rustix::fs::mknodat(
            gone,
            root.join("gone"),
            FileType::CharacterDevice,
            Mode::empty(),
            0,
        )
        .expect("device");
        for name in ["d/large", "d/e/small"] {
            at(root.join(name), 1_700_000_000);
        }
        let link = rustix::fs::Timestamps {
            last_access: rustix::fs::Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            },
            last_modification: rustix::fs::Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            },
        };
        rustix::fs::utimensat(gone, root.join("to"), &link, AtFlags::SYMLINK_NOFOLLOW).expect("time");
        folder
    }

    #[test]
    fn each_difference_that_a_container_could_see_is_found() {
        let one = layer();
        assert!(same(one.path(), layer().path()));
        let changes: [(&str, Change); 12] = [
            ("content", |root| {
                use std::os::unix::fs::FileExt;
                let file = File::options()
                    .write(true)
                    .open(root.join("d/large"))
                    .expect("open");
                file.write_at(b"?", BUFFER as u64 + 5).expect("write");
                drop(file);
                at(root.join("d/large"), 1_700_000_000);
            }),
            ("nothing in it", |root| {
                fs::write(root.join("d/large"), b"").expect("write");
                at(root.join("d/large"), 1_700_000_000);
            }),
            ("time", |root| at(root.join("d/large"), 1_700_000_001)),
            ("mode", |root| {
                let mode = fs::Permissions::from_mode(0o4755);
                fs::set_permissions(root.join("d/large"), mode).expect("mode");
            }),
            ("mode of a directory", |root| {
                fs::set_permissions(root.join("d/e"), fs::Permissions::from_mode(0o700)).expect("mode");
            }),
            ("owner", |root| {
                chown(root.join("d/large"), Some(5), None).expect("owner")
            }),
            ("attribute", |root| {
                xattr::set(root.join("d/large"), "user.a", b"b").expect("attribute")
            }),
            ("opaque", |root| {
                xattr::set(root.join("d"), "trusted.overlay.opaque", b"y").expect("attribute")
            }),
            ("link", |root| {
                fs::remove_file(root.join("to")).expect("remove");
                symlink("d/f", root.join("to")).expect("link");
            }),
            ("names of one file", |root| {
                fs::remove_file(root.join("linked")).expect("remove");
                fs::write(root.join("linked"), b"small").expect("file");
                at(root.join("linked"), 1_700_000_000);
            }),
            ("missing", |root| {
                fs::remove_file(root.join("gone")).expect("remove")
            }),
            ("more", |root| {
                fs::write(root.join("d/e/more"), b"").expect("file")
            }),
        ];
        for (what, change) in changes {
            let other = layer();
            change(other.path());
            assert!(!same(one.path(), other.path()), "{what}");
        }
        assert!(!same(one.path(), Path::new("/nonexistent")));
    }
}
