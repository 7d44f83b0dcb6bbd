//! The whole plan.

use super::balance::{Balance, Target, Vip};
use super::ingress::{self, Ingress};
use super::{MTU, link_names};
use ipnet::{Ipv4Net, Ipv6Net};
use shoal_raft_objects::network::{mac_of, six};
use shoal_raft_objects::track::{EndpointTrack, PeerTrack, ServiceTrack};
use shoal_raft_objects::{Network, NetworkId, NodeId, ServiceId, Track};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One network on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub id: String,
    pub name: String,
    pub bridge: String,
    pub vxlan: String,
    pub vni: u32,
    pub mtu: u32,
    /// Of the bridge.
    pub mac: [u8; 6],
    /// This node's address for the others, and the UDP port that all nodes use.
    pub local: Ipv4Addr,
    pub port: u16,
    pub subnet: Ipv4Net,
    pub gateway: Ipv4Addr,
    /// The IPv6 subnet and its gateway, where the network has one.
    pub six: Option<(Ipv6Net, Ipv6Addr)>,
    pub internal: bool,
    pub attachable: bool,
    /// Hardware addresses on other nodes, with the node's address.
    pub forwarding: BTreeMap<[u8; 6], Ipv4Addr>,
    /// Addresses on other nodes, with their hardware addresses.
    pub neighbours: BTreeMap<IpAddr, [u8; 6]>,
    /// How this host's containers reach services on it, by one address each.
    pub balance: Balance,
}

impl Segment {
    /// The IPv6 address that goes with an IPv4 address there.
    pub fn six(&self, address: Ipv4Addr) -> Option<Ipv6Addr> {
        self.six.map(|(subnet, _)| six(subnet.network(), address))
    }

    /// An address there, in every family that the network has.
    pub fn both(&self, address: Ipv4Addr) -> impl Iterator<Item = IpAddr> {
        let six = self.six(address).map(IpAddr::V6);
        std::iter::once(IpAddr::V4(address)).chain(six)
    }
}

/// What this host should have. Networks that it cannot have stand under `problems`, by id, with the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub segments: BTreeMap<String, Segment>,
    pub ingress: Option<Ingress>,
    pub problems: BTreeMap<String, Problem>,
}

impl Plan {
    /// For a host that has no IPv6.
    pub fn without_six(&self) -> Plan {
        let mut plan = self.clone();
        for segment in plan.segments.values_mut() {
            segment.six = None;
            segment.neighbours.retain(|address, _| address.is_ipv4());
            segment.balance.drop_six();
        }
        if let Some(ingress) = &mut plan.ingress {
            ingress.drop_six();
        }
        plan
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub name: String,
    pub why: String,
}

/// The pieces, taken apart.
#[derive(Default)]
pub(super) struct Known<'t> {
    pub networks: BTreeMap<&'t NetworkId, &'t Network>,
    pub endpoints: Vec<&'t EndpointTrack>,
    pub services: BTreeMap<&'t ServiceId, &'t ServiceTrack>,
    pub peers: BTreeMap<&'t NodeId, &'t PeerTrack>,
}

impl<'t> Known<'t> {
    pub fn of(tracks: &'t BTreeMap<String, Track>) -> Self {
        let mut known = Known::default();
        for track in tracks.values() {
            match track {
                Track::Network(network) => {
                    known.networks.insert(&network.id, network);
                }
                Track::Endpoint(endpoint) => known.endpoints.push(endpoint),
                Track::Service(service) => {
                    known.services.insert(&service.service, service);
                }
                Track::Peer(peer) => {
                    known.peers.insert(&peer.node, peer);
                }
            }
        }
        known
    }

    pub fn addr(&self, node: &NodeId) -> Option<Ipv4Addr> {
        self.peers.get(node)?.addr.parse().ok()
    }
}

/// What node `me` should have; `sid` is the daemon's short id.
pub fn plan(sid: &str, me: &NodeId, tracks: &BTreeMap<String, Track>) -> Plan {
    let known = Known::of(tracks);
    let mut plan = Plan::default();
    for (id, network) in &known.networks {
        match segment(sid, me, network, &known) {
            Ok(segment) => {
                if network.spec.ingress {
                    plan.ingress = ingress::of(me, &segment, id, &known);
                }
                plan.segments.insert(id.to_string(), segment);
            }
            Err(why) => {
                let name = network.spec.annotations.name.clone();
                plan.problems.insert(id.to_string(), Problem { name, why });
            }
        }
    }
    plan
}

fn segment(sid: &str, me: &NodeId, network: &Network, known: &Known<'_>) -> Result<Segment, String> {
    let name = network.spec.annotations.name.clone();
    let vni = network
        .vni
        .ok_or_else(|| format!("network {name} has no VXLAN identifier yet"))?;
    // Never plain where encryption was asked for.
    if network.spec.encrypted() {
        return Err(format!(
            "network {name} is encrypted, and this node has no encrypted path between nodes in this version"
        ));
    }
    let own = known
        .peers
        .get(me)
        .ok_or_else(|| format!("network {name}: the managers have not said which address this node has"))?;
    let local: Ipv4Addr = own.addr.parse().map_err(|_| {
        format!(
            "network {name}: overlay networks need an IPv4 address of this node, it has {:?}",
            own.addr
        )
    })?;
    let mut ranges = network.subnets.iter();
    let range = ranges
        .find(|subnet| !subnet.subnet.contains(':'))
        .ok_or_else(|| format!("network {name} has no subnet"))?;
    let unreadable = |what: &str| format!("network {name}: {what} is no address");
    let subnet: Ipv4Net = range.subnet.parse().map_err(|_| unreadable(&range.subnet))?;
    let gateway: Ipv4Addr = range.gateway.parse().map_err(|_| unreadable(&range.gateway))?;
    let (bridge, vxlan) = link_names(sid, vni);
    let asked = network.spec.driver_options.get("com.docker.network.driver.mtu");
    let place = own.places.iter().find(|p| p.network == network.id);
    let mut segment = Segment {
        id: network.id.to_string(),
        mac: place.map_or_else(|| mac_of(&bridge, network.id.as_str()), |place| place.mac),
        bridge,
        vxlan,
        vni,
        mtu: asked.and_then(|mtu| mtu.parse().ok()).unwrap_or(MTU),
        local,
        port: own.port,
        subnet,
        gateway,
        six: network.subnets.iter().find_map(|s| {
            let subnet: Ipv6Net = s.subnet.parse().ok()?;
            Some((subnet, s.gateway.parse().ok()?))
        }),
        internal: network.spec.internal,
        attachable: network.spec.attachable,
        forwarding: BTreeMap::new(),
        neighbours: BTreeMap::new(),
        balance: Balance::default(),
        name,
    };
    segment.balance = balance(&network.id, &segment, known);
    let places = known
        .endpoints
        .iter()
        .map(|e| (&e.node, &e.places))
        .chain(known.peers.iter().map(|(node, peer)| (*node, &peer.places)));
    for (node, places) in places.filter(|(node, _)| *node != me) {
        let Some(addr) = known.addr(node) else {
            continue;
        };
        for place in places.iter().filter(|p| p.network == network.id) {
            segment.forwarding.insert(place.mac, addr);
            let both: Vec<IpAddr> = segment.both(place.address).collect();
            segment
                .neighbours
                .extend(both.into_iter().map(|address| (address, place.mac)));
        }
    }
    Ok(segment)
}

fn balance(network: &NetworkId, segment: &Segment, known: &Known<'_>) -> Balance {
    let mut targets: BTreeMap<&ServiceId, BTreeSet<Ipv4Addr>> = BTreeMap::new();
    for endpoint in known.endpoints.iter().filter(|e| e.live) {
        let places = endpoint.places.iter().filter(|p| p.network == *network);
        targets
            .entry(&endpoint.service)
            .or_default()
            .extend(places.map(|p| p.address));
    }
    let mut balance = Balance::default();
    for (id, service) in &known.services {
        for vip in service.virtual_ips.iter().filter(|v| v.network == *network) {
            for address in segment.both(vip.address) {
                let targets = targets.get(id).into_iter().flatten();
                let targets = targets.flat_map(|target| segment.both(*target));
                balance.add(
                    Vip::Address(address),
                    targets
                        .filter(|target| target.is_ipv6() == address.is_ipv6())
                        .map(|address| Target { address, port: 0 }),
                );
            }
        }
    }
    balance
}
