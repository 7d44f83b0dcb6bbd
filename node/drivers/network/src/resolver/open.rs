//! The sockets of one container's resolver.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use rustix::net::sockopt::set_socket_reuseport;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use shoal_node_core_host::dns::ADDRESS;

use super::lanes;
use crate::error::{Error, Result};
use crate::netlink::{Family, Socket};
use crate::netns::Netns;
use crate::nft::lead_to_resolver;

/// Tried in this order, so that a new daemon finds the ports of the old one: below those that the kernel gives to clients.
const PORTS: std::ops::Range<u16> = 30_053..30_117;

pub(super) struct Sockets {
    /// One for each lane, on one port.
    pub udp: Vec<UdpSocket>,
    pub tcp: TcpListener,
}

pub(super) fn open(netns: &Netns, lanes: usize) -> Result<Sockets> {
    netns.visit(|| {
        let udp = datagrams(lanes)?;
        let tcp = first("a listening socket", TcpListener::bind)?;
        let fail = |e: std::io::Error| Error::io("set up the resolver's sockets", e);
        tcp.set_nonblocking(true).map_err(fail)?;
        let ports = (
            udp[0].local_addr().map_err(fail)?.port(),
            tcp.local_addr().map_err(fail)?.port(),
        );
        let mut socket = Socket::open(Family::Netfilter)?;
        lead_to_resolver(&mut socket, ADDRESS, ports.0, ports.1)?;
        Ok(Sockets { udp, tcp })
    })
}

/// The first one takes the port for itself, so none of the container's is in the way; the others join it.
fn datagrams(lanes: usize) -> Result<Vec<UdpSocket>> {
    let fail = |e: std::io::Error| Error::io("set up the resolver's sockets", e);
    let mut sockets = vec![first("a datagram socket", UdpSocket::bind)?];
    let address = sockets[0].local_addr().map_err(fail)?;
    for at in 1..lanes {
        if at == 1 {
            set_socket_reuseport(&sockets[0], true).map_err(|e| fail(e.into()))?;
        }
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)
            .map_err(|e| fail(e.into()))?;
        set_socket_reuseport(&socket, true).map_err(|e| fail(e.into()))?;
        rustix::net::bind(&socket, &address).map_err(|e| fail(e.into()))?;
        sockets.push(socket.into());
    }
    if lanes > 1 {
        lanes::divide(&sockets)?;
    }
    for socket in &sockets {
        socket.set_nonblocking(true).map_err(fail)?;
    }
    Ok(sockets)
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
