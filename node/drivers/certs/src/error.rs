//! What can go wrong with certificates.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot make {what}: {source}")]
    Make {
        what: &'static str,
        source: rcgen::Error,
    },
    #[error("certificate request is not valid: {0}")]
    Request(rcgen::Error),
    #[error("cannot read {what}: {why}")]
    Parse { what: &'static str, why: String },
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: std::io::Error },
}

impl Error {
    pub(crate) fn parse(what: &'static str, why: impl ToString) -> Self {
        Error::Parse {
            what,
            why: why.to_string(),
        }
    }
}
