//! The whole plan.

use super::balance::{Balance, Target, Vip};
use super::ingress::{self, Ingress};
use super::tunnel::{self, Tunnel, WIREGUARD_BYTES, read_key, tunnel_name};
use super::{MTU, link_names};
use ipnet::{Ipv4Net, Ipv6Net};
use shoal_raft_objects::network::{mac_of, six};
use shoal_raft_objects::track::{EndpointTrack, PeerTrack, ServiceTrack};
use shoal_raft_objects::{Attachment, Network, NetworkId, NodeId, ServiceId, Track};
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
    /// The interface that its frames travel by, of an encrypted network; never another.
    pub tunnel: Option<String>,
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

    /// The addresses of a place there, in every family that the network has.
    fn addresses(&self, place: &Attachment) -> impl Iterator<Item = IpAddr> {
        let six = self
            .six
            .map(|(subnet, _)| IpAddr::V6(place.six(subnet.network())));
        std::iter::once(IpAddr::V4(place.address)).chain(six)
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
    /// While there is an encrypted network.
    pub tunnel: Option<Tunnel>,
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
    /// By network: tasks with their place there.
    endpoints: BTreeMap<&'t NetworkId, Vec<(&'t EndpointTrack, &'t Attachment)>>,
    pub services: BTreeMap<&'t ServiceId, &'t ServiceTrack>,
    /// By network: services with their address there.
    addresses: BTreeMap<&'t NetworkId, Vec<(&'t ServiceId, Ipv4Addr)>>,
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
                Track::Endpoint(endpoint) => {
                    for place in &endpoint.places {
                        let on = known.endpoints.entry(&place.network).or_default();
                        on.push((endpoint, place));
                    }
                }
                Track::Service(service) => {
                    known.services.insert(&service.service, service);
                    for vip in &service.virtual_ips {
                        let on = known.addresses.entry(&vip.network).or_default();
                        on.push((&service.service, vip.address));
                    }
                }
                Track::Peer(peer) => {
                    known.peers.insert(&peer.node, peer);
                }
            }
        }
        known
    }

    /// Tasks on a network, with their place there.
    pub fn on(&self, network: &NetworkId) -> impl Iterator<Item = (&'t EndpointTrack, &'t Attachment)> + '_ {
        self.endpoints.get(network).into_iter().flatten().copied()
    }

    /// The same, on all of them.
    pub fn places(&self) -> impl Iterator<Item = (&'t EndpointTrack, &'t Attachment)> + '_ {
        self.endpoints.values().flatten().copied()
    }

    pub fn addr(&self, node: &NodeId) -> Option<Ipv4Addr> {
        self.peers.get(node)?.addr.parse().ok()
    }

    /// The same, if the node can be reached encrypted.
    pub fn sealed_addr(&self, node: &NodeId) -> Option<Ipv4Addr> {
        read_key(&self.peers.get(node)?.key)?;
        self.addr(node)
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
    plan.tunnel = tunnel::of(sid, me, plan.segments.values(), &known);
    plan
}

fn segment(sid: &str, me: &NodeId, network: &Network, known: &Known<'_>) -> Result<Segment, String> {
    let name = network.spec.annotations.name.clone();
    let vni = network
        .vni
        .ok_or_else(|| format!("network {name} has no VXLAN identifier yet"))?;
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
    let sealed = network.spec.encrypted();
    // Never plain where encryption was asked for.
    if sealed && read_key(&own.key).is_none() {
        return Err(format!(
            "network {name} is encrypted, and this node has no key: its kernel has neither WireGuard nor TUN interfaces"
        ));
    }
    let mut ranges = network.subnets.iter();
    let range = ranges
        .find(|subnet| !subnet.subnet.contains(':'))
        .ok_or_else(|| format!("network {name} has no subnet"))?;
    let unreadable = |what: &str| format!("network {name}: {what} is no address");
    let subnet: Ipv4Net = range.subnet.parse().map_err(|_| unreadable(&range.subnet))?;
    let gateway: Ipv4Addr = range.gateway.parse().map_err(|_| unreadable(&range.gateway))?;
    let (bridge, vxlan) = link_names(sid, vni);
    let asked = network.spec.driver_options.get("com.docker.network.driver.mtu");
    let asked: Option<u32> = asked.and_then(|mtu| mtu.parse().ok());
    let mtu = match sealed {
        false => asked.unwrap_or(MTU),
        // The kernel gives a VXLAN interface no more than what it is bound to has left.
        true => asked.unwrap_or(u32::MAX).min(MTU - WIREGUARD_BYTES),
    };
    let place = own.places.iter().find(|p| p.network == network.id);
    let mut segment = Segment {
        id: network.id.to_string(),
        mac: place.map_or_else(|| mac_of(&bridge, network.id.as_str()), |place| place.mac),
        bridge,
        vxlan,
        vni,
        mtu,
        local,
        port: own.port,
        tunnel: sealed.then(|| tunnel_name(sid)),
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
    let tasks = known.on(&network.id).map(|(task, place)| (&task.node, place));
    let nodes = known.peers.iter().flat_map(|(node, peer)| {
        let own = peer.places.iter().filter(|p| p.network == network.id);
        own.map(|place| (*node, place))
    });
    for (node, place) in tasks.chain(nodes).filter(|(node, _)| *node != me) {
        let addr = match sealed {
            false => known.addr(node),
            true => known.sealed_addr(node),
        };
        let Some(addr) = addr else { continue };
        segment.forwarding.insert(place.mac, addr);
        let both: Vec<IpAddr> = segment.addresses(place).collect();
        segment
            .neighbours
            .extend(both.into_iter().map(|address| (address, place.mac)));
    }
    Ok(segment)
}

fn balance(network: &NetworkId, segment: &Segment, known: &Known<'_>) -> Balance {
    let mut targets: BTreeMap<&ServiceId, BTreeSet<Ipv4Addr>> = BTreeMap::new();
    for (endpoint, place) in known.on(network).filter(|(endpoint, _)| endpoint.live) {
        targets
            .entry(&endpoint.service)
            .or_default()
            .insert(place.address);
    }
    let mut balance = Balance::default();
    for (service, vip) in known.addresses.get(network).into_iter().flatten() {
        for address in segment.both(*vip) {
            let targets = targets.get(service).into_iter().flatten();
            let targets = targets.flat_map(|target| segment.both(*target));
            balance.add(
                Vip::Address(address),
                targets
                    .filter(|target| target.is_ipv6() == address.is_ipv6())
                    .map(|address| Target { address, port: 0 }),
            );
        }
    }
    balance
}
