//! What can go wrong, in the words that Docker's clients know.

use rustix::io::Errno;
use std::io;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path, or something that an archive relies on, is not there.
    #[error("{0}: no such file or directory")]
    NotFound(String),
    #[error("extraction point is not a directory")]
    NotADirectory,
    /// The archive is damaged, or asks for what it must not have.
    #[error("{0}")]
    Refused(String),
    #[error("{what}: {}", words(.source))]
    Io { what: String, source: io::Error },
    /// Nobody takes the output any more, or the input broke off.
    #[error("{}", words(.0))]
    Stream(io::Error),
}

impl Error {
    pub(crate) fn os(what: impl Into<String>, errno: Errno) -> Error {
        match errno {
            Errno::NOENT => Error::NotFound(what.into()),
            errno => Error::Io {
                what: what.into(),
                source: errno.into(),
            },
        }
    }

    pub(crate) fn on(operation: &str, name: &[u8]) -> impl Fn(Errno) -> Error + use<> {
        let name = &name[..name.len().min(4096)];
        let what = format!("{operation} {}", String::from_utf8_lossy(name));
        move |errno| Error::os(what.clone(), errno)
    }
}

/// The system's words without Rust's number, as Go prints them.
fn words(error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        Some(_) => error.to_string(),
        None => return error.to_string(),
    };
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    match (chars.next(), text.chars().nth(1)) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}
