//! The kernel's memory of connections. Rules of ours decide about a connection's first packet only; a client that keeps
//! sending datagrams from one port would be sent to a container that is long gone.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddrV6};

use parking_lot::Mutex;
use shoal_node_core_host::netplan::Protocol;

use crate::error::Result;
use crate::netlink::{Attributes, Family, Message, Request, Socket};

const GET: u16 = 1 << 8 | 1;
const DELETE: u16 = 1 << 8 | 2;
const HEAD_BYTES: usize = 4;
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ID: u16 = 12;
const ZONE: u16 = 18;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const IP_SOURCE: u16 = 1;
const IP6_SOURCE: u16 = 3;
const IP6_TARGET: u16 = 4;
const PROTOCOL_NUMBER: u16 = 1;
const PORT_SOURCE: u16 = 2;
const PORT_TARGET: u16 = 3;
/// So that one write stays small.
const DELETES_PER_REQUEST: usize = 256;

/// Forgets the connections of this protocol that containers with these addresses answered. Answers how many there were.
pub fn forget(protocol: Protocol, containers: &BTreeSet<IpAddr>) -> Result<usize> {
    if containers.is_empty() {
        return Ok(0);
    }
    let mut socket = Socket::open(Family::Netfilter)?;
    let mut count = 0;
    for (family, v6) in [(libc::AF_INET, false), (libc::AF_INET6, true)] {
        if containers.iter().any(|address| address.is_ipv6() == v6) {
            count += forget_of(&mut socket, family as u8, protocol, containers)?;
        }
    }
    Ok(count)
}

/// Tells for datagrams what they were sent to before packet rules led them elsewhere; a socket tells it of streams only.
#[derive(Debug)]
pub(crate) struct Asked(Mutex<Socket>);

impl Asked {
    /// In the calling thread's network namespace.
    pub fn open() -> Result<Asked> {
        Ok(Asked(Mutex::new(Socket::open(Family::Netfilter)?)))
    }

    /// The port that `client` sent to, whose datagrams come to `here` now. Nothing when they were led nowhere.
    pub fn port(&self, client: SocketAddrV6, here: SocketAddrV6) -> Option<u16> {
        let mut request = Request::new();
        request.begin(GET, 0, &[libc::AF_INET6 as u8, 0, 0, 0]);
        // As its answers go: from here to the client.
        request.nest(TUPLE_REPLY, |tuple| {
            tuple.nest(TUPLE_IP, |ip| {
                ip.put(IP6_SOURCE, &here.ip().octets())
                    .put(IP6_TARGET, &client.ip().octets());
            });
            tuple.nest(TUPLE_PROTOCOL, |protocol| {
                protocol
                    .put_u8(PROTOCOL_NUMBER, Protocol::Udp.number())
                    .put(PORT_SOURCE, &here.port().to_be_bytes())
                    .put(PORT_TARGET, &client.port().to_be_bytes());
            });
        });
        let found = self
            .0
            .lock()
            .exchange(&mut request, |_| "find a connection".into());
        let (_, entry) = found.ok()?.into_iter().next()?;
        let protocol = entry
            .attributes(HEAD_BYTES)
            .nested(TUPLE_ORIGINAL)?
            .nested(TUPLE_PROTOCOL)?;
        Some(u16::from_be_bytes(protocol.get(PORT_TARGET)?.try_into().ok()?))
    }
}

fn forget_of(
    socket: &mut Socket,
    family: u8,
    protocol: Protocol,
    containers: &BTreeSet<IpAddr>,
) -> Result<usize> {
    let head = [family, 0, 0, 0];
    let build = |request: &mut Request| {
        request.begin(GET, 0, &head);
    };
    let entries = socket.dump(build, "list tracked connections")?;
    let chosen: Vec<&Message> = entries
        .iter()
        .filter(|entry| answered_by(entry, protocol, containers))
        .collect();
    for part in chosen.chunks(DELETES_PER_REQUEST) {
        let mut request = Request::new();
        for entry in part {
            let attributes = entry.attributes(HEAD_BYTES);
            request.begin(DELETE, 0, &head);
            for kind in [TUPLE_ORIGINAL, ID, ZONE] {
                if let Some(value) = attributes.get(kind) {
                    let nested = if kind == TUPLE_ORIGINAL { 0x8000 } else { 0 };
                    request.put(kind | nested, value);
                }
            }
        }
        match socket.exchange(&mut request, |_| "forget a tracked connection".into()) {
            // One that ended by itself meanwhile.
            Err(e) if e.is_not_found() => {}
            other => drop(other?),
        }
    }
    Ok(chosen.len())
}

fn answered_by(entry: &Message, protocol: Protocol, containers: &BTreeSet<IpAddr>) -> bool {
    let Some(reply) = entry.attributes(HEAD_BYTES).nested(TUPLE_REPLY) else {
        return false;
    };
    let number = reply
        .nested(TUPLE_PROTOCOL)
        .and_then(|p: Attributes<'_>| p.get(PROTOCOL_NUMBER)?.first().copied());
    let source = reply.nested(TUPLE_IP).and_then(|ip| {
        let v4 = ip
            .get(IP_SOURCE)
            .and_then(|octets| Some(IpAddr::from(<[u8; 4]>::try_from(octets).ok()?)));
        let v6 = || Some(IpAddr::from(<[u8; 16]>::try_from(ip.get(IP6_SOURCE)?).ok()?));
        v4.or_else(v6)
    });
    number == Some(protocol.number()) && source.is_some_and(|address| containers.contains(&address))
}
