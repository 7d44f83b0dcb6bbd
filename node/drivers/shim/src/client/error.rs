//! What can go wrong between the engine and a shim.

use std::io;
use std::path::PathBuf;

use crate::{StartError, frame};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The container's or exec's process could not be started; the text is Docker's.
    #[error(transparent)]
    NotStarted(#[from] StartError),
    /// The shim said no: the text says why (no such exec, not running, ..).
    #[error("{0}")]
    Refused(String),
    /// The shim has gone: the container has ended, or the shim was killed.
    #[error("the container's shim is gone")]
    Gone,
    #[error("{what} {path}: {source}")]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Frame(#[from] frame::Error),
}

impl Error {
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { what, path, source }
    }
}
