//! Asking outside: the question goes on as it came, and so does the answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use shoal_node_core_host::dns::{self, RCODE_SERVER_FAILURE};
use shoal_node_core_host::resolvconf::Server;
use tokio::net::TcpSocket;

use super::{Client, streams};
use crate::error::{Error, Result};

const PORT: u16 = 53;
/// Whoever asks gives up after five seconds, most often.
const EACH: Duration = Duration::from_secs(2);
const SERVERS_MAX: usize = 3;

/// The first good answer; else the last one of any kind; else a failure.
pub(super) async fn ask(client: &Client, message: &[u8], over_tcp: bool) -> Vec<u8> {
    let mut last = None;
    for server in client.names.servers().iter().take(SERVERS_MAX) {
        let one = async {
            if over_tcp {
                stream(client, server, message).await
            } else {
                datagram(client, server, message).await
            }
        };
        if let Ok(Ok(reply)) = tokio::time::timeout(EACH, one).await {
            let rcode = reply.get(3).map_or(RCODE_SERVER_FAILURE, |b| b & 0xf);
            if !matches!(rcode, RCODE_SERVER_FAILURE | dns::RCODE_REFUSED) {
                return reply;
            }
            last = Some(reply);
        }
    }
    last.unwrap_or_else(|| match dns::Query::parse(message) {
        Ok(query) => query.reply(RCODE_SERVER_FAILURE, &[], over_tcp),
        Err(_) => Vec::new(),
    })
}

/// From inside of the container's network, or from the host's for a server of the host.
fn where_from<T>(client: &Client, server: &Server, make: impl FnOnce() -> Result<T>) -> Result<T> {
    if server.of_host {
        make()
    } else {
        client.netns.visit(make)
    }
}

async fn datagram(client: &Client, server: &Server, message: &[u8]) -> std::io::Result<Vec<u8>> {
    let any: IpAddr = match server.address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = where_from(client, server, || {
        let socket = UdpSocket::bind((any, 0)).map_err(|e| Error::io("ask a name server", e))?;
        // Nobody else's answers are taken.
        socket
            .connect(SocketAddr::new(server.address, PORT))
            .and_then(|()| socket.set_nonblocking(true))
            .map_err(|e| Error::io("ask a name server", e))?;
        Ok(socket)
    });
    let socket = tokio::net::UdpSocket::from_std(socket.map_err(std::io::Error::other)?)?;
    socket.send(message).await?;
    let mut buffer = vec![0; dns::MESSAGE_BYTES_MAX];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if buffer.get(..2) == message.get(..2) && length >= 12 {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn stream(client: &Client, server: &Server, message: &[u8]) -> std::io::Result<Vec<u8>> {
    let family = match server.address {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = where_from(client, server, || {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        rustix::net::socket_with(family, SocketType::STREAM, flags, None)
            .map_err(|e| Error::io("ask a name server", e))
    });
    let socket = TcpSocket::from_std_stream(socket.map_err(std::io::Error::other)?.into());
    let mut stream = socket.connect(SocketAddr::new(server.address, PORT)).await?;
    streams::write(&mut stream, message).await?;
    streams::read(&mut stream).await
}
