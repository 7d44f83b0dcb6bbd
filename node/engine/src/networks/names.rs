//! What a container's resolver knows: the names on its networks, names of its own, and whom to ask outside.

use super::endpoint::Endpoint;
use super::table::NetworkTable;
use crate::containers::Record as Container;
use parking_lot::{Mutex, RwLock};
use shoal_node_core_host::dns::{self, Answer, View, Zone};
use shoal_node_core_host::resolvconf::{self, Server, Wishes};
use shoal_node_drivers_network::Names;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Shared by all containers of a network and whoever else puts names in: services of the cluster, under owners of their own.
pub type SharedZone = Arc<RwLock<Zone>>;

/// How long what the host's resolv.conf said is good for.
const HOST_FILE_GOOD: Duration = Duration::from_secs(2);
pub(crate) const HOST_FILE: &str = "/etc/resolv.conf";

pub(super) struct Seen {
    zones: RwLock<Zones>,
    wishes: Wishes,
    turn: AtomicUsize,
    servers: Mutex<Option<(Instant, Vec<Server>)>>,
}

#[derive(Default)]
struct Zones {
    zones: Vec<SharedZone>,
    links: Vec<(String, String)>,
    forwards: bool,
}

impl Seen {
    pub fn new(wishes: Wishes) -> Seen {
        Seen {
            zones: RwLock::default(),
            wishes,
            turn: AtomicUsize::new(0),
            servers: Mutex::new(None),
        }
    }
}

impl Names for Seen {
    fn answer(&self, message: &[u8], over_tcp: bool) -> Answer {
        let seen = self.zones.read();
        let zones: Vec<_> = seen.zones.iter().map(|zone| zone.read()).collect();
        let zones: Vec<&Zone> = zones.iter().map(|zone| &**zone).collect();
        let view = View {
            zones: &zones,
            links: &seen.links,
            forwards: seen.forwards,
        };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        dns::answer(message, &view, turn, over_tcp)
    }

    fn servers(&self) -> Vec<Server> {
        let mut known = self.servers.lock();
        match &*known {
            Some((at, servers)) if at.elapsed() < HOST_FILE_GOOD => servers.clone(),
            _ => {
                let host = std::fs::read_to_string(HOST_FILE).unwrap_or_default();
                let servers = resolvconf::servers(&host, &self.wishes);
                *known = Some((Instant::now(), servers.clone()));
                servers
            }
        }
    }
}

pub fn wishes(record: &Container) -> Wishes {
    Wishes {
        servers: record.host.dns.to_vec(),
        search: record.host.dns_search.to_vec(),
        options: record.host.dns_options.to_vec(),
    }
}

/// `name:alias`, or a name alone.
pub fn split_link(link: &str) -> (&str, &str) {
    let (name, alias) = link.split_once(':').unwrap_or((link, link));
    // Docker writes them as `/name:/container/alias`.
    (
        name.trim_start_matches('/'),
        alias.rsplit('/').next().unwrap_or(alias),
    )
}

impl NetworkTable {
    /// The names on a network, for whoever has more to put in.
    pub fn zone(&self, network_id: &str) -> Option<SharedZone> {
        let state = self.inner.state.lock();
        state.networks.get(network_id).map(|net| net.zone.clone())
    }

    /// What this container sees from now on, and what others see of it. Called whenever its networks change.
    pub(super) fn name(&self, container: &Container, endpoints: &[Endpoint], seen: Option<&Seen>) {
        let mut zones = Vec::new();
        for endpoint in endpoints.iter().filter(|e| e.has_names()) {
            let Some(zone) = self.zone(&endpoint.network_id) else {
                continue;
            };
            zone.write()
                .put(&container.id, vec![endpoint.entry(&container.name)]);
            zones.push(zone);
        }
        let Some(seen) = seen else { return };
        let of_endpoints = container.networks.values().flat_map(|n| n.links.iter());
        let links = of_endpoints.chain(container.host.links.iter());
        *seen.zones.write() = Zones {
            zones,
            links: links
                .map(|link| split_link(link))
                .map(|(name, alias)| (alias.to_owned(), name.to_owned()))
                .collect(),
            forwards: endpoints.iter().any(|e| !e.internal),
        };
    }

    /// The container goes by another name.
    pub fn renamed(&self, container: &Container, endpoints: &[Endpoint]) {
        let seen = {
            let mut state = self.inner.state.lock();
            let Some(held) = state.held.get_mut(&container.id) else {
                return;
            };
            held.endpoints = endpoints.to_vec();
            held.seen.clone()
        };
        self.name(container, endpoints, seen.as_deref());
    }

    pub(super) fn forget_names(&self, container: &str, endpoints: &[Endpoint]) {
        for endpoint in endpoints {
            if let Some(zone) = self.zone(&endpoint.network_id) {
                zone.write().remove(container);
            }
        }
    }
}
