//! Which networks there are and who is on them; and the kernel, kept as that says. Addresses and ports are taken and
//! given back here, in memory, at once; cables that are no longer needed are pulled in the background.

use super::endpoint::{Endpoint, Published};
use super::pull;
use super::record::Record;
use crate::containers::Record as Container;
use crate::error::{Result, conflict, invalid, not_found, system};
use crate::events::Events;
use crate::files::{self, Durability};
use crate::ids;
use parking_lot::Mutex;
use shoal_api_types::network::EndpointSettings;
use shoal_node_core_host::ipam::Pool;
use shoal_node_core_host::netplan::{self, Protocol};
use shoal_node_core_host::{names, ports};
use shoal_node_drivers_network::{
    Cable, Error as DriverError, HostPort, Links, Netns, Nft, Place, PortGuard, Ports, Spares,
};
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddrV4};
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
    spares: Spares,
    pub dir: PathBuf,
    pub events: Events,
    pub state: Mutex<State>,
    /// Held while rules are computed and written, so that an older plan never overwrites a newer one.
    converging: Mutex<()>,
    pulled: mpsc::Sender<Vec<Endpoint>>,
}

#[derive(Default)]
pub(super) struct State {
    /// By id.
    pub networks: BTreeMap<String, Net>,
    /// By container.
    pub held: HashMap<String, Held>,
}

pub(super) struct Net {
    pub record: Record,
    pub pool: Option<Pool>,
}

/// What one container holds.
#[derive(Default)]
pub(super) struct Held {
    pub endpoints: Vec<Endpoint>,
    guards: Vec<PortGuard>,
}

pub(super) fn driver(e: DriverError) -> crate::error::Error {
    system(e.to_string())
}

impl NetworkTable {
    pub(super) fn new(sid: &str, links: Links, nft: Nft, dir: PathBuf, events: Events) -> Result<Self> {
        let (pulled, to_pull) = mpsc::channel::<Vec<Endpoint>>();
        let inner = Arc::new(Inner {
            sid: sid.into(),
            links,
            nft,
            ports: Ports::new(),
            spares: Spares::start(SPARES).map_err(driver)?,
            dir,
            events,
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
            .any(|e| e.host_link == link)
    }

    pub fn exists(&self, reference: &str) -> bool {
        self.find(reference).is_ok()
    }

    /// By id, name, or the start of an id.
    pub fn find(&self, reference: &str) -> Result<Record> {
        let state = self.inner.state.lock();
        if let Some(net) = state.networks.get(reference) {
            return Ok(net.record.clone());
        }
        if let Some(net) = state.networks.values().find(|n| n.record.name == reference) {
            return Ok(net.record.clone());
        }
        let mut found = state
            .networks
            .values()
            .filter(|n| n.record.id.starts_with(reference));
        match (found.next(), found.next()) {
            (Some(net), None) if names::is_id_prefix(reference) => Ok(net.record.clone()),
            (Some(_), Some(_)) if names::is_id_prefix(reference) => Err(invalid(format!(
                "network {reference} is ambiguous ({} matches found on ID prefix)",
                2
            ))),
            _ => Err(not_found(format!("network {reference} not found"))),
        }
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
    pub fn host_gateway(&self) -> Ipv4Addr {
        let state = self.inner.state.lock();
        let bridge = state.networks.values().find(|n| n.record.name == "bridge");
        bridge
            .and_then(|n| n.record.gateway)
            .unwrap_or(Ipv4Addr::LOCALHOST)
    }

    /// Takes addresses and ports for a container that is about to start. Nothing is taken when it fails.
    pub fn allocate(&self, container: &Container) -> Result<Vec<Endpoint>> {
        let mode = container.host.network_mode.as_str();
        let mut wanted: Vec<(&String, &EndpointSettings)> = container.networks.iter().collect();
        // The network of `--network` is the first interface and the way out.
        wanted.sort_by_key(|(name, _)| name.as_str() != mode);
        let mut held = Held::default();
        for (index, (name, asked)) in wanted.into_iter().enumerate() {
            let one = self.endpoint(container, name, asked, index);
            match one.and_then(|e| self.publish(container, e, index == 0, &mut held.guards)) {
                Ok(endpoint) => held.endpoints.push(endpoint),
                Err(e) => {
                    let mut state = self.inner.state.lock();
                    held.endpoints.iter().for_each(|e| give_back(&mut state, e));
                    return Err(e);
                }
            }
        }
        let endpoints = held.endpoints.clone();
        self.inner.state.lock().held.insert(container.id.clone(), held);
        Ok(endpoints)
    }

    fn endpoint(
        &self,
        c: &Container,
        name: &str,
        asked: &EndpointSettings,
        index: usize,
    ) -> Result<Endpoint> {
        let record = self.find(name)?;
        let bad = |e: shoal_node_core_host::ipam::Error| match e {
            shoal_node_core_host::ipam::Error::InUse => conflict(e.to_string()),
            e => invalid(e.to_string()),
        };
        let mac = match asked.mac_address.as_str() {
            "" => match c.config.mac_address.as_str() {
                mac if index == 0 && !mac.is_empty() => Some(parse_mac(mac)?),
                _ => None,
            },
            mac => Some(parse_mac(mac)?),
        };
        let mut state = self.inner.state.lock();
        let net = state
            .networks
            .get_mut(&record.id)
            .ok_or_else(|| not_found(format!("network {name} not found")))?;
        let Some(pool) = net.pool.as_mut() else {
            return Err(invalid(format!("network {name} cannot be joined in this way")));
        };
        let asked_ip = asked
            .ipam_config
            .as_ref()
            .map(|c| c.ipv4_address.as_str())
            .unwrap_or_default();
        let address = if asked_ip.is_empty() {
            pool.take_next().map_err(bad)?
        } else {
            if record.is_predefined() {
                return Err(invalid(
                    "invalid config for network bridge: invalid endpoint settings:\nuser specified IP address is supported on user defined networks only",
                ));
            }
            let address = asked_ip
                .parse()
                .map_err(|_| invalid(format!("invalid IPv4 address: {asked_ip}")))?;
            pool.take(address).map_err(bad)?;
            address
        };
        let endpoint_id = ids::new();
        Ok(Endpoint {
            network: record.name.clone(),
            network_id: record.id.clone(),
            // Of this start: the last one's cable may not be gone yet.
            host_link: netplan::host_link(&self.inner.sid, &c.id, &endpoint_id),
            endpoint_id,
            bridge: record.bridge.clone(),
            name: format!("eth{index}"),
            address,
            prefix_len: pool.subnet().prefix_len(),
            gateway: pool.gateway(),
            is_default: index == 0 && !record.internal,
            internal: record.internal,
            isolated: !record.icc,
            mtu: record.mtu,
            mac: mac.unwrap_or_else(|| netplan::mac_of(address)),
            published: Vec::new(),
        })
    }

    /// Reserves the ports of the first endpoint. On an error the endpoint's address is given back.
    fn publish(
        &self,
        c: &Container,
        mut endpoint: Endpoint,
        first: bool,
        guards: &mut Vec<PortGuard>,
    ) -> Result<Endpoint> {
        let asked = if first && !endpoint.internal {
            wanted_ports(c)
        } else {
            Ok(Vec::new())
        };
        let reserved = asked.and_then(|asked| {
            for (container_port, protocol, host_ip, first, last) in asked {
                let ip = host_ip.parse().unwrap_or(Ipv4Addr::UNSPECIFIED);
                let Some(kind) = Protocol::parse(&protocol) else { continue };
                let target = SocketAddrV4::new(endpoint.address, container_port);
                let wanted = HostPort { ip, first, last, protocol: kind };
                let guard = self.inner.ports.reserve_for(wanted, target).map_err(|e| {
                    system(format!(
                        "failed to set up container networking: driver failed programming external connectivity on endpoint {} ({}): {e}",
                        c.name, endpoint.endpoint_id
                    ))
                })?;
                endpoint.published.push(Published { protocol, host_ip, host_port: guard.port(), container_port });
                guards.push(guard);
            }
            Ok(())
        });
        match reserved {
            Ok(()) => Ok(endpoint),
            Err(e) => {
                give_back(&mut self.inner.state.lock(), &endpoint);
                Err(e)
            }
        }
    }

    /// A network namespace for a container; one that gets no cable has at least its loopback.
    pub fn netns(&self, alone: bool) -> Result<Netns> {
        let netns = self.inner.spares.take().map_err(driver)?;
        if alone {
            Links::loopback_up(&netns).map_err(driver)?;
        }
        Ok(netns)
    }

    /// Lays the cables and opens the ports. Blocks for about a millisecond.
    pub fn plug(&self, netns: &Netns, endpoints: &[Endpoint]) -> Result<()> {
        for endpoint in endpoints {
            let cable = cable(endpoint)?;
            match self.inner.links.plug(netns, &cable) {
                // Somebody deleted the bridge, or a cable of a run that was cut short is still there.
                Err(e) if e.is_not_found() || e.is_exists() => {
                    let _ = self.inner.links.unplug(&cable.host_link);
                    self.ensure_bridges()?;
                    self.inner.links.plug(netns, &cable).map_err(driver)?;
                }
                done => done.map_err(driver)?,
            }
        }
        if endpoints.iter().any(|e| !e.published.is_empty()) {
            self.converge(false)?;
        }
        Ok(())
    }

    /// Gives back what a container held; its addresses and ports are free at once.
    pub fn release(&self, container: &str, endpoints: &[Endpoint]) {
        let held = {
            let mut state = self.inner.state.lock();
            let held = state.held.remove(container);
            // Once only: what was given back may be another container's by now.
            held.iter()
                .flat_map(|h| &h.endpoints)
                .for_each(|e| give_back(&mut state, e));
            held
        };
        drop(held);
        if endpoints.iter().any(|e| !e.published.is_empty())
            && let Err(error) = self.converge(false)
        {
            tracing::warn!(container, %error, "published ports could not be closed");
        }
        let _ = self.inner.pulled.send(endpoints.to_vec());
    }

    /// A container that runs on holds again what it held before the daemon went.
    pub fn readopt(&self, container: &str, endpoints: &[Endpoint]) {
        let mut held = Held {
            endpoints: endpoints.to_vec(),
            guards: Vec::new(),
        };
        for endpoint in endpoints {
            if let Some(pool) = self
                .inner
                .state
                .lock()
                .networks
                .get_mut(&endpoint.network_id)
                .and_then(|n| n.pool.as_mut())
                && let Err(error) = pool.take(endpoint.address)
            {
                tracing::warn!(container, address = %endpoint.address, %error, "an address in use could not be taken again");
            }
            for p in &endpoint.published {
                let Some(protocol) = Protocol::parse(&p.protocol) else {
                    continue;
                };
                let ip = p.host_address().unwrap_or(Ipv4Addr::UNSPECIFIED);
                match self.inner.ports.reserve(HostPort {
                    ip,
                    first: p.host_port,
                    last: p.host_port,
                    protocol,
                }) {
                    Ok(guard) => held.guards.push(guard),
                    Err(error) => {
                        tracing::warn!(container, port = p.host_port, %error, "a published port is lost")
                    }
                }
            }
        }
        self.inner.state.lock().held.insert(container.into(), held);
    }

    /// Makes the packet rules what the networks and endpoints say. `recheck` reads the kernel's first.
    pub fn converge(&self, recheck: bool) -> Result<bool> {
        let _turn = self.inner.converging.lock();
        let plan = self.plan()?;
        let nft = &self.inner.nft;
        if recheck {
            nft.recheck(&plan.rules)
        } else {
            nft.converge(&plan.rules)
        }
        .map_err(driver)
    }

    pub(super) fn plan(&self) -> Result<netplan::Plan> {
        let state = self.inner.state.lock();
        let bridges: Vec<netplan::Bridge> = state.networks.values().filter_map(|n| n.record.plan()).collect();
        let known = |bridge: &str| bridges.iter().any(|b| b.name == bridge);
        let endpoints: Vec<netplan::Endpoint> = state
            .held
            .values()
            .flat_map(|h| &h.endpoints)
            .filter(|e| known(&e.bridge))
            .map(Endpoint::plan)
            .collect();
        netplan::plan(&bridges, &endpoints).map_err(|e| system(e.to_string()))
    }

    pub fn ensure_bridges(&self) -> Result<()> {
        let bridges: Vec<netplan::Bridge> = self
            .inner
            .state
            .lock()
            .networks
            .values()
            .filter_map(|n| n.record.plan())
            .collect();
        for bridge in &bridges {
            self.inner.links.ensure_bridge(bridge).map_err(driver)?;
        }
        Ok(())
    }

    /// Names of the bridges that there should be.
    pub(super) fn bridges(&self) -> Vec<String> {
        let state = self.inner.state.lock();
        let plans = state.networks.values().filter_map(|n| n.record.plan());
        plans.map(|bridge| bridge.name).collect()
    }

    /// Puts right what somebody else has changed: bridges, the cables on them, packet rules.
    pub(super) fn mend(&self) -> Result<()> {
        self.ensure_bridges()?;
        let place = |e: &Endpoint| Place {
            host_link: e.host_link.clone(),
            bridge: e.bridge.clone(),
            isolated: e.isolated,
        };
        let places: Vec<Place> = self
            .inner
            .state
            .lock()
            .held
            .values()
            .flat_map(|h| &h.endpoints)
            .map(place)
            .collect();
        for link in self.inner.links.attach(&places).map_err(driver)? {
            tracing::warn!(
                link,
                "a container was cut off from its bridge and is attached again"
            );
        }
        self.converge(true).map(drop)
    }

    pub fn emit(&self, action: &str, endpoint: &Endpoint, container: &str) {
        let attributes = [
            ("container", container),
            ("name", &endpoint.network),
            ("type", "bridge"),
        ];
        let attributes = attributes
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect();
        self.inner
            .events
            .publish("network", action, &endpoint.network_id, attributes);
    }

    /// Traffic of a container's interfaces.
    pub fn counters(&self, endpoint: &Endpoint) -> Result<shoal_node_drivers_network::Counters> {
        self.inner.links.counters(&endpoint.host_link).map_err(driver)
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

fn give_back(state: &mut State, endpoint: &Endpoint) {
    if let Some(pool) = state
        .networks
        .get_mut(&endpoint.network_id)
        .and_then(|n| n.pool.as_mut())
    {
        pool.release(endpoint.address);
    }
}

fn cable(endpoint: &Endpoint) -> Result<Cable> {
    let address =
        ipnet::Ipv4Net::new(endpoint.address, endpoint.prefix_len).map_err(|e| system(e.to_string()))?;
    Ok(Cable {
        bridge: endpoint.bridge.clone(),
        host_link: endpoint.host_link.clone(),
        name: endpoint.name.clone(),
        address,
        gateway: endpoint.is_default.then_some(endpoint.gateway),
        mac: Some(endpoint.mac),
        mtu: endpoint.mtu,
        isolated: endpoint.isolated,
    })
}

type Wanted = (u16, String, String, u16, u16);

/// (container port, protocol, host address, first and last host port)
fn wanted_ports(c: &Container) -> Result<Vec<Wanted>> {
    let mut out = Vec::new();
    for (port, bindings) in c.host.port_bindings.iter() {
        let (number, protocol) = ports::parse(port).map_err(invalid)?;
        let any = [shoal_api_types::container::PortBinding::default()];
        let bindings = if bindings.is_empty() {
            &any[..]
        } else {
            &bindings[..]
        };
        for binding in bindings {
            // There is no IPv6 here yet; `::` is what clients add beside `0.0.0.0`.
            if binding.host_ip.contains(':') {
                continue;
            }
            let (first, last) = ports::parse_host(&binding.host_port).map_err(invalid)?;
            out.push((number, protocol.to_string(), binding.host_ip.clone(), first, last));
        }
    }
    if c.host.publish_all_ports {
        for port in c
            .config
            .exposed_ports
            .keys()
            .filter(|p| !c.host.port_bindings.contains_key(p))
        {
            let (number, protocol) = ports::parse(port).map_err(invalid)?;
            out.push((number, protocol.to_string(), String::new(), 0, 0));
        }
    }
    Ok(out)
}

fn parse_mac(text: &str) -> Result<[u8; 6]> {
    let bytes: Vec<u8> = text
        .split([':', '-'])
        .filter_map(|b| u8::from_str_radix(b, 16).ok())
        .collect();
    bytes
        .try_into()
        .map_err(|_| invalid(format!("invalid MAC address: {text}")))
}
