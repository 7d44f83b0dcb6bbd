//! The one error that crosses the contract: a class, which becomes a status, and a message in Docker's words.

/// Why a call was refused or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// 400
    InvalidParameter,
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 409
    Conflict,
    /// 304: nothing to do; has no body
    NotModified,
    /// 500
    System,
    /// 501
    NotImplemented,
    /// 503
    Unavailable,
}

/// A class and a message; the message goes to the client as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub class: Class,
    pub message: String,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
        }
    }
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Class::InvalidParameter, message)
    }
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(Class::Unauthorized, message)
    }
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Class::Forbidden, message)
    }
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Class::NotFound, message)
    }
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Class::Conflict, message)
    }
    pub fn not_modified() -> Self {
        Self::new(Class::NotModified, "")
    }
    pub fn system(message: impl Into<String>) -> Self {
        Self::new(Class::System, message)
    }
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Class::Unavailable, message)
    }
    /// For an operation that this engine does not have; `what` is what was asked for.
    pub fn not_implemented(what: &str) -> Self {
        Self::new(Class::NotImplemented, format!("{what} is not implemented"))
    }
}
