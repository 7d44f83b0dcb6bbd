//! Published ports, answered on every node.
//!
//! The node that a client's packet comes to sends it on to a task, over the ingress network and through that task's
//! node, with the client's address in it. The task's node notes which node it came from (a mark for each) and sends the
//! answer back there, because only that node knows the connection.

use super::balance::{Balance, Target, Vip};
use super::plan::{Known, Segment};
use crate::netplan::Protocol;
use ipnet::{Ipv4Net, Ipv6Net};
use shoal_raft_objects::{NetworkId, NodeId, ServiceId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Marks and routing tables are this and the last two bytes of the peer's ingress address.
const MARK_BASE: u32 = 0x5a00_0000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingress {
    pub bridge: String,
    /// This node's own place.
    pub address: Ipv4Net,
    pub address6: Option<Ipv6Net>,
    pub peers: BTreeMap<Ipv4Addr, Peer>,
    /// Tasks on other nodes, each by the node's place.
    pub routes: BTreeMap<IpAddr, IpAddr>,
    /// Who is where on this node's own bridge, so that nobody has to ask, and nobody is remembered wrongly.
    pub neighbours: BTreeMap<IpAddr, [u8; 6]>,
    pub balance: Balance,
    /// Published ports whose connections this node itself accepts and passes on, with a word on where they came from. They
    /// are not in `balance`.
    pub relayed: BTreeMap<Vip, BTreeSet<Target>>,
    /// Where ports of SCTP lead. A task's kernel looks for the way of its answers before it knows from which of its addresses it
    /// answers, so the way has to be known by the port.
    pub associations: BTreeSet<Target>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub mac: [u8; 6],
    pub address6: Option<Ipv6Addr>,
    /// Connections that came in there; also the number of the table with the way back.
    pub mark: u32,
}

impl Ingress {
    pub(super) fn drop_six(&mut self) {
        self.address6 = None;
        for peer in self.peers.values_mut() {
            peer.address6 = None;
        }
        self.routes.retain(|address, _| address.is_ipv4());
        self.neighbours.retain(|address, _| address.is_ipv4());
        self.balance.drop_six();
        self.relayed.retain(|vip, _| !vip.is_v6());
        self.associations.retain(|target| target.address.is_ipv4());
    }
}

pub(super) fn of(me: &NodeId, segment: &Segment, network: &NetworkId, known: &Known<'_>) -> Option<Ingress> {
    let place = |node: &NodeId| {
        let peer = known.peers.get(node)?;
        peer.places.iter().find(|p| p.network == *network)
    };
    let own = place(me)?;
    let mut peers: BTreeMap<Ipv4Addr, Peer> = BTreeMap::new();
    for node in known.peers.keys().filter(|node| **node != me) {
        let reached = match segment.tunnel {
            None => known.addr(node),
            // Over an encrypted one, nobody who has no key.
            Some(_) => known.sealed_addr(node),
        };
        if let (Some(place), Some(_)) = (place(node), reached) {
            let mark = MARK_BASE | (u32::from(place.address) & 0xffff);
            let peer = Peer {
                mac: place.mac,
                address6: segment.six(place.address),
                mark,
            };
            peers.insert(place.address, peer);
        }
    }
    let mut routes = BTreeMap::new();
    let mut neighbours: BTreeMap<IpAddr, [u8; 6]> = BTreeMap::new();
    for (address, peer) in &peers {
        neighbours.extend(segment.both(*address).map(|address| (address, peer.mac)));
    }
    let mut live: BTreeMap<&ServiceId, BTreeSet<Ipv4Addr>> = BTreeMap::new();
    let mut here: BTreeMap<&ServiceId, BTreeSet<Ipv4Addr>> = BTreeMap::new();
    for (endpoint, task) in known.on(network) {
        match place(&endpoint.node) {
            Some(gateway) if endpoint.node != *me && peers.contains_key(&gateway.address) => {
                routes.extend(segment.both(task.address).zip(segment.both(gateway.address)));
            }
            Some(_) if endpoint.node == *me => {
                neighbours.extend(segment.both(task.address).map(|address| (address, task.mac)));
            }
            // Its node cannot be reached over the ingress network yet.
            _ => continue,
        }
        if endpoint.live {
            live.entry(&endpoint.service).or_default().insert(task.address);
            if endpoint.node == *me {
                here.entry(&endpoint.service).or_default().insert(task.address);
            }
        }
    }
    let mut balance = Balance::default();
    let mut relayed: BTreeMap<Vip, BTreeSet<Target>> = BTreeMap::new();
    let mut associations = BTreeSet::new();
    for (id, service) in &known.services {
        for port in &service.ports {
            let Some(protocol) = Protocol::parse(&port.protocol) else {
                continue;
            };
            let (number, published) = (protocol.number(), port.published_port);
            let families = [Vip::Port(number, published), Vip::Port6(number, published)];
            for vip in families
                .into_iter()
                .filter(|vip| !vip.is_v6() || segment.six.is_some())
            {
                let named = |ports: &[(String, u16)]| ports.contains(&(port.protocol.clone(), published));
                let own = here.get(id).filter(|_| named(&service.local_first));
                let targets = own.or_else(|| live.get(id)).into_iter().flatten();
                let targets: BTreeSet<Target> = targets
                    .flat_map(|address| segment.both(*address))
                    .filter(|address| address.is_ipv6() == vip.is_v6())
                    .map(|address| Target {
                        address,
                        port: port.target_port,
                    })
                    .collect();
                if protocol == Protocol::Sctp {
                    associations.extend(&targets);
                }
                match named(&service.proxied) && !targets.is_empty() {
                    true => drop(relayed.insert(vip, targets)),
                    false => balance.add(vip, targets),
                }
            }
        }
    }
    Some(Ingress {
        bridge: segment.bridge.clone(),
        address: Ipv4Net::new(own.address, own.prefix_len).ok()?,
        address6: segment
            .six
            .zip(segment.six(own.address))
            .and_then(|((subnet, _), address)| Ipv6Net::new(address, subnet.prefix_len()).ok()),
        peers,
        routes,
        neighbours,
        balance,
        relayed,
        associations,
    })
}
