//! Which networks there are and who is on them.

use super::attached::Cluster;
use super::endpoint::{Attach, Endpoint};
use super::held::Held;
use super::names::SharedZone;
use super::record::Record;
use super::{overlay, pull};
use crate::error::{Result, invalid, not_found, system};
use crate::events::Events;
use crate::files::{self, Durability};
use parking_lot::Mutex;
use shoal_node_core_host::ipam::{AddressPool, Pool};
use shoal_node_core_host::names;
use shoal_node_drivers_network::{Error as DriverError, Links, Nft, Ports, Resolvers, Spares};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};

/// Network namespaces made in advance.
const SPARES: usize = 4;

#[derive(Clone)]
pub struct NetworkTable {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub sid: String,
    pub links: Links,
    pub nft: Nft,
    pub ports: Ports,
    pub spares: Spares,
    pub resolvers: Resolvers,
    pub overlay: overlay::State,
    pub dir: PathBuf,
    pub events: Events,
    /// Where subnets come from when nobody names one.
    pub pools: Vec<AddressPool>,
    /// Whether the host may be told to forward.
    pub forward: bool,
    /// Whether the daemon takes what comes to a published port where no packet rule leads it on.
    pub pass_on: bool,
    /// Where networks of the cluster are asked for.
    pub cluster: Option<Cluster>,
    /// Held while a network's subnets are chosen, until it is in the table: no two get the same.
    pub choosing: Mutex<()>,
    pub state: Mutex<State>,
    /// Held while rules are computed and written, so that an older plan never overwrites a newer one.
    pub converging: Mutex<()>,
    pub pulled: mpsc::Sender<Vec<Endpoint>>,
}

#[derive(Default)]
pub(super) struct State {
    pub networks: Nets,
    /// By container.
    pub held: HashMap<String, Held>,
}

pub(super) struct Net {
    pub record: Record,
    /// One for each family.
    pub pools: Vec<Pool>,
    pub zone: SharedZone,
}

/// The networks by id. A network comes and goes; what its record says does not change meanwhile.
#[derive(Default)]
pub(super) struct Nets {
    by_id: BTreeMap<String, Net>,
    changes: u64,
}

impl Nets {
    pub fn insert(&mut self, id: String, net: Net) {
        self.changes += 1;
        self.by_id.insert(id, net);
    }

    pub fn remove(&mut self, id: &str) -> Option<Net> {
        self.changes += 1;
        self.by_id.remove(id)
    }

    pub fn get_mut(&mut self, id: &str) -> Option<&mut Net> {
        self.by_id.get_mut(id)
    }
}

impl Deref for Nets {
    type Target = BTreeMap<String, Net>;
    fn deref(&self) -> &Self::Target {
        &self.by_id
    }
}

impl Net {
    pub fn pool(&mut self, v6: bool) -> Option<&mut Pool> {
        self.pools
            .iter_mut()
            .find(|pool| shoal_node_core_host::ipam::is_v6(pool.subnet()) == v6)
    }
}

pub(super) fn driver(e: DriverError) -> crate::error::Error {
    system(e.to_string())
}

impl NetworkTable {
    pub(super) fn new(
        sid: &str,
        links: Links,
        nft: Nft,
        dir: PathBuf,
        events: Events,
        pools: Vec<AddressPool>,
        forward: bool,
        pass_on: bool,
        cluster: Option<Cluster>,
    ) -> Result<Self> {
        let (pulled, to_pull) = mpsc::channel::<Vec<Endpoint>>();
        let inner = Arc::new(Inner {
            sid: sid.into(),
            links,
            nft,
            ports: Ports::new(),
            spares: Spares::start(SPARES).map_err(driver)?,
            dir,
            events,
            pools,
            forward,
            pass_on,
            cluster,
            choosing: Mutex::new(()),
            overlay: overlay::State::open(sid).map_err(driver)?,
            resolvers: Resolvers::start(tokio::runtime::Handle::current()).map_err(driver)?,
            state: Mutex::default(),
            converging: Mutex::new(()),
            pulled,
        });
        pull::start(&inner, to_pull)?;
        Ok(NetworkTable { inner })
    }

    /// Whether a container is plugged in by this cable.
    pub(super) fn is_held(&self, link: &str) -> bool {
        let state = self.inner.state.lock();
        state
            .held
            .values()
            .flat_map(|h| &h.endpoints)
            .any(|e| e.host_link() == Some(link))
    }

    pub fn exists(&self, reference: &str) -> bool {
        self.find(reference).is_ok()
    }

    /// By id, name, or the start of an id.
    pub fn find(&self, reference: &str) -> Result<Record> {
        self.look(reference, Record::clone)
    }

    /// What `read` sees in a network, of which nothing is copied: lists ask this for each of their containers.
    pub fn look<T>(&self, reference: &str, read: impl FnOnce(&Record) -> T) -> Result<T> {
        let state = self.inner.state.lock();
        if let Some(net) = state.networks.get(reference) {
            return Ok(read(&net.record));
        }
        if let Some(net) = state.networks.values().find(|n| n.record.name == reference) {
            return Ok(read(&net.record));
        }
        let mut found = state
            .networks
            .values()
            .filter(|n| n.record.id.starts_with(reference));
        match (found.next(), found.next()) {
            (Some(net), None) if names::is_id_prefix(reference) => Ok(read(&net.record)),
            (Some(_), Some(_)) if names::is_id_prefix(reference) => Err(invalid(format!(
                "network {reference} is ambiguous ({} matches found on ID prefix)",
                2
            ))),
            _ => Err(not_found(format!("network {reference} not found"))),
        }
    }

    /// Counts networks that came or went: as long as it says the same, so does [`Self::look`].
    pub fn changes(&self) -> u64 {
        self.inner.state.lock().networks.changes
    }

    pub fn all(&self) -> Vec<Record> {
        self.inner
            .state
            .lock()
            .networks
            .values()
            .map(|n| n.record.clone())
            .collect()
    }

    /// Who is on a network: container id and endpoint.
    pub fn on(&self, network_id: &str) -> Vec<(String, Endpoint)> {
        let state = self.inner.state.lock();
        let mut out: Vec<(String, Endpoint)> = state
            .held
            .iter()
            .flat_map(|(id, held)| held.endpoints.iter().map(move |e| (id.clone(), e.clone())))
            .filter(|(_, e)| e.network_id == network_id)
            .collect();
        out.sort_by(|a, b| a.0.cmp(&b.0));
        out
    }

    /// The address under which containers reach the host.
    pub fn host_gateway(&self) -> IpAddr {
        let state = self.inner.state.lock();
        let bridge = state.networks.values().find(|n| n.record.name == "bridge");
        bridge
            .and_then(|n| n.pools.first()?.gateway())
            .unwrap_or(Ipv4Addr::LOCALHOST.into())
    }

    pub fn emit(&self, action: &str, endpoint: &Endpoint, container: &str) {
        let attributes = [
            ("container", container),
            ("name", &endpoint.network),
            ("type", &endpoint.driver),
        ];
        let attributes = attributes
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect();
        self.inner
            .events
            .publish("network", action, &endpoint.network_id, attributes);
    }

    /// Traffic of one interface of a container.
    pub fn counters(
        &self,
        container: &str,
        endpoint: &Endpoint,
    ) -> Result<shoal_node_drivers_network::Counters> {
        match &endpoint.attach {
            Attach::Cable { host_link, .. } => self.inner.links.counters(host_link).map_err(driver),
            Attach::Sub { .. } => {
                let netns = self
                    .held_netns(container)
                    .ok_or_else(|| system("its network is gone"))?;
                Links::counters_inside(&netns, &endpoint.name).map_err(driver)
            }
            Attach::None => Err(system("no interface of its own")),
        }
    }

    /// The chain of somebody else that drops what containers send, if there is one.
    pub fn foreign_drop(&self) -> Option<String> {
        shoal_node_drivers_network::forwarding::foreign_drop(self.inner.nft.table())
            .ok()
            .flatten()
    }

    pub(super) fn save(&self, record: &Record) -> Result<()> {
        let name = format!("{}.json", record.id);
        files::replace_json(&self.inner.dir, &name, record, Durability::Synced)
            .map_err(crate::error::io("write network", &record.name))
    }
}
