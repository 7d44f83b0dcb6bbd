//! What can go wrong between a call and its answer.

use http::StatusCode;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine refused or failed; the message is the engine's.
    #[error("{message}")]
    Api { status: StatusCode, message: String },
    #[error("Cannot connect to the Docker daemon at {endpoint}. Is the docker daemon running?")]
    Connect {
        endpoint: String,
        reason: std::io::Error,
    },
    #[error("error during connect: {endpoint}: {reason}")]
    Tls { endpoint: String, reason: String },
    #[error("could not load {what} {path}: {reason}")]
    File {
        what: &'static str,
        path: String,
        reason: String,
    },
    #[error("invalid host {host:?}: {reason}")]
    Host { host: String, reason: &'static str },
    #[error("context {0:?} does not exist")]
    NoContext(String),
    #[error("error during connect: {0}")]
    Http(#[from] hyper::Error),
    #[error("could not build the request: {0}")]
    Request(#[from] http::Error),
    #[error("could not read the answer to {call}: {reason}")]
    Decode { call: String, reason: serde_json::Error },
    #[error("could not encode the request: {0}")]
    Encode(serde_json::Error),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("the engine did not hand over the connection for {call}: status {status}")]
    NotUpgraded { call: String, status: StatusCode },
    #[error("Error response from daemon: invalid stream: {0}")]
    Frame(&'static str),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The status that the engine answered with, if it answered.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Api { status, .. } | Self::NotUpgraded { status, .. } => Some(*status),
            _ => None,
        }
    }
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }
}
