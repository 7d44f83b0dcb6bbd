//! A container's place on a network of this host.

use serde::{Deserialize, Serialize};
use shoal_api_types::container::{PortBinding, PortMap};
use shoal_api_types::network::EndpointSettings;
use shoal_api_types::{Dict, Slice};
use shoal_node_core_host::netplan::{self, Protocol};
use std::net::Ipv4Addr;

/// Written with the container's state, so that a restarted daemon knows what is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub network: String,
    pub network_id: String,
    pub endpoint_id: String,
    pub bridge: String,
    pub host_link: String,
    /// `eth0`, `eth1`, …
    pub name: String,
    pub address: Ipv4Addr,
    pub prefix_len: u8,
    /// Of the network; the default route goes there when `is_default`.
    pub gateway: Ipv4Addr,
    pub is_default: bool,
    pub internal: bool,
    pub isolated: bool,
    pub mtu: u32,
    pub mac: [u8; 6],
    pub published: Vec<Published>,
}

/// A port of the host that leads here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    pub protocol: String,
    /// As asked for; empty is every address.
    pub host_ip: String,
    pub host_port: u16,
    pub container_port: u16,
}

impl Endpoint {
    /// As the API shows it, over what was asked for.
    pub fn settings(&self, asked: Option<&EndpointSettings>) -> EndpointSettings {
        EndpointSettings {
            network_id: self.network_id.clone(),
            endpoint_id: self.endpoint_id.clone(),
            gateway: if self.internal {
                String::new()
            } else {
                self.gateway.to_string()
            },
            ip_address: self.address.to_string(),
            ip_prefix_len: i64::from(self.prefix_len),
            mac_address: netplan::mac_text(self.mac),
            ..asked.cloned().unwrap_or_default()
        }
    }

    pub fn plan(&self) -> netplan::Endpoint {
        netplan::Endpoint {
            host_link: self.host_link.clone(),
            bridge: self.bridge.clone(),
            address: self.address,
            published: self
                .published
                .iter()
                .filter_map(|p| p.plan(self.address))
                .collect(),
        }
    }
}

impl Published {
    pub fn plan(&self, container_ip: Ipv4Addr) -> Option<netplan::Published> {
        Some(netplan::Published {
            protocol: Protocol::parse(&self.protocol)?,
            host_ip: self.host_address().filter(|ip| !ip.is_unspecified()),
            host_port: self.host_port,
            container_ip,
            container_port: self.container_port,
        })
    }

    pub fn host_address(&self) -> Option<Ipv4Addr> {
        self.host_ip.parse().ok()
    }
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
            let host_ip = if p.host_ip.is_empty() {
                "0.0.0.0".into()
            } else {
                p.host_ip.clone()
            };
            let binding = PortBinding {
                host_ip,
                host_port: p.host_port.to_string(),
            };
            map.to_mut().entry(key).or_insert_with(Slice::nil).push(binding);
        }
    }
    map
}
