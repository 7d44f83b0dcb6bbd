//! What the network of this host should look like, from its networks and endpoints: bridges, links, packet rules. And
//! what differs from what is there. The kernel is spoken to by `node/drivers/network`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
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

/// A network on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// Name of the interface: `docker0`, `br-0123456789ab`.
    pub name: String,
    /// The bridge's own address, which is its containers' gateway.
    pub address: Ipv4Net,
    pub mtu: u32,
    /// Containers reach nothing outside of the network.
    pub internal: bool,
    /// Traffic to the outside leaves with the host's address.
    pub masquerade: bool,
    /// Containers of the network reach each other.
    pub icc: bool,
}

/// A port of the host that leads to a port of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Published {
    pub protocol: Protocol,
    /// `None` is every address of the host (`0.0.0.0`).
    pub host_ip: Option<Ipv4Addr>,
    pub host_port: u16,
    pub container_ip: Ipv4Addr,
    pub container_port: u16,
}

/// Where a packet to the host is caught: no two published ports share this.
pub type Entrance = (Protocol, Option<Ipv4Addr>, u16);

impl Published {
    pub fn entrance(&self) -> Entrance {
        (self.protocol, self.host_ip, self.host_port)
    }
}

/// A container's place in a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The host's end of its cable, see [`host_link`].
    pub host_link: String,
    pub bridge: String,
    pub address: Ipv4Addr,
    pub published: Vec<Published>,
}

/// All packet rules of one daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// By interface name.
    pub bridges: BTreeMap<String, BridgeRules>,
    pub published: BTreeSet<Published>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeRules {
    pub subnet: Ipv4Net,
    pub internal: bool,
    pub masquerade: bool,
    pub icc: bool,
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
            chains: self.bridges != wanted.bridges,
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
    #[error("Bind for {}:{port} failed: port is already allocated", ip.unwrap_or(Ipv4Addr::UNSPECIFIED))]
    PortTaken { ip: Option<Ipv4Addr>, port: u16 },
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
        let rules = BridgeRules {
            subnet: bridge.address.trunc(),
            internal: bridge.internal,
            masquerade: bridge.masquerade,
            icc: bridge.icc,
        };
        plan.rules.bridges.insert(bridge.name.clone(), rules);
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
                return Err(Error::PortTaken {
                    ip: published.host_ip,
                    port: published.host_port,
                });
            }
            plan.rules.published.insert(*published);
        }
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
pub fn mac_of(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x42, a, b, c, d]
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
            address: address.parse().unwrap(),
            mtu: 1500,
            internal: false,
            masquerade: true,
            icc: true,
        }
    }

    fn endpoint(link: &str, bridge: &str, last: u8, ports: &[(u16, u16)]) -> Endpoint {
        let address = Ipv4Addr::new(172, 17, 0, last);
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
            address,
            published: published.collect(),
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
        assert_eq!(change.add[0].container_ip, Ipv4Addr::new(172, 17, 0, 3));
        assert!(after.rules.change_to(&after.rules).is_empty());
        assert_eq!(stale_links(["a", "b", "c"], &after), ["c"]);
        assert_eq!(
            before.rules.bridges["docker0"].subnet,
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
            mac_text(mac_of(Ipv4Addr::new(172, 17, 0, 2))),
            "02:42:ac:11:00:02"
        );
    }
}
