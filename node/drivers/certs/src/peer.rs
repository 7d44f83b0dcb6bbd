//! Streams between nodes: TCP, TLS, and who is on the other side.

use crate::credentials::provider;
use crate::verify::Anyone;
use crate::{Credentials, Identity, ou};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use shoal_raft_objects::{NodeId, Role};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub type ClientStream = tokio_rustls::client::TlsStream<TcpStream>;
/// To a node that sends blobs.
pub type NodeStream = tokio_rustls::client::TlsStream<BufReader<TcpStream>>;
pub type ServerStream = tokio_rustls::server::TlsStream<TcpStream>;

/// A handshake that takes longer than this is given up.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes that are read from a node at a time: TLS by itself asks the kernel for 4 KiB.
const READ: usize = 64 << 10;
/// Bytes that are sealed before they are written: a frame of a blob (`api/wire::channel`) in one go.
const SEALED: usize = (256 << 10) + (4 << 10);

/// The other side of a connection that was accepted.
#[derive(Clone, Debug)]
pub struct Peer {
    pub addr: SocketAddr,
    /// Nothing for a client without a certificate. A certificate that is wrong never gets as far as here.
    pub identity: Option<Identity>,
}

impl Credentials {
    /// Connects to the manager at `addr` (`host:port`); anybody else behind that address is refused.
    pub async fn connect(&self, addr: &str) -> io::Result<ClientStream> {
        handshake(self.client.clone(), ou(Role::Manager), addr, |tcp| tcp).await
    }

    /// Connects to the node `node` at `addr` (`host:port`), whatever its role; anybody else is refused.
    pub async fn connect_to(&self, addr: &str, node: &NodeId) -> io::Result<NodeStream> {
        // Every certificate carries its node's id as a name.
        let read = |tcp| BufReader::with_capacity(READ, tcp);
        handshake(self.client.clone(), node.as_str(), addr, read).await
    }

    pub fn acceptor(&self) -> Acceptor {
        Acceptor(TlsAcceptor::from(self.server.clone()))
    }
}

/// Connects to whoever answers at `addr`. Nothing that it says may be believed before it is checked by other means,
/// and nothing secret may be sent.
pub async fn connect_unverified(addr: &str) -> io::Result<ClientStream> {
    let provider = provider();
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone { provider }))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"h2".to_vec()];
    handshake(Arc::new(config), ou(Role::Manager), addr, |tcp| tcp).await
}

async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    config: Arc<ClientConfig>,
    name: &str,
    addr: &str,
    over: impl FnOnce(TcpStream) -> S,
) -> io::Result<tokio_rustls::client::TlsStream<S>> {
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let work = async {
        let tcp = TcpStream::connect(addr).await?;
        tcp.set_nodelay(true)?;
        TlsConnector::from(config).connect(name, over(tcp)).await
    };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, work).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("connecting to {addr} took longer than {HANDSHAKE_TIMEOUT:?}"),
        )),
    }
}

/// The listening side of the handshake.
#[derive(Clone)]
pub struct Acceptor(TlsAcceptor);

impl Acceptor {
    pub async fn accept(&self, tcp: TcpStream, addr: SocketAddr) -> io::Result<(ServerStream, Peer)> {
        tcp.set_nodelay(true)?;
        let mut stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, self.0.accept(tcp))
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        stream.get_mut().1.set_buffer_limit(Some(SEALED));
        let identity = match stream.get_ref().1.peer_certificates() {
            Some([leaf, ..]) => Some(Identity::from_der(leaf).map_err(io::Error::other)?),
            _ => None,
        };
        Ok((stream, Peer { addr, identity }))
    }
}
