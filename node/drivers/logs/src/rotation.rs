//! The names of a rotated log: `path` is current, `path.1` the one before it, and so on.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The `n`th older file; 0 is the current one.
pub(crate) fn nth(path: &Path, n: u32) -> PathBuf {
    if n == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    name.into()
}

/// Moves every file one place back and drops the oldest, so that `path` is free. With `max_file` 1 nothing is
/// moved: the caller replaces the current file.
pub(crate) fn shift(path: &Path, max_file: u32) -> io::Result<()> {
    for n in (0..max_file.saturating_sub(1)).rev() {
        match fs::rename(nth(path, n), nth(path, n + 1)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
