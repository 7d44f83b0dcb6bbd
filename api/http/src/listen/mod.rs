//! Where the API is listened for: unix socket, TCP, TCP with TLS, sockets handed over by systemd.

mod accept;
pub(crate) mod local;
pub(crate) mod room;
mod systemd;
mod tls;
mod unix;

pub use accept::{Serving, serve};
pub use tls::TlsFiles;

use std::borrow::Cow;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, UnixListener};

/// A socket that is bound and listens.
pub enum Listener {
    Unix {
        listener: UnixListener,
        /// Removed at the end, when the socket was made by us.
        path: Option<PathBuf>,
    },
    Tcp(TcpListener),
    Tls(TcpListener, Arc<rustls::ServerConfig>),
}

/// Why a socket could not be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("can't create unix socket {path}: {reason}")]
    Unix { path: PathBuf, reason: std::io::Error },
    #[error("could not change group {path} to {group}: {reason}")]
    Group {
        path: PathBuf,
        group: String,
        reason: String,
    },
    #[error("listen tcp {address}: {reason}")]
    Tcp { address: String, reason: std::io::Error },
    #[error("could not load {what} {path}: {reason}")]
    TlsFile {
        what: &'static str,
        path: PathBuf,
        reason: String,
    },
    #[error("could not set up TLS: {0}")]
    Tls(String),
    #[error("no sockets found: systemd passed none to this process")]
    NoSystemdSockets,
    #[error("socket {index} passed by systemd: {reason}")]
    Systemd { index: usize, reason: std::io::Error },
}

impl Listener {
    /// Binds `path` with mode 0660, owned by `group` if it exists. A socket left behind by a dead process is replaced, one that
    /// somebody listens on is not. A group that was asked for by name (not the default `docker`) must exist.
    pub fn unix(path: &Path, group: Option<&str>) -> Result<Self, BindError> {
        unix::bind(path, group)
    }

    /// `host:port`; the host may be a name. Plain TCP gives root to whoever reaches it: see [`plain_tcp_is_safe`].
    pub async fn tcp(address: &str) -> Result<Self, BindError> {
        Ok(Self::Tcp(bind_tcp(address).await?))
    }

    /// As [`Listener::tcp`], with TLS. With `files.ca`, a client must show a certificate signed by it.
    pub async fn tls(address: &str, files: &TlsFiles) -> Result<Self, BindError> {
        let config = tls::server_config(files)?;
        Ok(Self::Tls(bind_tcp(address).await?, config))
    }

    /// The sockets that systemd passed (`fd://`); TCP ones with TLS when `files` is given.
    pub fn systemd(files: Option<&TlsFiles>) -> Result<Vec<Self>, BindError> {
        systemd::take(files)
    }

    /// The address bound to, for TCP.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Unix { .. } => None,
            Self::Tcp(listener) | Self::Tls(listener, _) => listener.local_addr().ok(),
        }
    }
}

/// `localhost` is loopback whatever a resolver, or a missing hosts file, says of it (RFC 6761 section 6.3).
fn without_resolver(address: &str) -> Cow<'_, str> {
    match address.strip_prefix("localhost:") {
        Some(port) => Cow::Owned(format!("127.0.0.1:{port}")),
        None => Cow::Borrowed(address),
    }
}

async fn bind_tcp(address: &str) -> Result<TcpListener, BindError> {
    TcpListener::bind(without_resolver(address).as_ref())
        .await
        .map_err(|reason| BindError::Tcp {
            address: address.to_owned(),
            reason,
        })
}

/// Whether `host:port` is reachable from this machine only, so that the API may be served there without TLS.
pub fn plain_tcp_is_safe(address: &str) -> bool {
    match without_resolver(address).to_socket_addrs() {
        Ok(addresses) => {
            let mut any = false;
            addresses
                .inspect(|_| any = true)
                .all(|address| address.ip().is_loopback())
                && any
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_loopback_is_safe_without_tls() {
        assert!(super::plain_tcp_is_safe("127.0.0.1:2375") && super::plain_tcp_is_safe("[::1]:2375"));
        assert!(super::plain_tcp_is_safe("localhost:2375"));
        assert!(!super::plain_tcp_is_safe("0.0.0.0:2375") && !super::plain_tcp_is_safe("10.0.0.1:2375"));
        assert!(!super::plain_tcp_is_safe("nonsense"));
    }
}
