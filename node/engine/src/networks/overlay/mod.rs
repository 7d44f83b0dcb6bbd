//! The cluster's networks on this host: the kernel, the table and the resolvers follow the plan.
//!
//! A cluster network is a network of the table like any other, with a bridge that `drivers/network::overlay` keeps; what is
//! on other nodes comes with the plan. Containers are plugged in by the same cables. Beside that each of them gets the
//! table by which services' addresses lead to tasks, and the way back for what came by a published port.

mod names;
mod part;
mod records;

pub(super) use records::check_place;

use super::attached::Attached;
use super::names::SharedZone;
use super::table::{NetworkTable, driver};
use crate::error::{Result, conflict};
use parking_lot::Mutex;
use part::Part;
use shoal_node_core_host::overlay::{self, Attachment, Changes, EndpointTrack, Layout, News, Plan};
use shoal_node_drivers_network::Error as DriverError;
use shoal_node_drivers_network::overlay::{Overlays, Port};
use std::collections::{BTreeMap, HashMap};
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The driver's name in a record.
pub const OVERLAY: &str = "overlay";
/// Docker's name for the bridge over which containers on cluster networks reach the world.
pub const GATEWAY_BRIDGE: &str = "docker_gwbridge";
/// The packet rules are read back so often; everything else each time.
const READ_RULES_EVERY: Duration = Duration::from_secs(5);

/// How often a difference of short ways is looked at until it is told.
const SHORT_LOOKS: u32 = 3;

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
    layout: Option<Layout>,
    /// How often something was heard.
    heard: u64,
    /// The kernel may not have what the plan said before.
    doubtful: bool,
    /// The zones that the names were put into.
    zones: BTreeMap<String, SharedZone>,
    /// By container.
    inside: HashMap<String, Arc<Part>>,
    read_at: Option<Instant>,
}

impl Now {
    fn plan(&self) -> Option<&Plan> {
        self.layout.as_ref().map(Layout::plan)
    }

    /// Answers the plan from now on, and what of it is to be brought to the kernel: these changes, or all of it, and whether the
    /// packet rules are to be read for that.
    fn hear(&mut self, sid: &str, news: News) -> (Plan, Option<Changes>, bool) {
        self.heard += 1;
        let look = matches!(&news, News::Changed(pieces) if pieces.is_empty());
        let changes = match news {
            // Of nothing, nothing changes: the whole comes first.
            News::Changed(pieces) => self.layout.as_mut().and_then(|layout| layout.change(pieces)),
            News::Whole(node, tracks) => {
                self.layout = Some(Layout::of(sid, &node, tracks));
                None
            }
        };
        let plan = self.plan().cloned().unwrap_or_default();
        if let Some(changes) = changes.filter(|_| !look && !self.doubtful) {
            return (plan, Some(changes), false);
        }
        self.doubtful = false;
        let due = self.read_at.is_none_or(|at| at.elapsed() >= READ_RULES_EVERY);
        if due {
            self.read_at = Some(Instant::now());
        }
        (plan, None, due)
    }
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
    /// Takes in what a node hears, and brings this host and its containers' resolvers to it; nothing new, and the whole host is
    /// compared with it. Blocks. What fails is brought about by the next call, whatever that one is told.
    pub fn lay(&self, news: News) -> Result<()> {
        let table = &self.0;
        let state = &table.inner.overlay;
        let _turn = state.laying.lock();
        let (plan, changes, recheck) = state.now.lock().hear(&table.inner.sid, news);
        let done = match &changes {
            Some(changes) => table.lay_changes(&plan, changes),
            None => table.lay(&plan, recheck),
        };
        if done.is_err() {
            state.now.lock().doubtful = true;
        }
        // Into networks that are in the table by now.
        table.put_names(changes.as_ref());
        done
    }

    /// Plain containers of this node that managers know of.
    pub fn own_containers(&self) -> Vec<EndpointTrack> {
        let now = self.0.inner.overlay.now.lock();
        let layout = now.layout.iter();
        layout.flat_map(Layout::own_containers).cloned().collect()
    }

    /// The network, once containers can be put on it; an error says why it cannot be had on this host.
    pub fn laid(&self, network: &str) -> Result<Option<Laid>> {
        let now = self.0.inner.overlay.now.lock();
        let Some(plan) = now.plan() else { return Ok(None) };
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
            (now.plan().cloned().unwrap_or_default(), parts)
        };
        let mut found = state.driver.compare(&plan).map_err(driver)?;
        found.extend(self.compare_short()?);
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

impl OverlayNetworks {
    /// A container that has just ended is in the tables for a moment, until what it left is pulled: that is no difference.
    fn compare_short(&self) -> Result<Vec<String>> {
        let state = &self.0.inner.overlay;
        let look = || {
            let plan = state.now.lock().plan().cloned().unwrap_or_default();
            state
                .driver
                .shorten(&plan, || self.0.overlay_cables(), true, false)
        };
        for _ in 1..SHORT_LOOKS {
            if look().map_err(driver)?.is_empty() {
                return Ok(Vec::new());
            }
            std::thread::sleep(super::pull::LEFT_OVER);
        }
        look().map_err(driver)
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
        self.shorten(plan, recheck);
        done.map_err(driver)
    }

    /// The same where the kernel has an earlier plan, and this one differs from it in a few places.
    fn lay_changes(&self, plan: &Plan, changes: &Changes) -> Result<()> {
        let state = &self.inner.overlay;
        let (found, done) = state.driver.change(plan, changes);
        for difference in &found {
            tracing::debug!(%difference, "cluster networks");
        }
        if changes.special || !changes.addresses.is_empty() {
            let parts: Vec<Arc<Part>> = state.now.lock().inside.values().cloned().collect();
            for part in parts {
                if let Err(error) = part.change(plan, changes) {
                    tracing::debug!(%error, "a container's services were not brought up to date");
                }
            }
        }
        // Others by then, which frames are to be sent by.
        if found.iter().any(|difference| difference.starts_with("create ")) {
            self.mend()?;
            self.shorten(plan, false);
        } else if let Err(error) = state.driver.change_short(plan, changes) {
            tracing::debug!(%error, "frames go by the bridges until the next look");
        }
        done.map_err(driver)
    }

    /// Frames of containers go their short ways; without these they go by the bridges, which only takes longer.
    pub(super) fn shorten(&self, plan: &Plan, recheck: bool) {
        let laid = self
            .inner
            .overlay
            .driver
            .shorten(plan, || self.overlay_cables(), recheck, true);
        match laid {
            Ok(found) => {
                for difference in found {
                    tracing::debug!(%difference, "cluster networks");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "frames of cluster networks go the long way, by their bridges")
            }
        }
    }

    /// The same as far as managers were heard.
    pub(super) fn shorten_again(&self) {
        let plan = self.inner.overlay.now.lock().plan().cloned();
        if let Some(plan) = plan {
            self.shorten(&plan, false);
        }
    }

    /// How containers are plugged into cluster networks.
    fn overlay_cables(&self) -> Vec<Port> {
        let state = self.inner.state.lock();
        let held = state.held.values().flat_map(|held| &held.endpoints);
        held.filter(|endpoint| endpoint.driver == OVERLAY)
            .filter_map(|endpoint| {
                Some(Port {
                    bridge: endpoint.bridge()?.to_owned(),
                    host_link: endpoint.host_link()?.to_owned(),
                    mac: endpoint.mac,
                })
            })
            .collect()
    }

    /// Puts right what somebody else has changed of the cluster's networks.
    pub(super) fn mend_overlays(&self) -> Result<()> {
        let _turn = self.inner.overlay.laying.lock();
        let plan = self.inner.overlay.now.lock().plan().cloned();
        plan.map_or(Ok(()), |plan| self.lay(&plan, true))
    }

    /// The numbers of the sockets by which their packet rules are written.
    pub(super) fn overlay_ports(&self) -> [u32; 3] {
        self.inner.overlay.driver.ports()
    }

    /// Their interfaces.
    pub(super) fn overlay_links(&self) -> Vec<String> {
        let now = self.inner.overlay.now.lock();
        let plans = || now.plan().into_iter();
        let segments = plans().flat_map(|plan| plan.segments.values());
        let tunnels = plans().filter_map(|plan| Some(plan.tunnel.as_ref()?.link.clone()));
        segments
            .flat_map(|s| [s.bridge.clone(), s.vxlan.clone()])
            .chain(tunnels)
            .collect()
    }
}
