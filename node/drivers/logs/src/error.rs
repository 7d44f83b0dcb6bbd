//! What can fail when a log is written or read.

use std::io;
use std::path::{Path, PathBuf};

pub type Result<T> = std::result::Result<T, Error>;

/// What was attempted on which file, and why it failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} log {}: {source}", path.display())]
pub struct Error {
    pub attempt: &'static str,
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

impl Error {
    pub(crate) fn new(attempt: &'static str, path: &Path, source: impl Into<io::Error>) -> Error {
        Error {
            attempt,
            path: path.to_owned(),
            source: source.into(),
        }
    }
}
