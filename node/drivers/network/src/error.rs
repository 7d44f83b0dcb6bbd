use std::io;
use std::net::SocketAddr;

use shoal_node_core_host::netplan::Protocol;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused a request.
    #[error("{what}: {source}{}", said.as_ref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Refused {
        what: String,
        source: io::Error,
        said: Option<String>,
    },
    /// A system call failed before the kernel's network code saw a request.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    #[error("{what}: no answer from the kernel within {waited_ms} ms")]
    Timeout { what: String, waited_ms: u64 },
    #[error("{what}: the kernel's answer cannot be read")]
    Malformed { what: String },
    #[error("{0}")]
    Invalid(String),
    /// Another container of this daemon has the port.
    #[error("Bind for {0} failed: port is already allocated")]
    PortTaken(SocketAddr),
    /// Some process of the host (or another daemon) has the port.
    #[error("failed to bind host port for {address}{}/{protocol}: {source}", container.map(|c| format!(":{c}")).unwrap_or_default())]
    PortBusy {
        address: SocketAddr,
        container: Option<SocketAddr>,
        protocol: Protocol,
        source: BindError,
    },
    #[error("all ports are allocated")]
    PortsExhausted,
}

/// Why a host port could not be bound, in the words that Docker's clients know.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("address already in use")]
    InUse,
    #[error("cannot assign requested address")]
    NoSuchAddress,
    #[error("{0}")]
    Other(io::Error),
}

impl Error {
    pub(crate) fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Error {
        Error::Io {
            what: what.into(),
            source: source.into(),
        }
    }

    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            Error::Refused { source, .. } | Error::Io { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// Whether the thing that was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self.errno(), Some(libc::ENOENT | libc::ENODEV))
    }

    /// Whether something of that name is there already.
    pub fn is_exists(&self) -> bool {
        self.errno() == Some(libc::EEXIST)
    }
}
