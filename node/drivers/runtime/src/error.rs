//! Why a process could not be made, in the words that Docker's clients look for.

use std::fmt::Display;
use std::path::Path;

use rustix::io::Errno;

/// A failed start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What Docker reports as exit code: 126 not executable, 127 not found, 128 everything else.
    pub code: i32,
    pub message: String,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            code: 128,
            message: message.into(),
        }
    }

    pub fn with_code(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// `what: reason`, the reason being the system's text for `errno`.
    pub fn os(what: impl Display, errno: Errno) -> Self {
        Self::new(format!("{what}: {}", text(errno)))
    }
}

/// For `map_err`: what was attempted.
pub fn doing(what: impl Display) -> impl FnOnce(Errno) -> Error {
    move |errno| Error::os(what, errno)
}

/// For `map_err`: what was attempted on which path.
pub fn on<'a>(what: &'a str, path: &'a Path) -> impl FnOnce(Errno) -> Error + 'a {
    move |errno| Error::os(format_args!("{what} {}", path.display()), errno)
}

/// The system's text as Go prints it (lower case, no number), which is what reaches Docker's users.
pub fn text(errno: Errno) -> String {
    match errno {
        Errno::NOENT => "no such file or directory".into(),
        Errno::ACCESS => "permission denied".into(),
        Errno::PERM => "operation not permitted".into(),
        Errno::NOTDIR => "not a directory".into(),
        Errno::ISDIR => "is a directory: permission denied".into(),
        Errno::INVAL => "invalid argument".into(),
        Errno::NOEXEC => "exec format error".into(),
        Errno::LOOP => "too many levels of symbolic links".into(),
        Errno::TOOBIG => "argument list too long".into(),
        Errno::NOMEM => "cannot allocate memory".into(),
        Errno::NOSPC => "no space left on device".into(),
        Errno::NODEV => "no such device".into(),
        Errno::ROFS => "read-only file system".into(),
        Errno::EXIST => "file exists".into(),
        Errno::BUSY => "device or resource busy".into(),
        Errno::AGAIN => "resource temporarily unavailable".into(),
        Errno::TXTBSY => "text file busy".into(),
        other => {
            let text = std::io::Error::from(other).to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            let mut chars = text.chars();
            chars
                .next()
                .map(|c| c.to_lowercase().chain(chars).collect())
                .unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_go_s() {
        assert_eq!(text(Errno::NOENT), "no such file or directory");
        assert_eq!(text(Errno::NAMETOOLONG), "file name too long");
        assert_eq!(
            Error::os("open x", Errno::ACCESS).message,
            "open x: permission denied"
        );
    }
}
