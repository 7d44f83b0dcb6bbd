//! The cluster's networks on this host: the kernel, the table and the resolvers follow the plan.
//!
//! A cluster network is a network of the table like any other, with a bridge that `drivers/network::overlay` keeps; what is
//! on other nodes comes with the plan. Containers are plugged in by the same cables. Beside that each of them gets the
//! table by which services' addresses lead to tasks, and the way back for what came by a published port.

use super::attached::Attached;
use super::endpoint::Endpoint;
use super::open::insert;
use super::record::{Record, Subnet};
use super::table::{NetworkTable, driver};
use crate::clock;
use crate::error::{Result, conflict, io};
use crate::files;
use ipnet::IpNet;
use parking_lot::Mutex;
use shoal_api_types::network::EndpointSettings;
use shoal_node_core_host::dns;
use shoal_node_core_host::overlay::{self, Attachment, Balance, Plan, Segment, Target};
use shoal_node_drivers_network::overlay::{Inside, Overlays, answer_over};
use shoal_node_drivers_network::{Error as DriverError, Netns};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The driver's name in a record.
pub const OVERLAY: &str = "overlay";
/// Docker's name for the bridge over which containers on cluster networks reach the world.
pub const GATEWAY_BRIDGE: &str = "docker_gwbridge";
/// Who puts the cluster's names into a network's zone.
const OWNER: &str = "cluster";
/// The packet rules are read back so often; everything else each time.
const READ_RULES_EVERY: Duration = Duration::from_secs(5);
const MTU: &str = "com.docker.network.driver.mtu";

/// What is kept for the cluster's networks.
pub(super) struct State {
    driver: Overlays,
    /// Whoever needs this and the table of networks locks this first.
    now: Mutex<Now>,
    /// Held while the kernel is brought to a plan, so that an older one is never laid over a newer one.
    laying: Mutex<()>,
}

#[derive(Default)]
struct Now {
    /// Nothing before managers were heard: what is there stays as it is.
    plan: Option<Plan>,
    names: overlay::Names,
    /// By container.
    inside: HashMap<String, Arc<Part>>,
    read_at: Option<Instant>,
}

/// One container's part.
struct Part {
    inside: Inside,
    netns: Arc<Netns>,
    networks: Vec<String>,
    /// Its places on cluster networks: the bridge, the address.
    places: Vec<(String, IpAddr)>,
    /// Ports of SCTP from which answers find back.
    answered: Mutex<BTreeSet<Target>>,
}

impl State {
    pub fn open(sid: &str) -> std::result::Result<Self, DriverError> {
        Ok(Self {
            driver: Overlays::open(sid)?,
            now: Mutex::default(),
            laying: Mutex::default(),
        })
    }
}

/// The cluster's networks on this host, for whoever hears what they should be.
#[derive(Clone)]
pub struct OverlayNetworks(pub(crate) NetworkTable);

impl OverlayNetworks {
    /// What tells this daemon's interfaces from others', for whoever makes a plan.
    pub fn sid(&self) -> &str {
        &self.0.inner.sid
    }

    /// Brings this host to the plan, and its containers' resolvers to the names. Blocks.
    pub fn lay(&self, plan: Plan, names: overlay::Names) -> Result<()> {
        let table = &self.0;
        let state = &table.inner.overlay;
        let _turn = state.laying.lock();
        let recheck = {
            let mut now = state.now.lock();
            let due = now.read_at.is_none_or(|at| at.elapsed() >= READ_RULES_EVERY);
            if due {
                now.read_at = Some(Instant::now());
            }
            now.plan = Some(plan.clone());
            due
        };
        let done = table.lay(&plan, recheck);
        // Into networks that are in the table by now.
        table.put_names(names);
        done
    }

    /// The network, once containers can be put on it; an error says why it cannot be had on this host.
    pub fn laid(&self, network: &str) -> Result<Option<Laid>> {
        let now = self.0.inner.overlay.now.lock();
        let Some(plan) = &now.plan else { return Ok(None) };
        if let Some(problem) = plan.problems.get(network) {
            return Err(conflict(problem.why.clone()));
        }
        let segment = plan.segments.get(network).filter(|_| self.0.exists(network));
        Ok(segment.map(|segment| Laid {
            name: segment.name.clone(),
            internal: segment.internal,
            ingress: plan.ingress.as_ref().is_some_and(|i| i.bridge == segment.bridge),
            subnet6: segment.six.map(|(subnet, _)| subnet.network()),
        }))
    }

    /// The public key of this host's encrypted path, as nodes announce it; empty where there is no such path.
    pub fn key(&self) -> String {
        let key = self.0.inner.overlay.driver.key();
        key.as_ref().map(overlay::write_key).unwrap_or_default()
    }

    /// A new key: for a host that has left its cluster.
    pub fn forget_key(&self) -> Result<()> {
        self.0.inner.overlay.driver.forget_key().map_err(driver)
    }

    /// Users' own containers on them.
    pub fn attached(&self) -> Vec<Attached> {
        self.0.attached()
    }

    /// What differs between the plan and this host, in words; nothing if all is well. Blocks.
    pub fn compare(&self) -> Result<Vec<String>> {
        let state = &self.0.inner.overlay;
        let (plan, parts) = {
            let now = state.now.lock();
            let parts: Vec<(String, Arc<Part>)> = now
                .inside
                .iter()
                .map(|(id, part)| (id.clone(), part.clone()))
                .collect();
            (now.plan.clone().unwrap_or_default(), parts)
        };
        let mut found = state.driver.compare(&plan).map_err(driver)?;
        found.extend(
            plan.problems
                .values()
                .map(|p| format!("network {}: {}", p.name, p.why)),
        );
        for (container, part) in parts {
            match part.bring(&plan, true, false) {
                Ok(differences) => found.extend(
                    differences
                        .into_iter()
                        .map(|difference| format!("container {container}: {difference}")),
                ),
                Err(error) => found.push(format!("container {container}: {error}")),
            }
        }
        Ok(found)
    }
}

/// A cluster network that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Laid {
    pub name: String,
    pub internal: bool,
    pub ingress: bool,
    subnet6: Option<Ipv6Addr>,
}

impl Laid {
    /// The IPv6 address of a place there.
    pub fn six(&self, place: &Attachment) -> Option<Ipv6Addr> {
        self.subnet6.map(|subnet| place.six(subnet))
    }
}

impl Part {
    fn bring(
        &self,
        plan: &Plan,
        recheck: bool,
        change: bool,
    ) -> std::result::Result<Vec<String>, DriverError> {
        let mut balance = Balance::default();
        for segment in self.networks.iter().filter_map(|id| plan.segments.get(id)) {
            balance.merge(&segment.balance);
        }
        if let Some(ingress) = plan.ingress.as_ref().filter(|_| change) {
            let published = self
                .places
                .iter()
                .filter(|(bridge, ..)| *bridge == ingress.bridge);
            for (_, address) in published {
                let gateway = match (address, ingress.address6) {
                    (IpAddr::V4(_), _) => IpAddr::V4(ingress.address.addr()),
                    (IpAddr::V6(_), Some(own)) => IpAddr::V6(own.addr()),
                    (IpAddr::V6(_), None) => continue,
                };
                let own = ingress.associations.iter().filter(|to| to.address == *address);
                let own: BTreeSet<Target> = own.copied().collect();
                let mut answered = self.answered.lock();
                if recheck || !own.is_subset(&answered) {
                    let ports = own.iter().map(|to| to.port).collect();
                    answer_over(&self.netns, *address, gateway, &ports)?;
                    answered.extend(own);
                }
            }
        }
        self.inside.balance(&balance, recheck, change)
    }
}

impl NetworkTable {
    /// Brings the kernel to the plan.
    fn lay(&self, plan: &Plan, recheck: bool) -> Result<()> {
        let state = &self.inner.overlay;
        let (found, done) = state.driver.converge(plan, recheck);
        for difference in &found {
            tracing::debug!(%difference, "cluster networks");
        }
        self.keep_records(plan)?;
        let parts: Vec<Arc<Part>> = state.now.lock().inside.values().cloned().collect();
        for part in parts {
            if let Err(error) = part.bring(plan, recheck, true) {
                // Its container ended meanwhile, most likely; the next look tells.
                tracing::debug!(%error, "a container's services were not brought up to date");
            }
        }
        // A bridge that somebody deleted took its cables' places with it.
        if found.iter().any(|difference| difference.starts_with("create ")) {
            self.mend()?;
        }
        done.map_err(driver)
    }

    /// Puts right what somebody else has changed of the cluster's networks.
    pub(super) fn mend_overlays(&self) -> Result<()> {
        let _turn = self.inner.overlay.laying.lock();
        let plan = self.inner.overlay.now.lock().plan.clone();
        plan.map_or(Ok(()), |plan| self.lay(&plan, true))
    }

    /// The numbers of the sockets by which their packet rules are written.
    pub(super) fn overlay_ports(&self) -> [u32; 2] {
        self.inner.overlay.driver.ports()
    }

    /// Their interfaces.
    pub(super) fn overlay_links(&self) -> Vec<String> {
        let now = self.inner.overlay.now.lock();
        let plans = || now.plan.iter();
        let segments = plans().flat_map(|plan| plan.segments.values());
        let tunnels = plans().filter_map(|plan| Some(plan.tunnel.as_ref()?.link.clone()));
        segments
            .flat_map(|s| [s.bridge.clone(), s.vxlan.clone()])
            .chain(tunnels)
            .collect()
    }

    /// The table has exactly the networks of the plan, and whatever a container is still on.
    fn keep_records(&self, plan: &Plan) -> Result<()> {
        for segment in plan.segments.values() {
            let record = Record {
                id: segment.id.clone(),
                name: segment.name.clone(),
                created: clock::now(),
                driver: OVERLAY.into(),
                // The way out is over the gateway bridge, not over the network itself.
                internal: true,
                attachable: segment.attachable,
                options: [(MTU.to_owned(), segment.mtu.to_string())].into(),
                enable_ipv6: segment.six.is_some(),
                subnets: subnets(segment),
                link: segment.bridge.clone(),
                ..Record::default()
            };
            let known = self.find(&segment.id).ok();
            let same = known.is_some_and(|known| {
                known.link == record.link
                    && known.subnets == record.subnets
                    && known.options == record.options
            });
            if !same {
                self.save(&record)?;
                insert(self, record)?;
            }
        }
        let gone = self.all().into_iter().filter(|record| {
            record.driver == OVERLAY
                && !plan.segments.contains_key(&record.id)
                && self.on(&record.id).is_empty()
        });
        for record in gone {
            let path = self.inner.dir.join(format!("{}.json", record.id));
            files::remove_file(&path)
                .and_then(|()| files::sync_dir(&self.inner.dir))
                .map_err(io("remove", path.display()))?;
            self.inner.state.lock().networks.remove(&record.id);
        }
        Ok(())
    }

    fn put_names(&self, names: overlay::Names) {
        let mut now = self.inner.overlay.now.lock();
        for (network, names) in &names {
            if now.names.get(network) == Some(names) {
                continue;
            }
            let Some(zone) = self.zone(network) else { continue };
            let entries = names.iter().map(|(name, found)| dns::Entry {
                names: vec![name.clone()],
                addresses: found.addresses.iter().copied().collect(),
                reverse: None,
            });
            zone.write().put(OWNER, entries.collect());
        }
        for network in now.names.keys().filter(|network| !names.contains_key(*network)) {
            if let Some(zone) = self.zone(network) {
                zone.write().remove(OWNER);
            }
        }
        now.names = names;
    }

    /// A container that was just plugged in, or that runs on: services' addresses lead to tasks, answers find back.
    pub(super) fn enter_overlays(
        &self,
        container: &str,
        netns: &Arc<Netns>,
        endpoints: &[Endpoint],
    ) -> Result<()> {
        let on: Vec<&Endpoint> = endpoints.iter().filter(|e| e.driver == OVERLAY).collect();
        if on.is_empty() && !self.inner.overlay.now.lock().inside.contains_key(container) {
            return Ok(());
        }
        let places = |e: &&Endpoint| -> Vec<(String, IpAddr)> {
            let bridge = e.bridge().map(str::to_owned);
            let addresses = e.addresses().into_iter();
            bridge.map_or_else(Vec::new, |bridge| {
                addresses.map(|a| (bridge.clone(), a)).collect()
            })
        };
        let part = Arc::new(Part {
            inside: Inside::of(netns).map_err(driver)?,
            netns: netns.clone(),
            networks: on.iter().map(|e| e.network_id.clone()).collect(),
            places: on.iter().flat_map(places).collect(),
            answered: Mutex::default(),
        });
        let plan = {
            let mut now = self.inner.overlay.now.lock();
            now.inside.insert(container.to_owned(), part.clone());
            now.plan.clone()
        };
        // A daemon that has just started knows no plan yet; the container has what it had.
        let Some(plan) = plan else { return Ok(()) };
        part.bring(&plan, true, true).map_err(driver)?;
        if part.networks.is_empty() {
            // It has left the last one.
            self.leave_overlays(container);
        }
        Ok(())
    }

    pub(super) fn leave_overlays(&self, container: &str) {
        self.inner.overlay.now.lock().inside.remove(container);
    }
}

fn subnets(segment: &Segment) -> Vec<Subnet> {
    let four = (IpNet::from(segment.subnet), IpAddr::from(segment.gateway));
    let six = segment
        .six
        .map(|(net, gateway)| (IpNet::from(net), IpAddr::from(gateway)));
    let subnet = |(net, gateway)| Subnet {
        net,
        range: None,
        gateway: Some(gateway),
        aux: BTreeMap::new(),
        given: true,
    };
    std::iter::once(four).chain(six).map(subnet).collect()
}

/// On a network of the cluster, the cluster gives the addresses.
pub(super) fn check_place(record: &Record, asked: &EndpointSettings) -> Result<()> {
    let given = asked
        .ipam_config
        .as_ref()
        .is_some_and(|config| !config.ipv4_address.is_empty());
    if record.driver != OVERLAY || given {
        return Ok(());
    }
    Err(conflict(format!(
        "network {} is a network of the cluster, and the cluster gave no address on it",
        record.name
    )))
}
