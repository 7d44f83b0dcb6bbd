//! What can go wrong between us and a plugin.

use std::time::Duration;

pub type Result<T> = std::result::Result<T, Error>;

/// The texts are Docker's where it has one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No socket, no description of that name.
    #[error("plugin {0:?} not found")]
    NotFound(String),
    /// It is there but serves other interfaces.
    #[error(
        "Plugin does not implement the requested driver: plugin {name:?} does not implement {interface:?}"
    )]
    NotImplemented { name: String, interface: String },
    /// Its description cannot be used.
    #[error("plugin {name:?}: {why}")]
    Description { name: String, why: String },
    /// Nobody answers.
    #[error("cannot reach plugin {name:?} at {address}: {why}")]
    Unreachable {
        name: String,
        address: String,
        why: String,
    },
    /// It took the request, and has not answered in time.
    #[error("plugin {name:?} has not answered {method} within {limit:?}")]
    TimedOut {
        name: String,
        method: String,
        limit: Duration,
    },
    /// It answered with another status than 200. `message` is what it says of it.
    #[error("{method}: {message}")]
    Refused {
        method: String,
        status: u16,
        message: String,
    },
    /// It answered with something else than what was asked for.
    #[error("plugin {name:?} answered {method} with something that cannot be read: {why}")]
    Answer {
        name: String,
        method: String,
        why: String,
    },
}
