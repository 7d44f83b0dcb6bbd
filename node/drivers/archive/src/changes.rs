//! What a container changed: its own layer compared with what lies below, as `docker diff` shows it.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Stat, statat};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::inside::{self, DEPTH_MAX};
use crate::overlay;
use crate::walk::Listing;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Modified,
    Added,
    Deleted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub kind: Kind,
    /// Absolute.
    pub path: String,
}

/// More than anybody reads; the answer is one piece of memory.
const CHANGES_MAX: usize = 1 << 20;

/// Compares the container's own directory with the layers below it, mounted as one. A directory counts as modified when
/// its owner or mode is another, or when something in it changed; in the order of names, a directory before what is in it.
pub fn changes(upper: BorrowedFd<'_>, lower: BorrowedFd<'_>) -> Result<Vec<Change>> {
    let mut differ = Differ {
        out: Vec::new(),
        path: Vec::new(),
        depth: 0,
    };
    let failed = Error::on("open", b"/");
    let upper = inside::directory(upper).map_err(&failed)?;
    let lower = inside::directory(lower).map_err(&failed)?;
    differ.directory(upper, Some(lower))?;
    Ok(differ.out)
}

struct Differ {
    out: Vec<Change>,
    path: Vec<u8>,
    depth: usize,
}

impl Differ {
    fn say(&mut self, kind: Kind) -> Result<()> {
        if self.out.len() >= CHANGES_MAX {
            return Err(Error::Refused(format!("more than {CHANGES_MAX} changes")));
        }
        self.out.push(Change {
            kind,
            path: String::from_utf8_lossy(&self.path).into_owned(),
        });
        Ok(())
    }

    /// Everything in a directory. `lower` is what was at its place, if that was a directory too.
    fn directory(&mut self, upper: OwnedFd, lower: Option<OwnedFd>) -> Result<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Error::on("read", &self.path)(Errno::NAMETOOLONG));
        }
        let failed = Error::on("read", &self.path);
        let opaque = overlay::is_opaque(upper.as_fd());
        let mut own = Listing::open(upper).map_err(&failed)?;
        let length = self.path.len();
        let lower = lower.as_ref().map(|fd| fd.as_fd());
        // What an opaque directory hides and does not have itself is gone.
        let mut hidden = BTreeSet::new();
        if let (true, Some(lower)) = (opaque, lower) {
            let mut below = Listing::open(inside::directory(lower).map_err(&failed)?).map_err(&failed)?;
            while let Some(name) = below.next().map_err(&failed)? {
                if hidden.len() >= CHANGES_MAX {
                    return Err(Error::Refused(format!("more than {CHANGES_MAX} changes")));
                }
                hidden.insert(name);
            }
        }
        while let Some(name) = own.next().map_err(&failed)? {
            while let Some(gone) = hidden.first().filter(|gone| **gone <= name).cloned() {
                hidden.remove(&gone);
                if gone < name {
                    self.at(length, gone.to_bytes());
                    self.say(Kind::Deleted)?;
                }
            }
            self.at(length, name.to_bytes());
            self.entry(own.fd.as_fd(), lower, name.to_bytes())?;
        }
        for gone in hidden {
            self.at(length, gone.to_bytes());
            self.say(Kind::Deleted)?;
        }
        self.path.truncate(length);
        self.depth -= 1;
        Ok(())
    }

    fn at(&mut self, length: usize, name: &[u8]) {
        self.path.truncate(length);
        self.path.push(b'/');
        self.path.extend_from_slice(name);
    }

    fn entry(&mut self, upper: BorrowedFd<'_>, lower: Option<BorrowedFd<'_>>, name: &[u8]) -> Result<()> {
        // The container may be taking it away right now.
        let Ok(now) = statat(upper, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return Ok(());
        };
        let before = match lower.map(|lower| statat(lower, name, AtFlags::SYMLINK_NOFOLLOW)) {
            Some(Ok(stat)) => Some(stat),
            Some(Err(Errno::NOENT)) | None => None,
            Some(Err(other)) => return Err(Error::on("lstat", &self.path)(other)),
        };
        if overlay::is_whiteout(&now) {
            return match before {
                Some(_) => self.say(Kind::Deleted),
                None => Ok(()),
            };
        }
        let is_dir = |stat: &Stat| inside::kind(stat) == FileType::Directory;
        let was_dir = before.as_ref().is_some_and(is_dir);
        let below = match (lower, was_dir) {
            (Some(lower), true) => {
                Some(inside::subdirectory(lower, name).map_err(Error::on("open", &self.path))?)
            }
            _ => None,
        };
        let place = self.out.len();
        match &before {
            None => self.say(Kind::Added)?,
            Some(before) if differs(before, &now) => self.say(Kind::Modified)?,
            Some(_) => {}
        }
        let told = self.out.len() > place;
        if is_dir(&now) {
            let Ok(upper) = inside::subdirectory(upper, name) else {
                return Ok(());
            };
            self.directory(upper, below)?;
        } else if let Some(below) = below {
            let failed = Error::on("read", &self.path);
            let length = self.path.len();
            let mut listing = Listing::open(below).map_err(&failed)?;
            while let Some(gone) = listing.next().map_err(&failed)? {
                self.at(length, gone.to_bytes());
                self.say(Kind::Deleted)?;
            }
            self.path.truncate(length);
        }
        if !told && self.out.len() > place {
            let path = String::from_utf8_lossy(&self.path).into_owned();
            let kind = Kind::Modified;
            self.out.insert(place, Change { kind, path });
        }
        Ok(())
    }
}

/// As Docker compares: a directory's size and time tell nothing.
fn differs(before: &Stat, now: &Stat) -> bool {
    let attributes = |s: &Stat| (s.st_mode, s.st_uid, s.st_gid, s.st_rdev);
    let contents = |s: &Stat| (s.st_size, s.st_mtime, s.st_mtime_nsec);
    attributes(before) != attributes(now)
        || inside::kind(now) != FileType::Directory && contents(before) != contents(now)
}
