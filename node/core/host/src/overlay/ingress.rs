//! Published ports, answered on every node.
//!
//! The node that a client's packet comes to sends it on to a task, over the ingress network and through that task's
//! node, with the client's address in it. The task's node notes which node it came from (a mark for each) and sends the
//! answer back there, because only that node knows the connection.

use super::balance::{Balance, Target, Vip};
use super::known::Known;
use super::plan::Segment;
use ipnet::{Ipv4Net, Ipv6Net};
use shoal_raft_objects::track::PeerTrack;
use shoal_raft_objects::{NetworkId, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Marks and routing tables are this and the last two bytes of the peer's ingress address.
const MARK_BASE: u32 = 0x5a00_0000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingress {
    /// Its id.
    pub network: String,
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

/// Nodes and the way to them, without anybody on the network.
pub(super) fn of(me: &NodeId, segment: &Segment, network: &NetworkId, known: Known<'_>) -> Option<Ingress> {
    let places = |peer: &'_ PeerTrack| peer.places.iter().find(|p| p.network == *network).cloned();
    let own = places(known.peer(me)?)?;
    let mut peers: BTreeMap<Ipv4Addr, Peer> = BTreeMap::new();
    for node in known.peers().filter(|peer| peer.node != *me) {
        // Over an encrypted one, nobody who has no key.
        if let (Some(place), Some(_)) = (places(node), known.addr_on(segment, &node.node)) {
            let mark = MARK_BASE | (u32::from(place.address) & 0xffff);
            let peer = Peer {
                mac: place.mac,
                address6: segment.six(place.address),
                mark,
            };
            peers.insert(place.address, peer);
        }
    }
    let mut neighbours: BTreeMap<IpAddr, [u8; 6]> = BTreeMap::new();
    for (address, peer) in &peers {
        neighbours.extend(segment.both(*address).map(|address| (address, peer.mac)));
    }
    Some(Ingress {
        network: segment.id.clone(),
        bridge: segment.bridge.clone(),
        address: Ipv4Net::new(own.address, own.prefix_len).ok()?,
        address6: segment
            .six
            .zip(segment.six(own.address))
            .and_then(|((subnet, _), address)| Ipv6Net::new(address, subnet.prefix_len()).ok()),
        peers,
        routes: BTreeMap::new(),
        neighbours,
        balance: Balance::default(),
        relayed: BTreeMap::new(),
        associations: BTreeSet::new(),
    })
}
