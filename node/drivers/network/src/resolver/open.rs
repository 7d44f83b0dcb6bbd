//! The sockets of one container's resolver.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use shoal_node_core_host::dns::ADDRESS;

use crate::error::{Error, Result};
use crate::netlink::{Family, Socket};
use crate::netns::Netns;
use crate::nft::lead_to_resolver;

/// Tried in this order, so that a new daemon finds the ports of the old one: below those that the kernel gives to clients.
const PORTS: std::ops::Range<u16> = 30_053..30_117;

pub(super) struct Sockets {
    pub udp: UdpSocket,
    pub tcp: TcpListener,
}

pub(super) fn open(netns: &Netns) -> Result<Sockets> {
    netns.visit(|| {
        let udp = first("a datagram socket", UdpSocket::bind)?;
        let tcp = first("a listening socket", TcpListener::bind)?;
        let fail = |e: std::io::Error| Error::io("set up the resolver's sockets", e);
        udp.set_nonblocking(true).map_err(fail)?;
        tcp.set_nonblocking(true).map_err(fail)?;
        let ports = (
            udp.local_addr().map_err(fail)?.port(),
            tcp.local_addr().map_err(fail)?.port(),
        );
        let mut socket = Socket::open(Family::Netfilter)?;
        lead_to_resolver(&mut socket, ADDRESS, ports.0, ports.1)?;
        Ok(Sockets { udp, tcp })
    })
}

fn first<T>(what: &str, bind: impl Fn(SocketAddr) -> std::io::Result<T>) -> Result<T> {
    let mut last = None;
    for port in PORTS {
        match bind(SocketAddr::from((ADDRESS, port))) {
            Ok(socket) => return Ok(socket),
            Err(e) if e.raw_os_error() == Some(libc::EADDRINUSE) => last = Some(e),
            Err(e) => return Err(Error::io(format!("open {what} for the resolver"), e)),
        }
    }
    let last = last.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into());
    Err(Error::io(format!("open {what} for the resolver"), last))
}
