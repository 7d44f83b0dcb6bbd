//! Users' own containers on networks of the cluster. The cluster gives the address, before the container is plugged in; the
//! way out, where the network has one, is over the gateway bridge, which nobody has asked for and nobody is shown.

use super::asked;
use super::endpoint::{Endpoint, ways_out};
use super::overlay::{GATEWAY_BRIDGE, OVERLAY};
use super::record::{Record, Subnet};
use super::table::NetworkTable;
use crate::containers::Record as Container;
use crate::error::Result;
use crate::ids;
use async_trait::async_trait;
use ipnet::IpNet;
use shoal_api_backend::Class;
use shoal_api_types::network::{EndpointIpamConfig, EndpointSettings};
use shoal_node_core_host::netplan;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// What the engine asks of the cluster that its node is in.
#[async_trait]
pub trait ClusterNetworks: Send + Sync + 'static {
    /// By id, name or the start of an id. `None` where there is no such network, or no cluster.
    async fn find(&self, reference: &str) -> Result<Option<Found>>;
    /// A place for a container, once the network and its names are there on this host.
    async fn attach(&self, wish: Wish) -> Result<Placed>;
    /// The container is not on the network (by id) any more: its place is free.
    fn left(&self, network: &str, container: &str);
    /// Some container goes by another name; the places are compared with
    /// [`OverlayNetworks::attached`](super::OverlayNetworks::attached).
    fn changed(&self);
}

/// Whom an engine asks.
#[derive(Clone)]
pub struct Cluster(pub Arc<dyn ClusterNetworks>);

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cluster")
    }
}

/// A network of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub id: String,
    pub name: String,
    pub subnets: Vec<IpNet>,
}

/// A place as a container asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Id or name.
    pub network: String,
    pub container: String,
    pub name: String,
    pub aliases: Vec<String>,
    pub address: Option<Ipv4Addr>,
    pub address6: Option<Ipv6Addr>,
}

/// A place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The network's id.
    pub network: String,
    pub address: Ipv4Addr,
    /// Where the network has IPv6.
    pub address6: Option<Ipv6Addr>,
    pub mac: [u8; 6],
    /// Nothing outside is reached from there.
    pub internal: bool,
}

/// A container that holds a place, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    pub wish: Wish,
    /// The network's id.
    pub network: String,
    pub address: Ipv4Addr,
    pub mac: [u8; 6],
}

/// What a start was given, by the network's name in the container's configuration.
pub type Places = BTreeMap<String, Placed>;

impl NetworkTable {
    /// The network as far as the cluster knows it; `None` for this host's own, and for one that nobody knows.
    pub async fn of_cluster(&self, reference: &str) -> Result<Option<Record>> {
        let own = |record: Record| record.driver != OVERLAY;
        if reference.is_empty() || reference == "default" || self.find(reference).is_ok_and(own) {
            return Ok(None);
        }
        let Some(Cluster(cluster)) = &self.inner.cluster else {
            return Ok(None);
        };
        Ok(cluster.find(reference).await?.map(record))
    }

    /// This host's network, or else the cluster's.
    pub async fn find_any(&self, reference: &str) -> Result<Record> {
        match self.of_cluster(reference).await {
            Ok(Some(record)) => Ok(record),
            // One that this host has already is found without the cluster.
            Ok(None) => self.find(reference),
            Err(e) => self.find(reference).map_err(|_| e),
        }
    }

    /// Places on all of the container's networks that are the cluster's. Where it fails, nothing is kept.
    pub async fn places(&self, container: &Container) -> Result<Places> {
        let mut places = Places::new();
        if container.of_task {
            return Ok(places);
        }
        for (name, asked) in &container.networks {
            if let Some(placed) = self.place(container, name, asked).await? {
                places.insert(name.clone(), placed);
            }
        }
        Ok(places)
    }

    /// A place on this network, if it is the cluster's.
    pub async fn place(
        &self,
        container: &Container,
        name: &str,
        asked: &EndpointSettings,
    ) -> Result<Option<Placed>> {
        let known = self.find(name);
        if container.of_task || known.as_ref().is_ok_and(|record| record.driver != OVERLAY) {
            return Ok(None);
        }
        let Some(Cluster(cluster)) = &self.inner.cluster else {
            return Ok(None);
        };
        let address6 = match asked::address(asked, true)? {
            Some(IpAddr::V6(address)) => Some(address),
            _ => None,
        };
        let address = match asked::address(asked, false)? {
            Some(IpAddr::V4(address)) => Some(address),
            _ => None,
        };
        let wish = Wish {
            network: name.to_owned(),
            container: container.id.clone(),
            name: container.name.clone(),
            aliases: aliases(&container.id, &container.name, asked::dns_names(container, asked)),
            address,
            address6,
        };
        match cluster.attach(wish).await {
            // Nobody knows it, which is then said as of a network of this host's.
            Err(e) if e.class == Class::NotFound && known.is_err() => Ok(None),
            placed => placed.map(Some),
        }
    }

    /// The container's name has changed.
    pub fn tell_cluster(&self) {
        if let Some(Cluster(cluster)) = &self.inner.cluster {
            cluster.changed();
        }
    }

    /// The container needs its place on the network no more.
    pub fn leave_place(&self, network_id: &str, container: &str) {
        if let Some(Cluster(cluster)) = &self.inner.cluster {
            cluster.left(network_id, container);
        }
    }

    /// Everybody who holds such a place.
    pub(super) fn attached(&self) -> Vec<Attached> {
        let state = self.inner.state.lock();
        let all = state
            .held
            .iter()
            .flat_map(|(id, held)| held.endpoints.iter().map(move |e| (id, e)));
        let attached = |(id, endpoint): (&String, &Endpoint)| {
            let IpAddr::V4(address) = endpoint.v4?.address else {
                return None;
            };
            let name = endpoint.dns_names.first().cloned().unwrap_or_default();
            Some(Attached {
                network: endpoint.network_id.clone(),
                address,
                mac: endpoint.mac,
                wish: Wish {
                    network: endpoint.network_id.clone(),
                    container: id.clone(),
                    aliases: aliases(id, &name, endpoint.dns_names.clone()),
                    name,
                    address: Some(address),
                    address6: endpoint.v6.and_then(|place| match place.address {
                        IpAddr::V6(address) => Some(address),
                        IpAddr::V4(_) => None,
                    }),
                },
            })
        };
        all.filter(|(_, e)| e.attached).filter_map(attached).collect()
    }

    /// Adds the way out over the gateway bridge where these endpoints call for one, or takes it away; answers the one that
    /// came and the one that went.
    pub(super) fn turn_gateway(
        &self,
        container: &Container,
        endpoints: &mut Vec<Endpoint>,
    ) -> Result<(Option<Endpoint>, Option<Endpoint>)> {
        if container.networks.contains_key(GATEWAY_BRIDGE) {
            return Ok((None, None));
        }
        let at = endpoints.iter().position(|e| e.network == GATEWAY_BRIDGE);
        let others: Vec<Endpoint> = endpoints
            .iter()
            .filter(|e| e.network != GATEWAY_BRIDGE)
            .cloned()
            .collect();
        let open = others.iter().any(|e| e.attached && !e.closed);
        let wanted = open && ways_out(&others).0.is_none();
        match (wanted, at) {
            (true, None) => {
                let endpoint =
                    self.endpoint(container, GATEWAY_BRIDGE, &EndpointSettings::default(), endpoints)?;
                endpoints.push(endpoint.clone());
                Ok((Some(endpoint), None))
            }
            (false, Some(at)) => Ok((None, Some(endpoints.remove(at)))),
            _ => Ok((None, None)),
        }
    }
}

/// Whether a user sees this endpoint: the gateway bridge's only where it was asked for.
pub fn is_shown(container: &Container, endpoint: &Endpoint) -> bool {
    endpoint.network != GATEWAY_BRIDGE || container.networks.contains_key(GATEWAY_BRIDGE)
}

/// What is asked for, with what the cluster gave.
pub(super) fn given(asked: &EndpointSettings, placed: &Placed) -> EndpointSettings {
    EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: placed.address.to_string(),
            ipv6_address: placed.address6.map(|a| a.to_string()).unwrap_or_default(),
            ..asked.ipam_config.clone().unwrap_or_default()
        }),
        mac_address: netplan::mac_text(placed.mac),
        ..asked.clone()
    }
}

/// Names besides the container's own and its short id, which the cluster knows by itself.
fn aliases(id: &str, name: &str, mut names: Vec<String>) -> Vec<String> {
    names.retain(|n| n != name && n != ids::short(id));
    names
}

/// For checks of what is asked for on it.
fn record(found: Found) -> Record {
    let subnet = |net: IpNet| Subnet {
        net,
        range: None,
        gateway: None,
        aux: BTreeMap::new(),
        given: true,
    };
    Record {
        id: found.id,
        name: found.name,
        driver: OVERLAY.into(),
        internal: true,
        subnets: found.subnets.into_iter().map(subnet).collect(),
        ..Record::default()
    }
}
