//! What can go wrong with images, told apart by what a caller must do about it.

use std::io;
use std::path::{Path, PathBuf};

pub type Result<T> = std::result::Result<T, Error>;

/// Every text is the whole message in Docker's words; the variant is its class.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such image here, or no such manifest or repository in the registry (404).
    #[error("{0}")]
    NotFound(String),
    /// A name that cannot be one (400).
    #[error("{0}")]
    InvalidReference(String),
    /// A request or an archive that makes no sense (400).
    #[error("{0}")]
    InvalidParameter(String),
    /// The registry wants other credentials (401).
    #[error("{0}")]
    Unauthorized(String),
    /// The registry could not be reached or gave up half way (500).
    #[error("{0}")]
    Unreachable(String),
    /// The registry understood and said no; asking again would not help (500).
    #[error("{0}")]
    Refused(String),
    /// What a registry, an archive or the disk gave is not what its digest, size or format promises (500).
    #[error("{0}")]
    Corrupt(String),
    /// In use (409).
    #[error("{0}")]
    Conflict(String),
    /// The local disk refused (500).
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

    pub(crate) fn no_such_image(name: impl std::fmt::Display) -> Error {
        Error::NotFound(format!("No such image: {name}"))
    }
}
