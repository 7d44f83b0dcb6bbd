//! The plan, and its frame: networks and nodes, without anybody on them.

use super::balance::Balance;
use super::ingress::{self, Ingress};
use super::known::Known;
use super::tunnel::{self, Tunnel, WIREGUARD_BYTES, read_key, tunnel_name};
use super::{MTU, link_names};
use ipnet::{Ipv4Net, Ipv6Net};
use shoal_raft_objects::network::{mac_of, six};
use shoal_raft_objects::{Attachment, Network, NodeId};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

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
    pub(super) fn addresses(&self, place: &Attachment) -> impl Iterator<Item = IpAddr> {
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

/// What this host should have. Networks that it cannot have stand under `problems`, by id, with the reason. Cheap to clone:
/// the large parts are shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub segments: BTreeMap<String, Arc<Segment>>,
    pub ingress: Option<Arc<Ingress>>,
    /// While there is an encrypted network.
    pub tunnel: Option<Tunnel>,
    pub problems: BTreeMap<String, Problem>,
}

impl Plan {
    /// For a host that has no IPv6.
    pub fn without_six(&self) -> Plan {
        let mut plan = self.clone();
        for segment in plan.segments.values_mut() {
            let segment = Arc::make_mut(segment);
            segment.six = None;
            segment.neighbours.retain(|address, _| address.is_ipv4());
            segment.balance.drop_six();
        }
        if let Some(ingress) = &mut plan.ingress {
            Arc::make_mut(ingress).drop_six();
        }
        plan
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub name: String,
    pub why: String,
}

/// What node `me` should have before anybody is on the networks; `sid` is the daemon's short id.
pub(super) fn frame(sid: &str, me: &NodeId, known: Known<'_>) -> Plan {
    let mut plan = Plan::default();
    for network in known.networks() {
        let id = network.id.to_string();
        match segment(sid, me, network, known) {
            Ok(segment) => {
                if network.spec.ingress {
                    plan.ingress = ingress::of(me, &segment, &network.id, known).map(Arc::new);
                }
                plan.segments.insert(id, Arc::new(segment));
            }
            Err(why) => {
                let name = network.spec.annotations.name.clone();
                plan.problems.insert(id, Problem { name, why });
            }
        }
    }
    plan.tunnel = tunnel::of(sid, me, plan.segments.values().map(Arc::as_ref), known);
    plan
}

fn segment(sid: &str, me: &NodeId, network: &Network, known: Known<'_>) -> Result<Segment, String> {
    let name = network.spec.annotations.name.clone();
    let vni = network
        .vni
        .ok_or_else(|| format!("network {name} has no VXLAN identifier yet"))?;
    let own = known
        .peer(me)
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
    for peer in known.peers().filter(|peer| peer.node != *me) {
        let Some(addr) = known.addr_on(&segment, &peer.node) else {
            continue;
        };
        for place in peer.places.iter().filter(|p| p.network == network.id) {
            segment.forwarding.insert(place.mac, addr);
            let both: Vec<IpAddr> = segment.addresses(place).collect();
            segment
                .neighbours
                .extend(both.into_iter().map(|address| (address, place.mac)));
        }
    }
    Ok(segment)
}
