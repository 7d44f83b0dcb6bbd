//! A tree as a tar stream.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Stat, fstat, major, minor};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::inside::{self, DEPTH_MAX};
use crate::path::ClientPath;
use crate::shift::{Shift, Shifted};
use crate::walk::Listing;
use crate::write::{Entry, Type, Writer};
use crate::xattrs;

/// Bytes of names remembered to find files that have several; beyond, such a file is written once per name.
const NAMES_MAX: usize = 32 << 20;

/// Writes what is at `path` in `root`, named as `docker cp` expects it: by its last name, or by `.` and `/` where the
/// path ends so.
pub fn pack<W: Write>(root: BorrowedFd<'_>, path: &ClientPath, shift: &Shift, out: W) -> Result<W> {
    let fd = inside::open_itself(root, path.as_str().as_bytes());
    let fd = fd.map_err(Error::on("lstat", path.as_str().as_bytes()))?;
    let name = match path.base() {
        "/" => Vec::new(),
        name => name.as_bytes().to_vec(),
    };
    let mut packer = Packer::new(out);
    packer.shift = Shifted::new(shift, root);
    packer.tree(fd, name, true)?;
    packer.finish()
}

/// Writes everything in `root`, with names that are relative to it.
pub fn export<W: Write>(root: BorrowedFd<'_>, shift: &Shift, out: W) -> Result<W> {
    let mut packer = Packer::new(out);
    packer.shift = Shifted::new(shift, root);
    let top = inside::directory(root).map_err(Error::on("open", b"/"))?;
    packer.below(top, Vec::new(), false)?;
    packer.finish()
}

pub(crate) struct Packer<W: Write> {
    pub out: Writer<W>,
    /// Names in the archive of files with several names, by where they are.
    links: HashMap<(u64, u64), Vec<u8>>,
    bytes: usize,
    shift: Shifted,
}

impl<W: Write> Packer<W> {
    pub fn new(out: W) -> Packer<W> {
        Packer {
            out: Writer::new(out),
            links: HashMap::new(),
            bytes: 0,
            shift: Shifted::default(),
        }
    }

    pub fn finish(self) -> Result<W> {
        self.out.finish().map_err(Error::Stream)
    }

    /// One thing, by an `O_PATH` descriptor, and what is below it. `slashed`: names follow `name` after a slash.
    fn tree(&mut self, fd: OwnedFd, name: Vec<u8>, slashed: bool) -> Result<()> {
        let stat = fstat(&fd).map_err(Error::on("lstat", &name))?;
        self.one(fd.as_fd(), &stat, &name)?;
        if inside::kind(&stat) == FileType::Directory {
            let below = inside::directory(fd.as_fd()).map_err(Error::on("open", &name))?;
            self.below(below, name, slashed)?;
        }
        Ok(())
    }

    /// Everything below a directory whose name in the archive is `prefix`.
    pub fn below(&mut self, top: OwnedFd, prefix: Vec<u8>, slashed: bool) -> Result<()> {
        let mut name = prefix;
        if slashed {
            name.push(b'/');
        }
        let mut levels = vec![(Listing::open(top).map_err(Error::on("read", &name))?, name.len())];
        while let Some((listing, length)) = levels.last_mut() {
            name.truncate(*length);
            let Some(next) = listing.next().map_err(Error::on("read", &name))? else {
                levels.pop();
                continue;
            };
            name.extend_from_slice(next.to_bytes());
            // What is gone by now, or cannot be looked at, is left out.
            let Ok(fd) = inside::entry(listing.fd.as_fd(), next.to_bytes()) else {
                continue;
            };
            let Ok(stat) = fstat(&fd) else { continue };
            self.one(fd.as_fd(), &stat, &name)?;
            if inside::kind(&stat) == FileType::Directory {
                if levels.len() >= DEPTH_MAX {
                    return Err(Error::os("read a tree that is too deep", Errno::NAMETOOLONG));
                }
                let Ok(below) = inside::directory(fd.as_fd()).and_then(Listing::open) else {
                    continue;
                };
                name.push(b'/');
                levels.push((below, name.len()));
            }
        }
        Ok(())
    }

    /// An entry for one thing, with its data.
    pub fn one(&mut self, fd: BorrowedFd<'_>, stat: &Stat, name: &[u8]) -> Result<()> {
        let kind = match inside::kind(stat) {
            FileType::RegularFile => Type::File,
            FileType::Directory => Type::Directory,
            FileType::Symlink => Type::Symlink,
            FileType::Fifo => Type::Fifo,
            FileType::CharacterDevice => Type::CharDevice,
            FileType::BlockDevice => Type::BlockDevice,
            // A socket means nothing without who listens on it; tar has no word for it.
            _ => return Ok(()),
        };
        let slashed;
        let (uid, gid) = self.shift.inside(stat.st_dev, stat.st_uid, stat.st_gid);
        let mut entry = Entry {
            kind,
            name,
            link: b"",
            mode: stat.st_mode & 0o7777,
            uid,
            gid,
            mtime: stat.st_mtime,
            device: (0, 0),
            size: 0,
            xattrs: &[],
        };
        if kind == Type::Directory && !name.ends_with(b"/") {
            slashed = [name, b"/"].concat();
            entry.name = &slashed;
        }
        if matches!(kind, Type::CharDevice | Type::BlockDevice) {
            entry.device = (major(stat.st_rdev), minor(stat.st_rdev));
        }
        let target;
        if kind == Type::Symlink {
            let Ok(link) = inside::link_target(fd) else {
                return Ok(());
            };
            target = link;
            entry.link = &target;
            return self.out.header(&entry).map_err(Error::Stream);
        }
        let key = (stat.st_dev, stat.st_ino);
        if kind != Type::Directory && stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&key) {
                let again = Entry {
                    kind: Type::HardLink,
                    link: first,
                    ..entry
                };
                return self.out.header(&again).map_err(Error::Stream);
            }
            if self.bytes < NAMES_MAX {
                self.bytes += name.len() + size_of::<((u64, u64), Vec<u8>)>();
                self.links.insert(key, name.to_vec());
            }
        }
        let xattrs = match kind {
            Type::File | Type::Directory => xattrs::get(fd),
            _ => Vec::new(),
        };
        entry.xattrs = &xattrs;
        if kind != Type::File {
            return self.out.header(&entry).map_err(Error::Stream);
        }
        let file = match inside::file(fd) {
            Ok(file) => file,
            Err(errno) => return Err(Error::on("open", name)(errno)),
        };
        entry.size = u64::try_from(stat.st_size).unwrap_or(0);
        self.out.header(&entry).map_err(Error::Stream)?;
        self.out
            .data(file, entry.size)
            .map_err(|source| match source.kind() {
                io::ErrorKind::BrokenPipe => Error::Stream(source),
                _ => Error::Io {
                    what: format!("read {}", String::from_utf8_lossy(name)),
                    source,
                },
            })
    }
}
