//! Applying one layer's archive to an empty directory, whiteouts turned into overlayfs' own.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, chownat, fchmod, fchown, fstat,
    futimens, linkat, makedev, mkdirat, mknodat, openat, symlinkat, utimensat,
};

use rustix::io::Errno;

use super::{Limits, Warm, at, xattrs};
use crate::store::block::{Block, Past};
use shoal_node_core_host::tarball::{Kind, Member, Tar, damaged};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Old AUFS bookkeeping (`.wh..wh.plnk` and others).
const AUFS: &[u8] = b".wh..wh.";
/// Bytes of names kept to set directories' times at the end.
const LATER_MAX: usize = 16 << 20;

/// Unpacks everything; returns the bytes of its files.
pub(super) fn archive(source: impl BufRead, target: &Path, limits: Limits, warm: &Warm) -> io::Result<u64> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(target, flags, Mode::empty())?;
    let mut tar = Tar::new(source);
    let mut applier = Applier {
        root,
        parent: None,
        later: Later::default(),
        size: 0,
        warm,
        block: None,
    };
    let mut count = 0;
    while let Some(member) = tar.next_member()? {
        count += 1;
        if count > limits.entries {
            return Err(damaged("too many entries in one layer"));
        }
        applier.apply(&mut tar, &member)?;
    }
    applier.set_directory_times();
    Ok(applier.size)
}

struct Applier<'a> {
    root: OwnedFd,
    /// The directory that the last entry was in: most entries follow their siblings.
    parent: Option<(Vec<u8>, OwnedFd)>,
    later: Later,
    size: u64,
    warm: &'a Warm,
    /// For files that go past the page cache.
    block: Option<Block>,
}

/// Times of directories, which change again while they are filled.
#[derive(Default)]
struct Later {
    directories: VecDeque<(Vec<u8>, Timestamps)>,
    bytes: usize,
}

impl Applier<'_> {
    fn apply<R: BufRead>(&mut self, tar: &mut Tar<R>, member: &Member) -> io::Result<()> {
        let parts = at::clean(&member.path)?;
        let Some((&name, above)) = parts.split_last() else {
            return self.root_directory(member);
        };
        let parent = self.enter(above)?;
        let result = self.place(tar, member, &parts, parent.as_fd(), name);
        self.parent.get_or_insert((above.join(&b'/'), parent));
        result
    }

    fn place<R: BufRead>(
        &mut self,
        tar: &mut Tar<R>,
        member: &Member,
        parts: &[&[u8]],
        parent: BorrowedFd,
        name: &[u8],
    ) -> io::Result<()> {
        if name == OPAQUE {
            return xattrs::make_opaque(parent);
        }
        if name.starts_with(AUFS) {
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return whiteout(parent, hidden);
        }
        let present = match member.kind {
            // Seen when it is made.
            Kind::File => None,
            _ => at::kind(parent, name)?,
        };
        let merge = member.kind == Kind::Directory && matches!(present, Some((FileType::Directory, _)));
        if present.is_some() && !merge {
            at::remove(parent, name)?;
        }
        let owner = (Some(Uid::from_raw(member.uid)), Some(Gid::from_raw(member.gid)));
        let mode = Mode::from_raw_mode(member.mode);
        let times = timestamps(member.mtime);
        let failed = at::named(name);
        match member.kind {
            Kind::Directory => {
                if !merge {
                    mkdirat(parent, name, Mode::from_raw_mode(0o700)).map_err(&failed)?;
                }
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let directory = openat(parent, name, flags, Mode::empty()).map_err(&failed)?;
                fchown(&directory, owner.0, owner.1).map_err(&failed)?;
                fchmod(&directory, mode).map_err(&failed)?;
                xattrs::set(&directory, &member.xattrs)?;
                if matches!(present, Some((FileType::CharacterDevice, 0))) {
                    // Deleted and made anew in one layer: what lies below must stay hidden.
                    xattrs::make_opaque(&directory)?;
                }
                self.remember(parts, times);
                return Ok(());
            }
            Kind::File => return self.file(tar, member, parent, name),
            Kind::HardLink => return self.hard_link(member, parent, name),
            Kind::Symlink => {
                if member.link.is_empty() || member.link.contains(&0) {
                    return Err(damaged("invalid link target"));
                }
                symlinkat(&member.link[..], parent, name).map_err(&failed)?;
            }
            Kind::Fifo => mknodat(parent, name, FileType::Fifo, mode, 0).map_err(&failed)?,
            Kind::CharDevice | Kind::BlockDevice => {
                let kind = match member.kind {
                    Kind::CharDevice => FileType::CharacterDevice,
                    _ => FileType::BlockDevice,
                };
                let device = makedev(member.device.0, member.device.1);
                mknodat(parent, name, kind, mode, device).map_err(&failed)?;
            }
        }
        chownat(parent, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW).map_err(&failed)?;
        if member.kind != Kind::Symlink {
            // Just made by us in a directory that nobody else sees, and not a link: following is harmless, and
            // needed to set the bits that the umask took.
            rustix::fs::chmodat(parent, name, mode, AtFlags::empty()).map_err(&failed)?;
        }
        utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(&failed)
    }

    /// What makes up most of a layer: as few calls as will do.
    fn file<R: BufRead>(
        &mut self,
        tar: &mut Tar<R>,
        member: &Member,
        parent: BorrowedFd,
        name: &[u8],
    ) -> io::Result<()> {
        let failed = at::named(name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Nobody else sees the directory: the file may be open to others before it is whole.
        let create = || openat(parent, name, flags, Mode::from_raw_mode(member.mode & 0o777));
        let file = match create() {
            Err(Errno::EXIST) => {
                at::remove(parent, name)?;
                create()
            }
            other => other,
        };
        let file = File::from(file.map_err(&failed)?);
        match member.sparse.is_some() || self.warm.takes(member.size) {
            true => fill(tar, member, &file)?,
            false => {
                let block = match self.block.take() {
                    Some(block) => block,
                    None => Block::new()?,
                };
                past(tar, &file, self.block.insert(block))?
            }
        };
        // Owner before mode, and both before capabilities: chown clears setuid and capabilities. Most files have both as
        // they are made.
        let made = fstat(&file).map_err(&failed)?;
        let moved = (made.st_uid, made.st_gid) != (member.uid, member.gid);
        if moved {
            let owner = (Some(Uid::from_raw(member.uid)), Some(Gid::from_raw(member.gid)));
            fchown(&file, owner.0, owner.1).map_err(&failed)?;
        }
        if moved || made.st_mode & 0o7777 != member.mode {
            fchmod(&file, Mode::from_raw_mode(member.mode)).map_err(&failed)?;
        }
        xattrs::set(&file, &member.xattrs)?;
        futimens(&file, &timestamps(member.mtime)).map_err(&failed)?;
        self.size += member.size;
        Ok(())
    }

    /// The directory to work in, made if the archive did not name it.
    fn enter(&mut self, above: &[&[u8]]) -> io::Result<OwnedFd> {
        if let Some((path, fd)) = self.parent.take()
            && path == above.join(&b'/')
        {
            return Ok(fd);
        }
        at::directory_made(self.root.as_fd(), above)
    }

    fn root_directory(&mut self, member: &Member) -> io::Result<()> {
        if member.kind != Kind::Directory {
            return Err(damaged("the root of the layer is not a directory"));
        }
        fchown(
            &self.root,
            Some(Uid::from_raw(member.uid)),
            Some(Gid::from_raw(member.gid)),
        )?;
        fchmod(&self.root, Mode::from_raw_mode(member.mode))?;
        xattrs::set(&self.root, &member.xattrs)?;
        self.remember(&[], timestamps(member.mtime));
        Ok(())
    }

    fn hard_link(&mut self, member: &Member, parent: BorrowedFd, name: &[u8]) -> io::Result<()> {
        let target = at::clean(&member.link)?;
        let Some((&file, above)) = target.split_last() else {
            return Err(damaged("a hard link to the root of the layer"));
        };
        let directory = at::directory(self.root.as_fd(), above)?;
        // The link itself if the target is a symbolic one: nothing is followed.
        let link = linkat(&directory, file, parent, name, AtFlags::empty());
        link.map_err(|errno| match errno {
            Errno::NOENT | Errno::PERM => damaged(format!(
                "cannot link {:?} to {:?}",
                String::from_utf8_lossy(&member.path),
                String::from_utf8_lossy(&member.link)
            )),
            other => at::named(name)(other),
        })
    }

    fn remember(&mut self, parts: &[&[u8]], times: Timestamps) {
        let path = parts.join(&b'/');
        self.later.bytes += path.len() + size_of::<Timestamps>();
        self.later.directories.push_back((path, times));
        if self.later.bytes > LATER_MAX {
            // So many directories that remembering them all is an attack: some keep the time of their filling.
            self.set_directory_times();
        }
    }

    fn set_directory_times(&mut self) {
        self.later.bytes = 0;
        while let Some((path, times)) = self.later.directories.pop_front() {
            let parts: Vec<&[u8]> = path
                .split(|&b| b == b'/')
                .filter(|part| !part.is_empty())
                .collect();
            // It may have been replaced since by something else, which has its own time.
            if let Ok(directory) = at::directory(self.root.as_fd(), &parts) {
                let _ = futimens(&directory, &times);
            }
        }
    }
}

fn fill<R: BufRead>(tar: &mut Tar<R>, member: &Member, mut file: &File) -> io::Result<()> {
    let Some(pieces) = &member.sparse else {
        return copy(tar, file, u64::MAX).map(drop);
    };
    file.set_len(member.size)?;
    for &(offset, length) in pieces {
        file.seek(SeekFrom::Start(offset))?;
        if copy(tar, file, length)? < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// Writes the entry's bytes past the page cache.
fn past<R: BufRead>(tar: &mut Tar<R>, file: &File, block: &mut Block) -> io::Result<()> {
    let mut past = Past::new(file);
    block.begin(0);
    loop {
        let count = block.take(tar.data()?);
        tar.consume(count);
        if block.is_full() || count == 0 {
            past.write(file, block)?;
            block.begin(block.end());
        }
        if count == 0 {
            return Ok(());
        }
    }
}

/// Writes the entry's next bytes, as many as there are up to `length`; says how many.
fn copy<R: BufRead>(tar: &mut Tar<R>, mut file: &File, length: u64) -> io::Result<u64> {
    let mut copied = 0;
    while copied < length {
        let there = tar.data()?;
        let want = there
            .len()
            .min(usize::try_from(length - copied).unwrap_or(usize::MAX));
        if want == 0 {
            break;
        }
        file.write_all(&there[..want])?;
        tar.consume(want);
        copied += want as u64;
    }
    Ok(copied)
}

/// Hides a name of the lower layers. What this layer itself has there stays: a whiteout is only about lower ones.
fn whiteout(parent: BorrowedFd, name: &[u8]) -> io::Result<()> {
    if matches!(name, b"" | b"." | b"..") {
        return Err(damaged("a whiteout of nothing"));
    }
    match at::kind(parent, name)? {
        None => mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0).map_err(at::named(name)),
        Some((FileType::Directory, _)) => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            xattrs::make_opaque(openat(parent, name, flags, Mode::empty()).map_err(at::named(name))?)
        }
        Some(_) => Ok(()),
    }
}

fn timestamps((seconds, nanos): (i64, u32)) -> Timestamps {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanos.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
