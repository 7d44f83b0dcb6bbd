//! A container's place on a network of this host.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use shoal_api_types::container::{PortBinding, PortMap};
use shoal_api_types::network::EndpointSettings;
use shoal_api_types::{Dict, Slice};
use shoal_node_core_host::dns;
use shoal_node_core_host::netplan::{self, Mode, Protocol};
use std::net::IpAddr;

/// Written with the container's state, so that a restarted daemon knows what is in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    pub network: String,
    pub network_id: String,
    /// The network's: `bridge`, `host`, …
    pub driver: String,
    pub endpoint_id: String,
    pub attach: Attach,
    /// `eth0`, `eth1`, …
    pub name: String,
    pub v4: Option<Place>,
    pub v6: Option<Place>,
    pub link_local: Vec<IpNet>,
    /// Nothing outside is reached over it.
    pub internal: bool,
    pub gw_priority: i64,
    pub mtu: u32,
    pub mac: [u8; 6],
    /// Below /proc/sys/net.
    pub switches: Vec<(String, String)>,
    /// What the container is called on this network.
    pub dns_names: Vec<String>,
    pub published: Vec<Published>,
    /// A user's own container on a network of the cluster.
    pub attached: bool,
    /// And nothing outside is to be reached from that network.
    pub closed: bool,
}

/// How the container's interface hangs on the host. Drivers differ in this alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attach {
    /// Not at all: the host's own network, or none.
    #[default]
    None,
    /// A cable to a bridge.
    Cable {
        bridge: String,
        host_link: String,
        isolated: bool,
    },
    /// A part of one of the host's interfaces.
    Sub { parent: String, kind: Sub },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sub {
    Macvlan { mode: u32 },
    Ipvlan { mode: u16, flags: u16 },
}

/// An address of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub address: IpAddr,
    pub prefix_len: u8,
    /// Who leads out of the network, if anybody does.
    pub gateway: Option<IpAddr>,
}

/// A port of the host that leads here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Published {
    pub protocol: String,
    /// `0.0.0.0` and `::` are every address.
    pub host_ip: String,
    /// 0 where the network is routed: the container's own port is open.
    pub host_port: u16,
    pub container_port: u16,
    pub v6: bool,
}

impl Place {
    pub fn net(&self) -> Option<IpNet> {
        IpNet::new(self.address, self.prefix_len).ok()
    }
}

impl Endpoint {
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.v4.iter().chain(&self.v6)
    }

    pub fn addresses(&self) -> Vec<IpAddr> {
        self.places().map(|place| place.address).collect()
    }

    pub fn place(&self, v6: bool) -> Option<&Place> {
        if v6 { self.v6.as_ref() } else { self.v4.as_ref() }
    }

    pub fn host_link(&self) -> Option<&str> {
        match &self.attach {
            Attach::Cable { host_link, .. } => Some(host_link),
            _ => None,
        }
    }

    pub fn bridge(&self) -> Option<&str> {
        match &self.attach {
            Attach::Cable { bridge, .. } => Some(bridge),
            _ => None,
        }
    }

    /// Whether names are looked up on this network.
    pub fn has_names(&self) -> bool {
        let without = ["bridge", "ingress", super::overlay::GATEWAY_BRIDGE];
        self.attach != Attach::None && !without.contains(&self.network.as_str())
    }

    /// What its network should know it by.
    pub fn entry(&self, container_name: &str) -> dns::Entry {
        dns::Entry {
            // On a network of the cluster the cluster says what leads where, and when.
            names: match self.driver.as_str() {
                super::overlay::OVERLAY => Vec::new(),
                _ => self.dns_names.clone(),
            },
            addresses: self.addresses(),
            reverse: Some(container_name.to_owned()),
        }
    }

    /// As the API shows it, over what was asked for.
    pub fn settings(&self, asked: Option<&EndpointSettings>) -> EndpointSettings {
        let text = |ip: Option<IpAddr>| ip.map(|ip| ip.to_string()).unwrap_or_default();
        // The link itself is nobody.
        let gateway =
            |place: Option<&Place>| text(place.and_then(|p| p.gateway).filter(|g| !g.is_unspecified()));
        EndpointSettings {
            network_id: self.network_id.clone(),
            endpoint_id: self.endpoint_id.clone(),
            gateway: gateway(self.v4.as_ref()),
            ip_address: text(self.v4.map(|p| p.address)),
            ip_prefix_len: self.v4.map_or(0, |p| i64::from(p.prefix_len)),
            ipv6_gateway: gateway(self.v6.as_ref()),
            global_ipv6_address: text(self.v6.map(|p| p.address)),
            global_ipv6_prefix_len: self.v6.map_or(0, |p| i64::from(p.prefix_len)),
            mac_address: if self.attach == Attach::None {
                String::new()
            } else {
                netplan::mac_text(self.mac)
            },
            dns_names: names(&self.dns_names),
            ..asked.cloned().unwrap_or_default()
        }
    }

    /// What the packet rules have of it. `mode` is its network's, by family.
    pub fn plan(&self, mode: impl Fn(bool) -> Mode) -> Option<netplan::Endpoint> {
        let Attach::Cable {
            bridge, host_link, ..
        } = &self.attach
        else {
            return None;
        };
        let mut out = netplan::Endpoint {
            host_link: host_link.clone(),
            bridge: bridge.clone(),
            published: Vec::new(),
            open: Vec::new(),
        };
        for p in &self.published {
            let (Some(protocol), Some(place)) = (Protocol::parse(&p.protocol), self.place(p.v6)) else {
                continue;
            };
            if mode(p.v6) == Mode::Routed {
                out.open.push(netplan::Open {
                    bridge: bridge.clone(),
                    protocol,
                    address: place.address,
                    port: p.container_port,
                });
            } else {
                out.published.push(netplan::Published {
                    protocol,
                    host_ip: p.host_address().filter(|ip| !ip.is_unspecified()),
                    host_port: p.host_port,
                    container_ip: place.address,
                    container_port: p.container_port,
                });
            }
        }
        Some(out)
    }
}

/// Nothing is `null`.
pub fn names(names: &[String]) -> Slice<String> {
    if names.is_empty() {
        Slice::nil()
    } else {
        names.to_vec().into()
    }
}

impl Published {
    pub fn host_address(&self) -> Option<IpAddr> {
        self.host_ip.parse().ok()
    }
}

/// The endpoints that lead out of these, for IPv4 and IPv6.
pub fn ways_out(endpoints: &[Endpoint]) -> (Option<usize>, Option<usize>) {
    let gateway = |place: Option<&Place>| place.is_some_and(|p| p.gateway.is_some());
    let candidates: Vec<netplan::Candidate<'_>> = endpoints
        .iter()
        .map(|e| netplan::Candidate {
            network: &e.network,
            internal: e.internal,
            priority: e.gw_priority,
            gateway_v4: gateway(e.v4.as_ref()),
            gateway_v6: gateway(e.v6.as_ref()),
        })
        .collect();
    netplan::way_out(&candidates)
}

/// `NetworkSettings.Ports`: bound ones with their bindings, exposed ones with null.
pub fn port_map(endpoints: &[Endpoint], exposed: impl Iterator<Item = String>) -> PortMap {
    let mut map: PortMap = Dict::new();
    for port in exposed {
        map.insert(port, Slice::nil());
    }
    for endpoint in endpoints {
        for p in &endpoint.published {
            let key = format!("{}/{}", p.container_port, p.protocol);
            let binding = PortBinding {
                host_ip: p.host_ip.clone(),
                host_port: if p.host_port == 0 {
                    String::new()
                } else {
                    p.host_port.to_string()
                },
            };
            map.to_mut().entry(key).or_insert_with(Slice::nil).push(binding);
        }
    }
    map
}
