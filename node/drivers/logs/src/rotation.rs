//! The names of a rotated log: `path` is current, `path.1` the one before it, and so on; an older one may have been
//! compressed to `path.N.gz`. Writer and compressor both rename, so they exclude each other by a lock on the directory,
//! for which the writer never waits.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// The `n`th older file; 0 is the current one.
pub(crate) fn nth(path: &Path, n: u32) -> PathBuf {
    if n == 0 {
        return path.to_owned();
    }
    with(path, &format!(".{n}"))
}

/// The same, compressed.
pub(crate) fn nth_packed(path: &Path, n: u32) -> PathBuf {
    with(path, &format!(".{n}.gz"))
}

pub(crate) fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Held while names change. Dropping it lets go.
pub(crate) struct Names {
    _directory: File,
}

impl Names {
    /// `None` if the other side has it just now.
    pub fn try_lock(path: &Path) -> io::Result<Option<Names>> {
        let directory = File::open(path.parent().unwrap_or(Path::new(".")))?;
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Names {
                _directory: directory,
            })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Moves every file one place back and drops the oldest, so that `path` is free. With `max_file` 1 nothing is
/// moved: the caller replaces the current file.
pub(crate) fn shift(path: &Path, max_file: u32) -> io::Result<()> {
    let last = max_file.saturating_sub(1);
    if last > 0 {
        remove(&nth_packed(path, last))?;
    }
    for n in (0..last).rev() {
        rename(&nth(path, n), &nth(path, n + 1))?;
        if n > 0 {
            rename(&nth_packed(path, n), &nth_packed(path, n + 1))?;
        }
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
