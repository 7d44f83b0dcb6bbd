//! A network as it is written to disk.

use crate::clock;
use crate::containers::Registry;
use crate::networks::Endpoint;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use shoal_api_types::network::{EndpointResource, Ipam, IpamConfig, Network};
use shoal_api_types::{Dict, Slice};
use shoal_node_core_host::lifecycle::Time;
use shoal_node_core_host::netplan;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    pub id: String,
    pub name: String,
    pub created: Time,
    /// `bridge`, `host` or `null`.
    pub driver: String,
    pub internal: bool,
    pub attachable: bool,
    pub enable_ipv6: bool,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// Of a bridge.
    pub subnet: Option<Ipv4Net>,
    pub ip_range: Option<Ipv4Net>,
    pub gateway: Option<Ipv4Addr>,
    pub bridge: String,
    pub mtu: u32,
    pub icc: bool,
    pub masquerade: bool,
}

impl Record {
    pub fn is_predefined(&self) -> bool {
        matches!(self.name.as_str(), "bridge" | "host" | "none")
    }

    /// What the kernel should have of it.
    pub fn plan(&self) -> Option<netplan::Bridge> {
        let (subnet, gateway) = (self.subnet?, self.gateway?);
        Some(netplan::Bridge {
            name: self.bridge.clone(),
            address: Ipv4Net::new(gateway, subnet.prefix_len()).ok()?,
            mtu: self.mtu,
            internal: self.internal,
            masquerade: self.masquerade,
            icc: self.icc,
        })
    }

    pub fn show(&self, endpoints: &[(String, Endpoint)], registry: &Registry) -> Network {
        let config = self.subnet.map(|subnet| IpamConfig {
            subnet: subnet.to_string(),
            ip_range: self.ip_range.map(|r| r.to_string()).unwrap_or_default(),
            gateway: self.gateway.map(|g| g.to_string()).unwrap_or_default(),
            ..IpamConfig::default()
        });
        let containers = endpoints.iter().map(|(container, endpoint)| {
            let resource = EndpointResource {
                name: registry.get(container).map(|h| h.name()).unwrap_or_default(),
                endpoint_id: endpoint.endpoint_id.clone(),
                mac_address: netplan::mac_text(endpoint.mac),
                ipv4_address: format!("{}/{}", endpoint.address, endpoint.prefix_len),
                ipv6_address: String::new(),
            };
            (container.clone(), resource)
        });
        Network {
            name: self.name.clone(),
            id: self.id.clone(),
            created: clock::timestamp(self.created),
            scope: "local".into(),
            driver: self.driver.clone(),
            enable_ipv4: true,
            enable_ipv6: false,
            ipam: Ipam {
                driver: "default".into(),
                options: if self.is_predefined() {
                    Dict::nil()
                } else {
                    Dict::new()
                },
                config: match config {
                    Some(config) => vec![config].into(),
                    None => Slice::nil(),
                },
            },
            internal: self.internal,
            attachable: self.attachable,
            containers: containers.collect(),
            options: self.options.clone().into(),
            labels: self.labels.clone().into(),
            ..Network::default()
        }
    }
}
