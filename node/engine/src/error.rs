//! The engine's errors are the API's: a class and Docker's words.

use shoal_api_backend::Class;
pub use shoal_api_backend::Error;

pub type Result<T, E = Error> = std::result::Result<T, E>;

pub fn invalid(message: impl Into<String>) -> Error {
    Error::new(Class::InvalidParameter, message)
}

pub fn not_found(message: impl Into<String>) -> Error {
    Error::new(Class::NotFound, message)
}

pub fn conflict(message: impl Into<String>) -> Error {
    Error::new(Class::Conflict, message)
}

pub fn system(message: impl Into<String>) -> Error {
    Error::new(Class::System, message)
}

pub fn forbidden(message: impl Into<String>) -> Error {
    Error::new(Class::Forbidden, message)
}

pub fn not_implemented(message: impl Into<String>) -> Error {
    Error::new(Class::NotImplemented, message)
}

pub fn not_modified() -> Error {
    Error::new(Class::NotModified, "")
}

pub fn no_such_container(reference: &str) -> Error {
    not_found(format!("No such container: {reference}"))
}

/// The kernel's words without Rust's `(os error N)`, in lower case as Go writes them.
pub fn plain(e: &std::io::Error) -> String {
    let text = e.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// An input or output error on something of ours.
pub fn io(what: &str, on: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Error {
    let text = format!("{what} {on}");
    move |e| system(format!("{text}: {e}"))
}
