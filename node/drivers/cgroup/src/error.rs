use std::io;
use std::path::{Path, PathBuf};

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call on a control group failed.
    #[error("{what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// The kernel refused a limit. Kept apart from `Io` because the value came from a user.
    #[error("set {} to {value:?}: {source}", path.display())]
    Refused {
        path: PathBuf,
        value: String,
        source: io::Error,
    },
    /// A limit that contradicts itself or another one.
    #[error("{0}")]
    Invalid(String),
    /// The host offers no control groups, or not the controller that a limit needs.
    #[error("{0}")]
    Unsupported(String),
    /// Something did not happen within its time limit.
    #[error("{what} {}: not done after {waited_ms} ms", path.display())]
    Timeout {
        what: &'static str,
        path: PathBuf,
        waited_ms: u64,
    },
}

impl Error {
    pub(crate) fn io(what: &'static str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> Error {
        Error::Io {
            what,
            path: path.as_ref().to_owned(),
            source: source.into(),
        }
    }

    /// Whether the group (or a file in it) does not exist.
    pub fn is_not_found(&self) -> bool {
        match self {
            // ENODEV is what an already open file of a removed group answers.
            Error::Io { source, .. } | Error::Refused { source, .. } => {
                source.kind() == io::ErrorKind::NotFound || source.raw_os_error() == Some(libc::ENODEV)
            }
            _ => false,
        }
    }
}
