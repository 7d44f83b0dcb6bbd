//! What can go wrong between a client and a daemon.

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Docker's text, which scripts match on.
    #[error("Cannot connect to the Docker daemon at {target}. Is the docker daemon running? ({source})")]
    Connect { target: String, source: std::io::Error },
    /// The daemon's own words, with the status it gave.
    #[error("Error response from daemon: {message}")]
    Daemon { status: u16, message: String },
    #[error("talking to the daemon: {0}")]
    Http(#[from] hyper::Error),
    #[error("talking to the daemon: {0}")]
    Io(#[from] std::io::Error),
    #[error("the daemon's answer is not what was expected: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Target(String),
}

impl Error {
    /// The HTTP status, where the daemon gave one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Error::Daemon { status, .. } => Some(*status),
            _ => None,
        }
    }
}
