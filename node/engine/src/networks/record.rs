//! A network as it is written to disk.

use crate::clock;
use crate::containers::Registry;
use crate::networks::Endpoint;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use shoal_api_types::network::{ConfigReference, EndpointResource, Ipam, IpamConfig, Network};
use shoal_api_types::{Dict, Slice};
use shoal_node_core_host::bridgeopts::BridgeOptions;
use shoal_node_core_host::ipam::{self, Pool};
use shoal_node_core_host::lifecycle::Time;
use shoal_node_core_host::netplan::{self, Mode};
use std::collections::BTreeMap;
use std::net::IpAddr;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    pub id: String,
    pub name: String,
    pub created: Time,
    /// `bridge`, `host`, `null`, `macvlan`, `ipvlan`.
    pub driver: String,
    pub internal: bool,
    pub attachable: bool,
    pub enable_ipv4: bool,
    pub enable_ipv6: bool,
    pub config_only: bool,
    /// The network that its configuration was copied from.
    pub config_from: String,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    pub ipam_driver: String,
    pub ipam_options: BTreeMap<String, String>,
    pub subnets: Vec<Subnet>,
    /// The interface of the host that it hangs on: a bridge of its own, or the parent of its containers' interfaces.
    pub link: String,
}

impl Default for Record {
    fn default() -> Self {
        Record {
            id: String::new(),
            name: String::new(),
            created: Time::default(),
            driver: String::new(),
            internal: false,
            attachable: false,
            enable_ipv4: true,
            enable_ipv6: false,
            config_only: false,
            config_from: String::new(),
            options: BTreeMap::new(),
            labels: BTreeMap::new(),
            ipam_driver: "default".into(),
            ipam_options: BTreeMap::new(),
            subnets: Vec::new(),
            link: String::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    pub net: IpNet,
    pub range: Option<IpNet>,
    /// As asked for or chosen with the subnet; else the first of the range is it and is not shown.
    pub gateway: Option<IpAddr>,
    #[serde(default)]
    pub aux: BTreeMap<String, IpAddr>,
    /// By a user, and not chosen: addresses may be asked for.
    #[serde(default)]
    pub given: bool,
}

impl Record {
    pub fn is_predefined(&self) -> bool {
        matches!(self.name.as_str(), "bridge" | "host" | "none")
    }

    /// They were checked when the network was made.
    pub fn bridge_options(&self) -> BridgeOptions {
        BridgeOptions::parse(&self.options, self.internal).unwrap_or_default()
    }

    /// Subnets of the families that it has.
    pub fn used_subnets(&self) -> impl Iterator<Item = &Subnet> {
        self.subnets.iter().filter(|s| {
            if ipam::is_v6(s.net) {
                self.enable_ipv6
            } else {
                self.enable_ipv4
            }
        })
    }

    pub fn pools(&self) -> Result<Vec<Pool>, ipam::Error> {
        if self.config_only {
            return Ok(Vec::new());
        }
        let options = self.bridge_options();
        self.used_subnets()
            .map(|subnet| {
                let mut pool = Pool::new(subnet.net, subnet.range, subnet.gateway)?;
                for address in subnet.aux.values() {
                    pool.keep(*address)?;
                }
                let isolated =
                    self.driver == "bridge" && options.mode(ipam::is_v6(subnet.net)) == Mode::Isolated;
                // On a part of the host's interface nobody is the gateway of a closed network either.
                let closed = self.driver != "bridge" && self.internal && subnet.gateway.is_none();
                Ok(if isolated || closed {
                    pool.without_gateway()
                } else {
                    pool
                })
            })
            .collect()
    }

    /// What the kernel should have of it.
    pub fn plan(&self) -> Option<netplan::Bridge> {
        if self.driver != "bridge" || self.config_only {
            return None;
        }
        let options = self.bridge_options();
        let pools = self.pools().ok()?;
        let addresses = pools
            .iter()
            .filter(|pool| ipam::is_v6(pool.subnet()) || !options.inhibit_v4)
            .filter_map(Pool::gateway_net)
            .collect();
        let subnets = pools.iter().map(|pool| {
            let v6 = ipam::is_v6(pool.subnet());
            netplan::SubnetRules {
                net: pool.subnet(),
                mode: options.mode(v6),
                masquerade: options.masquerade,
                leave_as: if v6 { options.host_v6 } else { options.host_v4 },
            }
        });
        Some(netplan::Bridge {
            name: self.link.clone(),
            addresses,
            mtu: options.mtu,
            rules: netplan::BridgeRules {
                subnets: subnets.collect(),
                internal: self.internal,
                icc: options.icc,
                trusted: options.trusted,
            },
        })
    }

    pub fn show(&self, endpoints: &[(String, Endpoint)], registry: &Registry) -> Network {
        let config = self.subnets.iter().map(|subnet| IpamConfig {
            subnet: subnet.net.to_string(),
            ip_range: subnet.range.map(|r| r.to_string()).unwrap_or_default(),
            gateway: subnet.gateway.map(|g| g.to_string()).unwrap_or_default(),
            auxiliary_addresses: if subnet.aux.is_empty() {
                Dict::nil()
            } else {
                subnet
                    .aux
                    .iter()
                    .map(|(name, address)| (name.clone(), address.to_string()))
                    .collect()
            },
        });
        let containers = endpoints.iter().map(|(container, endpoint)| {
            let shown = endpoint.settings(None);
            let net = |place: &Option<super::endpoint::Place>| {
                place
                    .and_then(|p| p.net())
                    .map(|net| net.to_string())
                    .unwrap_or_default()
            };
            let resource = EndpointResource {
                name: registry.get(container).map(|h| h.name()).unwrap_or_default(),
                endpoint_id: endpoint.endpoint_id.clone(),
                mac_address: shown.mac_address,
                ipv4_address: net(&endpoint.v4),
                ipv6_address: net(&endpoint.v6),
            };
            (container.clone(), resource)
        });
        Network {
            name: self.name.clone(),
            id: self.id.clone(),
            created: clock::timestamp(self.created),
            scope: if self.driver == super::overlay::OVERLAY {
                "swarm".into()
            } else {
                "local".into()
            },
            driver: self.driver.clone(),
            enable_ipv4: self.enable_ipv4,
            enable_ipv6: self.enable_ipv6,
            ipam: Ipam {
                driver: self.ipam_driver.clone(),
                options: if self.is_predefined() {
                    Dict::nil()
                } else {
                    self.ipam_options.clone().into()
                },
                config: if self.subnets.is_empty() {
                    Slice::nil()
                } else {
                    config.collect::<Vec<_>>().into()
                },
            },
            internal: self.internal,
            attachable: self.attachable,
            config_only: self.config_only,
            config_from: ConfigReference {
                network: self.config_from.clone(),
            },
            containers: containers.collect(),
            options: self.options.clone().into(),
            labels: self.labels.clone().into(),
            ..Network::default()
        }
    }
}
