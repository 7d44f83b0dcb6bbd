//! What can go wrong with volumes.

use std::io;
use std::path::{Path, PathBuf};

pub type Result<T> = std::result::Result<T, Error>;

/// Every text is the whole message in Docker's words; the variant is its class.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 404.
    #[error("get {0}: no such volume")]
    NotFound(String),
    /// A bad name or option (400).
    #[error("{0}")]
    InvalidParameter(String),
    /// What its options describe cannot be mounted (500).
    #[error("error while mounting volume '{}': {why}", path.display())]
    Mount { path: PathBuf, why: String },
    /// The disk refused (500).
    #[error("cannot {attempt} {}: {source}", path.display())]
    Storage {
        attempt: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn storage(attempt: &'static str, path: &Path, source: impl Into<io::Error>) -> Error {
        Error::Storage {
            attempt,
            path: path.to_owned(),
            source: source.into(),
        }
    }
}
