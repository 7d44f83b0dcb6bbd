//! A tar stream into a directory of a view, with what `docker cp` expects of existing files.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timestamps, Uid, chmod, chownat, fchmod, fchown, fstat, futimens,
    linkat, makedev, mkdirat, mknodat, openat, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::inside::{self, Astray, DEPTH_MAX};
use crate::path::ClientPath;
use crate::read::{Kind, Member, Tar, decompress};
use crate::shift::{Shift, Shifted};
use crate::stat::followed;
use crate::times::both;
use crate::walk::Listing;
use crate::xattrs;

const COPY_BUFFER: usize = 256 * 1024;
/// Bytes of names kept to set directories' times at the end.
const LATER_MAX: usize = 16 << 20;

#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A directory is not replaced by something else, nor something else by a directory.
    pub no_overwrite_dir_non_dir: bool,
    /// Who owns everything, instead of whom the archive names.
    pub owner: Option<(u32, u32)>,
    /// What the archive's owners are to us.
    pub shift: Shift,
}

/// Unpacks `source`, plain or compressed, into the directory at `path` in `root`.
pub fn unpack(root: BorrowedFd<'_>, path: &ClientPath, source: impl Read, options: Options) -> Result<()> {
    let failed = Error::on("lstat", path.as_str().as_bytes());
    let fd = opened(root, path)?;
    let top = inside::directory(fd.as_fd()).map_err(&failed)?;
    let mut tar = Tar::new(decompress(source).map_err(read_error)?);
    let mut unpacker = Unpacker {
        top,
        destination: path.clean().to_owned(),
        shift: Shifted::new(&options.shift, root),
        options,
        parent: None,
        later: Later::default(),
        buffer: vec![0; COPY_BUFFER],
    };
    while let Some(member) = tar.next_member().map_err(read_error)? {
        unpacker.member(&mut tar, &member)?;
    }
    unpacker.set_directory_times();
    Ok(())
}

/// Where an archive for `path` would go, all links followed. Nothing but a directory will do.
pub fn directory(root: BorrowedFd<'_>, path: &ClientPath) -> Result<String> {
    opened(root, path)?;
    followed(root, path.clean().as_bytes())
}

fn opened(root: BorrowedFd<'_>, path: &ClientPath) -> Result<OwnedFd> {
    let failed = Error::on("lstat", path.as_str().as_bytes());
    let fd = inside::open(root, path.as_str().as_bytes(), OFlags::PATH).map_err(&failed)?;
    match inside::kind(&fstat(&fd).map_err(&failed)?) {
        FileType::Directory => Ok(fd),
        _ => Err(Error::NotADirectory),
    }
}

fn read_error(error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => Error::Refused("unexpected EOF".into()),
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::OutOfMemory => {
            Error::Refused(error.to_string())
        }
        _ => Error::Stream(error),
    }
}

struct Unpacker {
    top: OwnedFd,
    /// For messages.
    destination: String,
    options: Options,
    shift: Shifted,
    /// The directory that the last entry was in: most entries follow their siblings.
    parent: Option<(Vec<u8>, OwnedFd)>,
    later: Later,
    buffer: Vec<u8>,
}

/// Times of directories, which change again while they are filled.
#[derive(Default)]
struct Later {
    directories: VecDeque<(Vec<u8>, Timestamps)>,
    bytes: usize,
}

impl Unpacker {
    fn member<R: BufRead>(&mut self, tar: &mut Tar<R>, member: &Member) -> Result<()> {
        let refused = || Error::Refused(format!("invalid entry name {}", quoted(&member.path)));
        let parts = clean(&member.path).ok_or_else(refused)?;
        if parts.len() > DEPTH_MAX {
            return Err(Error::on("openat", &member.path)(Errno::NAMETOOLONG));
        }
        let Some((&name, above)) = parts.split_last() else {
            // The directory that we unpack into stays what it is.
            return match member.kind {
                Kind::Directory => Ok(()),
                _ => Err(refused()),
            };
        };
        let parent = self.enter(above, &member.path)?;
        let placed = self.place(tar, member, &parts, parent.as_fd(), name);
        self.parent.get_or_insert((above.join(&b'/'), parent));
        placed
    }

    /// The directory to work in, made (0755, by whom everything else is made) if the archive did not name it.
    fn enter(&mut self, above: &[&[u8]], path: &[u8]) -> Result<OwnedFd> {
        if let Some((last, fd)) = self.parent.take()
            && last == above.join(&b'/')
        {
            return Ok(fd);
        }
        let owned = |directory: &OwnedFd| {
            let (uid, gid) = self.options.owner.unwrap_or((0, 0));
            let (uid, gid) = self.shift.outside(fstat(directory)?.st_dev, uid, gid);
            fchown(directory, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        };
        inside::below_made(self.top.as_fd(), above, owned).map_err(|e| astray(e, above, path))
    }

    fn place<R: BufRead>(
        &mut self,
        tar: &mut Tar<R>,
        member: &Member,
        parts: &[&[u8]],
        parent: BorrowedFd<'_>,
        name: &[u8],
    ) -> Result<()> {
        let merge = self.make_room(member, parts, parent, name)?;
        let failed = Error::on("openat", &member.path);
        let (uid, gid) = self.options.owner.unwrap_or((member.uid, member.gid));
        let device = fstat(parent).map_err(&failed)?.st_dev;
        let (uid, gid) = self.shift.outside(device, uid, gid);
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        let mode = Mode::from_raw_mode(member.mode);
        let times = both(member.mtime);
        match member.kind {
            Kind::Directory => {
                if !merge {
                    mkdirat(parent, name, Mode::from_raw_mode(0o700)).map_err(&failed)?;
                }
                let directory = inside::subdirectory(parent, name).map_err(&failed)?;
                fchown(&directory, uid, gid).map_err(&failed)?;
                fchmod(&directory, mode).map_err(&failed)?;
                xattrs::set(directory.as_fd(), &member.xattrs).map_err(&failed)?;
                self.remember(parts, times);
                Ok(())
            }
            Kind::File => {
                // It is ours alone: nothing was there, and no link is followed.
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = openat(parent, name, flags, Mode::from_raw_mode(0o600)).map_err(&failed)?;
                let file = File::from(file);
                self.fill(tar, member, &file)?;
                // Owner before mode, and both before capabilities: chown clears setuid and capabilities.
                fchown(&file, uid, gid).map_err(&failed)?;
                fchmod(&file, mode).map_err(&failed)?;
                xattrs::set(file.as_fd(), &member.xattrs).map_err(&failed)?;
                futimens(&file, &times).map_err(&failed)
            }
            Kind::HardLink => self.hard_link(member, parent, name),
            Kind::Symlink => {
                if member.link.is_empty() || member.link.contains(&0) {
                    return Err(Error::Refused(format!(
                        "invalid symlink target {}",
                        quoted(&member.link)
                    )));
                }
                symlinkat(&member.link[..], parent, name).map_err(&failed)?;
                chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(&failed)?;
                utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(&failed)
            }
            Kind::Fifo | Kind::CharDevice | Kind::BlockDevice => {
                let kind = match member.kind {
                    Kind::Fifo => FileType::Fifo,
                    Kind::CharDevice => FileType::CharacterDevice,
                    _ => FileType::BlockDevice,
                };
                let device = match kind {
                    FileType::Fifo => 0,
                    _ => makedev(member.device.0, member.device.1),
                };
                mknodat(parent, name, kind, Mode::from_raw_mode(0o600), device).map_err(&failed)?;
                // The container may have put something else there since; a link must not lead us away.
                let made = inside::entry(parent, name).map_err(&failed)?;
                if inside::kind(&fstat(&made).map_err(&failed)?) != kind {
                    return Ok(());
                }
                chownat(&made, "", uid, gid, AtFlags::EMPTY_PATH).map_err(&failed)?;
                chmod(inside::name_of(made.as_fd()), mode).map_err(&failed)?;
                utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(&failed)
            }
        }
    }

    /// Removes what is in the way; says whether a directory is there to be filled.
    fn make_room(
        &self,
        member: &Member,
        parts: &[&[u8]],
        parent: BorrowedFd<'_>,
        name: &[u8],
    ) -> Result<bool> {
        let present = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => inside::kind(&stat) == FileType::Directory,
            Err(Errno::NOENT) => return Ok(false),
            Err(error) => return Err(Error::on("statat", &member.path)(error)),
        };
        let wanted = member.kind == Kind::Directory;
        let path = || quoted(&parts.join(&b'/'));
        match (present, wanted) {
            (true, true) => return Ok(true),
            (true, false) if self.options.no_overwrite_dir_non_dir => {
                return Err(Error::Refused(format!(
                    "cannot overwrite directory {} with non-directory {}",
                    path(),
                    quoted(self.destination.as_bytes())
                )));
            }
            (false, true) if self.options.no_overwrite_dir_non_dir => {
                return Err(Error::Refused(format!(
                    "cannot overwrite non-directory {} with directory {}",
                    path(),
                    quoted(self.destination.as_bytes())
                )));
            }
            _ => {}
        }
        remove(parent, name).map_err(Error::on("unlinkat", &member.path))?;
        Ok(false)
    }

    fn hard_link(&self, member: &Member, parent: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
        let refused = || Error::Refused(format!("invalid hardlink target {}", quoted(&member.link)));
        let target = clean(&member.link).ok_or_else(refused)?;
        let (&file, above) = target.split_last().ok_or_else(refused)?;
        let directory = inside::below(self.top.as_fd(), above).map_err(|e| astray(e, above, &member.link))?;
        // The link itself if the target is a symbolic one: nothing is followed.
        linkat(&directory, file, parent, name, AtFlags::empty()).map_err(Error::on("linkat", &member.path))
    }

    fn fill<R: BufRead>(&mut self, tar: &mut Tar<R>, member: &Member, mut file: &File) -> Result<()> {
        let written = |source| Error::Io {
            what: format!("write {}", String::from_utf8_lossy(&member.path)),
            source,
        };
        let whole = [(0, member.size)];
        let pieces = match &member.sparse {
            Some(pieces) => {
                file.set_len(member.size).map_err(written)?;
                &pieces[..]
            }
            None => &whole,
        };
        for &(offset, mut length) in pieces {
            if offset > 0 {
                file.seek(SeekFrom::Start(offset)).map_err(written)?;
            }
            while length > 0 {
                let want = usize::try_from(length)
                    .unwrap_or(usize::MAX)
                    .min(self.buffer.len());
                let count = tar.read(&mut self.buffer[..want]).map_err(read_error)?;
                if count == 0 {
                    return Err(read_error(ErrorKind::UnexpectedEof.into()));
                }
                file.write_all(&self.buffer[..count]).map_err(written)?;
                length -= count as u64;
            }
        }
        Ok(())
    }

    fn remember(&mut self, parts: &[&[u8]], times: Timestamps) {
        let path = parts.join(&b'/');
        self.later.bytes += path.len() + size_of::<(Vec<u8>, Timestamps)>();
        self.later.directories.push_back((path, times));
        if self.later.bytes > LATER_MAX {
            // So many directories that remembering them all is an attack: some keep the time of their filling.
            self.set_directory_times();
        }
    }

    fn set_directory_times(&mut self) {
        self.later.bytes = 0;
        while let Some((path, times)) = self.later.directories.pop_front() {
            let parts: Vec<&[u8]> = path.split(|&b| b == b'/').collect();
            let Some((&name, above)) = parts.split_last() else {
                continue;
            };
            // It may have been replaced since by something else, which has its own time.
            let directory = inside::below(self.top.as_fd(), above)
                .and_then(|parent| Ok(inside::subdirectory(parent.as_fd(), name)?));
            if let Ok(directory) = directory {
                let _ = futimens(&directory, &times);
            }
        }
    }
}

/// The names on the way to an entry, cleaned as Go does; `None` if it leads above where it starts.
fn clean(name: &[u8]) -> Option<Vec<&[u8]>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            // Above the root of an absolute name there is only the root.
            b".." if parts.is_empty() && name.starts_with(b"/") => {}
            b".." => drop(parts.pop()?),
            part if part.contains(&0) => return None,
            part => parts.push(part),
        }
    }
    Some(parts)
}

fn quoted(name: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(&name[..name.len().min(4096)]))
}

fn astray(error: Astray, above: &[&[u8]], path: &[u8]) -> Error {
    match error {
        Astray::Os(errno) => Error::on("openat", path)(errno),
        Astray::Escapes => {
            let above = above.join(&b'/');
            let above = String::from_utf8_lossy(&above[..above.len().min(4096)]);
            Error::Refused(format!("statat {above}: path escapes from parent"))
        }
    }
}

/// Removes whatever is at a name, with everything below it. Directories that appear meanwhile are met again.
fn remove(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        Err(Errno::NOENT) => return Ok(()),
        other => return other,
    }
    let open =
        |parent: BorrowedFd<'_>, name: &[u8]| inside::subdirectory(parent, name).and_then(Listing::open);
    let mut levels = vec![open(parent, name)?];
    let mut names: Vec<std::ffi::CString> = Vec::new();
    loop {
        let depth = levels.len();
        let Some(level) = levels.last_mut() else {
            return Ok(());
        };
        match level.next()? {
            Some(below) => match unlinkat(&level.fd, &*below, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::ISDIR) if depth >= DEPTH_MAX => return Err(Errno::NAMETOOLONG),
                Err(Errno::ISDIR) => {
                    let next = open(level.fd.as_fd(), below.to_bytes())?;
                    names.push(below);
                    levels.push(next);
                }
                other => return other,
            },
            None => {
                levels.pop();
                let gone = match (levels.last(), names.pop()) {
                    (Some(above), Some(name)) => unlinkat(&above.fd, &*name, AtFlags::REMOVEDIR),
                    _ => unlinkat(parent, name, AtFlags::REMOVEDIR),
                };
                match gone {
                    Ok(()) | Err(Errno::NOENT) => {}
                    other => return other,
                }
            }
        }
    }
}
