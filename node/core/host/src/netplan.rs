//! What the network of this host should look like, from its networks and endpoints: bridges, links, packet rules. And
//! what differs from what is there. The kernel is spoken to by `node/drivers/network`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use sha2::{Digest, Sha256};

/// Longest interface name that Linux takes.
pub const LINK_NAME_BYTES_MAX: usize = 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    /// As in a port's name, `80/tcp`.
    pub fn parse(name: &str) -> Option<Protocol> {
        Some(match name {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => return None,
        })
    }

    /// The protocol's number in an IP header.
    pub fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

/// How containers and the world outside of the host reach each other over one family of addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Out with the host's address, in only over published ports of the host.
    #[default]
    Nat,
    /// As `Nat`, but whoever has a route to the containers reaches all their ports.
    NatUnprotected,
    /// With their own addresses; in only to published ports of the containers.
    Routed,
    /// The host has no address on the bridge.
    Isolated,
}

/// A network on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// Name of the interface: `docker0`, `br-0123456789ab`.
    pub name: String,
    /// The bridge's own addresses, which are its containers' gateways.
    pub addresses: Vec<IpNet>,
    pub mtu: u32,
    pub rules: BridgeRules,
}

/// A port of the host that leads to a port of a container, of the same family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Published {
    pub protocol: Protocol,
    /// `None` is every address of the host (`0.0.0.0`, `::`).
    pub host_ip: Option<IpAddr>,
    pub host_port: u16,
    pub container_ip: IpAddr,
    pub container_port: u16,
}

/// A container's port that may be reached at the container's own address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Open {
    pub bridge: String,
    pub protocol: Protocol,
    pub address: IpAddr,
    pub port: u16,
}

/// Where a packet to the host is caught: no two published ports share this.
pub type Entrance = (Protocol, IpAddr, u16);

impl Published {
    pub fn entrance(&self) -> Entrance {
        let any = || any_address(self.container_ip.is_ipv6());
        (self.protocol, self.host_ip.unwrap_or_else(any), self.host_port)
    }
}

pub fn any_address(v6: bool) -> IpAddr {
    if v6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    }
}

/// A container's place in a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The host's end of its cable, see [`host_link`].
    pub host_link: String,
    pub bridge: String,
    pub published: Vec<Published>,
    pub open: Vec<Open>,
}

/// All packet rules of one daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// By interface name.
    pub bridges: BTreeMap<String, BridgeRules>,
    pub published: BTreeSet<Published>,
    pub open: BTreeSet<Open>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgeRules {
    pub subnets: Vec<SubnetRules>,
    /// Containers reach nothing outside of the network.
    pub internal: bool,
    /// Containers of the network reach each other.
    pub icc: bool,
    /// Interfaces of the host from which everything in the network may be reached.
    pub trusted: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubnetRules {
    pub net: IpNet,
    pub mode: Mode,
    /// Traffic to the outside leaves with an address of the host.
    pub masquerade: bool,
    /// This one; else that of the interface by which it leaves.
    pub leave_as: Option<IpAddr>,
}

/// What has to change between two sets of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Something other than a published port: the chains are written anew.
    pub chains: bool,
    pub add: Vec<Published>,
    pub remove: Vec<Published>,
}

impl Change {
    pub fn is_empty(&self) -> bool {
        !self.chains && self.add.is_empty() && self.remove.is_empty()
    }
}

impl Rules {
    /// From what is to what is wanted.
    pub fn change_to(&self, wanted: &Rules) -> Change {
        Change {
            chains: self.bridges != wanted.bridges || self.open != wanted.open,
            add: wanted.published.difference(&self.published).copied().collect(),
            remove: self.published.difference(&wanted.published).copied().collect(),
        }
    }
}

/// The whole of what should be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub bridges: Vec<Bridge>,
    /// Host ends of cables.
    pub links: BTreeSet<String>,
    pub rules: Rules,
}

/// Two endpoints that claim one port, or an endpoint of a network that is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("Bind for {ip}:{port} failed: port is already allocated")]
    PortTaken { ip: IpAddr, port: u16 },
    #[error("endpoint {link} is on bridge {bridge}, which no network has")]
    NoBridge { link: String, bridge: String },
}

/// What should be there for these networks and endpoints.
pub fn plan(bridges: &[Bridge], endpoints: &[Endpoint]) -> Result<Plan, Error> {
    let mut plan = Plan {
        bridges: bridges.to_vec(),
        ..Plan::default()
    };
    for bridge in bridges {
        plan.rules
            .bridges
            .insert(bridge.name.clone(), bridge.rules.clone());
    }
    let mut entrances = BTreeSet::new();
    for endpoint in endpoints {
        let link = endpoint.host_link.clone();
        if !plan.rules.bridges.contains_key(&endpoint.bridge) {
            return Err(Error::NoBridge {
                link,
                bridge: endpoint.bridge.clone(),
            });
        }
        plan.links.insert(link);
        for published in &endpoint.published {
            if !entrances.insert(published.entrance()) {
                let (_, ip, port) = published.entrance();
                return Err(Error::PortTaken { ip, port });
            }
            plan.rules.published.insert(*published);
        }
        plan.rules.open.extend(endpoint.open.iter().cloned());
    }
    Ok(plan)
}

/// Cables of ours that nobody needs any more: `shown` are the links of the host that carry our prefix.
pub fn stale_links<'a>(shown: impl IntoIterator<Item = &'a str>, plan: &Plan) -> Vec<String> {
    shown
        .into_iter()
        .filter(|name| !plan.links.contains(*name))
        .map(str::to_owned)
        .collect()
}

/// What the names of this daemon's cables begin with; `sid` is the daemon's short id.
pub fn link_prefix(sid: &str) -> String {
    format!("sv{}", sid.get(..4).unwrap_or(sid))
}

/// The host end of the cable of a container's endpoint; each start makes a new endpoint, and so a new name.
pub fn host_link(sid: &str, container: &str, endpoint: &str) -> String {
    let mut hash = Sha256::new();
    for part in [container, "\0", endpoint] {
        hash.update(part.as_bytes());
    }
    let mut name = link_prefix(sid) + &hex::encode(hash.finalize());
    name.truncate(LINK_NAME_BYTES_MAX);
    name
}

/// Docker's way from an address to a hardware address: the same address always comes with the same one, so that no
/// neighbour remembers a wrong one.
pub fn mac_of(address: IpAddr) -> [u8; 6] {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            [0x02, 0x42, a, b, c, d]
        }
        IpAddr::V6(v6) => {
            let hash = Sha256::digest(v6.octets());
            [0x06, hash[0], hash[1], hash[2], hash[3], hash[4]]
        }
    }
}

/// Which endpoint of a container is the way out: its place among them, and what speaks for it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    pub network: &'a str,
    pub internal: bool,
    pub priority: i64,
    pub gateway_v4: bool,
    pub gateway_v6: bool,
}

/// Index of the endpoint that has the default route, for IPv4 and for IPv6: of those with a gateway the one of the highest
/// priority, then one that has both families, then the first by name.
pub fn way_out(candidates: &[Candidate<'_>]) -> (Option<usize>, Option<usize>) {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|at| {
        let c = &candidates[*at];
        let both = c.gateway_v4 && c.gateway_v6;
        (c.internal, std::cmp::Reverse(c.priority), !both, c.network)
    });
    let first = |has: fn(&Candidate<'_>) -> bool| {
        order
            .iter()
            .copied()
            .find(|at| !candidates[*at].internal && has(&candidates[*at]))
    };
    (first(|c| c.gateway_v4), first(|c| c.gateway_v6))
}

/// `02:42:ac:11:00:02`
pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bridge(name: &str, address: &str) -> Bridge {
        Bridge {
            name: name.into(),
            addresses: vec![address.parse().unwrap()],
            mtu: 1500,
            rules: BridgeRules {
                subnets: vec![SubnetRules {
                    net: address.parse::<IpNet>().unwrap().trunc(),
                    mode: Mode::Nat,
                    masquerade: true,
                    leave_as: None,
                }],
                icc: true,
                ..BridgeRules::default()
            },
        }
    }

    fn endpoint(link: &str, bridge: &str, last: u8, ports: &[(u16, u16)]) -> Endpoint {
        let address = IpAddr::from([172, 17, 0, last]);
        let published = ports.iter().map(|(host_port, container_port)| Published {
            protocol: Protocol::Tcp,
            host_ip: None,
            host_port: *host_port,
            container_ip: address,
            container_port: *container_port,
        });
        Endpoint {
            host_link: link.into(),
            bridge: bridge.into(),
            published: published.collect(),
            open: Vec::new(),
        }
    }

    #[test]
    fn one_more_port_is_one_element() {
        let bridges = [bridge("docker0", "172.17.0.1/16")];
        let before = plan(&bridges, &[endpoint("a", "docker0", 2, &[(80, 8080)])]).unwrap();
        let after = plan(
            &bridges,
            &[
                endpoint("a", "docker0", 2, &[(80, 8080)]),
                endpoint("b", "docker0", 3, &[(81, 80)]),
            ],
        )
        .unwrap();
        let change = before.rules.change_to(&after.rules);
        assert!(!change.chains && change.remove.is_empty() && change.add.len() == 1);
        assert_eq!(change.add[0].container_ip, IpAddr::from([172, 17, 0, 3]));
        assert!(after.rules.change_to(&after.rules).is_empty());
        assert_eq!(stale_links(["a", "b", "c"], &after), ["c"]);
        assert_eq!(
            before.rules.bridges["docker0"].subnets[0].net,
            "172.17.0.0/16".parse().unwrap()
        );
        let wider = plan(&[bridges[0].clone(), bridge("br-1", "172.18.0.1/16")], &[]).unwrap();
        assert!(before.rules.change_to(&wider.rules).chains);
    }

    #[test]
    fn contradictions_are_refused() {
        let bridges = [bridge("docker0", "172.17.0.1/16")];
        let twice = [
            endpoint("a", "docker0", 2, &[(80, 80)]),
            endpoint("b", "docker0", 3, &[(80, 80)]),
        ];
        let error = plan(&bridges, &twice).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Bind for 0.0.0.0:80 failed: port is already allocated"
        );
        assert!(matches!(
            plan(&bridges, &[endpoint("a", "br-9", 2, &[])]),
            Err(Error::NoBridge { .. })
        ));
    }

    #[test]
    fn names_fit_and_tell_daemons_apart() {
        let name = host_link("1a2b3c4d", &"c".repeat(64), &"n".repeat(64));
        assert_eq!(name.len(), LINK_NAME_BYTES_MAX);
        assert!(name.starts_with("sv1a2b"));
        assert_ne!(name, host_link("1a2b3c4d", &"c".repeat(64), "other"));
        assert_eq!(
            mac_text(mac_of(IpAddr::from([172, 17, 0, 2]))),
            "02:42:ac:11:00:02"
        );
    }

    #[test]
    fn the_way_out_is_chosen_by_priority_then_name() {
        let one = |network, internal, priority, gateway_v6| Candidate {
            network,
            internal,
            priority,
            gateway_v4: !internal,
            gateway_v6,
        };
        let all = [one("b", false, 0, false), one("a", false, 0, false)];
        assert_eq!(way_out(&all), (Some(1), None));
        let all = [one("b", false, 0, true), one("a", false, 0, false)];
        assert_eq!(way_out(&all), (Some(0), Some(0)));
        let all = [
            one("a", true, 9, false),
            one("c", false, 1, false),
            one("b", false, 0, true),
        ];
        assert_eq!(way_out(&all), (Some(1), Some(2)));
        assert_eq!(way_out(&[one("a", true, 9, true)]), (None, None));
    }
}
