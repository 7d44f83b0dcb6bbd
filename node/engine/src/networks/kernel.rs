//! The kernel, kept as the table says: bridges, cables, packet rules, resolvers.

use super::endpoint::{Attach, Endpoint, Sub, ways_out};
use super::names::{Seen, wishes};
use super::table::{NetworkTable, driver};
use crate::containers::Record as Container;
use crate::error::{Result, system};
use shoal_node_core_host::netplan::{self, Mode};
use shoal_node_drivers_network as network;
use shoal_node_drivers_network::{Cable, Inside, Links, Netns, Place, SubKind, Until, WayOut, forwarding};
use std::sync::Arc;

impl NetworkTable {
    /// A network namespace for a container, with its loopback.
    pub fn netns(&self) -> Result<Netns> {
        self.inner.spares.take().map_err(driver)
    }

    /// The network namespace of a process at its gate.
    pub fn netns_of(&self, pid: u32, alone: bool) -> Result<Netns> {
        let netns = Netns::of_pid(i32::try_from(pid).unwrap_or(0)).map_err(driver)?;
        if alone {
            Links::loopback_up(&netns).map_err(driver)?;
        }
        Ok(netns)
    }

    /// Lays the cables, opens the ports, and tells the resolver of a container that is about to run. Blocks for about a
    /// millisecond.
    pub fn plug(&self, netns: Netns, container: &Container, endpoints: &[Endpoint]) -> Result<()> {
        let netns = Arc::new(netns);
        let ways = ways_out(endpoints);
        for (at, endpoint) in endpoints.iter().enumerate() {
            self.plug_one(&netns, endpoint, (ways.0 == Some(at), ways.1 == Some(at)))?;
        }
        if endpoints.iter().any(|e| !e.published.is_empty()) {
            self.converge(false)?;
        }
        self.enter_overlays(&container.id, &netns, endpoints)?;
        self.settle_names(container, endpoints, Some(netns))
    }

    /// One interface; `ways` says for which families it has the default route.
    pub(super) fn plug_one(&self, netns: &Netns, endpoint: &Endpoint, ways: (bool, bool)) -> Result<()> {
        let inside = inside(endpoint, ways);
        match &endpoint.attach {
            Attach::None => Ok(()),
            Attach::Cable {
                bridge,
                host_link,
                isolated,
            } => {
                let cable = Cable {
                    bridge: bridge.clone(),
                    host_link: host_link.clone(),
                    inside,
                    mac: endpoint.mac,
                    mtu: endpoint.mtu,
                    isolated: *isolated,
                };
                match self.inner.links.plug(netns, &cable) {
                    // Somebody deleted the bridge, or a cable of a run that was cut short is still there.
                    Err(e) if e.is_not_found() || e.is_exists() => {
                        let _ = self.inner.links.unplug(&cable.host_link);
                        self.ensure_links()?;
                        self.inner.links.plug(netns, &cable).map_err(driver)
                    }
                    done => done.map_err(driver),
                }
            }
            Attach::Sub { parent, kind } => {
                let sub = network::Sub {
                    parent: parent.clone(),
                    kind: sub_kind(*kind),
                    inside,
                    mac: Some(endpoint.mac),
                    mtu: (endpoint.mtu > 0).then_some(endpoint.mtu),
                };
                match self.inner.links.plug_sub(netns, &sub) {
                    Err(e) if e.is_not_found() => {
                        self.ensure_links()?;
                        self.inner.links.plug_sub(netns, &sub).map_err(driver)
                    }
                    done => done.map_err(driver),
                }
            }
        }
    }

    pub(super) fn unplug_one(&self, netns: &Netns, endpoint: &Endpoint) -> Result<()> {
        match &endpoint.attach {
            Attach::None => Ok(()),
            Attach::Cable { host_link, .. } => self
                .inner
                .links
                .remove_soon(host_link, Until::Unlisted)
                .map_err(driver),
            Attach::Sub { .. } => Links::unplug_inside(netns, &endpoint.name).map_err(driver),
        }
    }

    /// Starts the resolver that these networks call for, or ends it, and lets it see them. `netns` is given once.
    pub(super) fn settle_names(
        &self,
        container: &Container,
        endpoints: &[Endpoint],
        netns: Option<Arc<Netns>>,
    ) -> Result<()> {
        let wanted = endpoints.iter().any(Endpoint::has_names);
        let (seen, netns) = {
            let mut state = self.inner.state.lock();
            let Some(held) = state.held.get_mut(&container.id) else {
                return Ok(());
            };
            if netns.is_some() {
                held.netns = netns;
            }
            (held.seen.clone(), held.netns.clone())
        };
        let mut resolver = None;
        let seen = match (seen, netns) {
            (None, Some(netns)) if wanted => {
                let seen = Arc::new(Seen::new(wishes(container)));
                let served = self.inner.resolvers.serve(netns, seen.clone());
                resolver = Some(served.map_err(driver)?);
                Some(seen)
            }
            (seen, _) => seen,
        };
        self.name(container, endpoints, seen.as_deref());
        let mut state = self.inner.state.lock();
        if let Some(held) = state.held.get_mut(&container.id) {
            held.seen = seen;
            if resolver.is_some() {
                held.resolver = resolver;
            }
        }
        Ok(())
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
        let mode = |bridge: &str, v6: bool| {
            let known = bridges.iter().find(|b| b.name == bridge)?;
            let mut subnets = known.rules.subnets.iter();
            Some(
                subnets
                    .find(|s| s.net.addr().is_ipv6() == v6)
                    .map_or(Mode::Nat, |s| s.mode),
            )
        };
        let endpoints: Vec<netplan::Endpoint> = state
            .held
            .values()
            .flat_map(|h| &h.endpoints)
            .filter_map(|e| {
                let bridge = e.bridge()?;
                mode(bridge, false)?;
                e.plan(|v6| mode(bridge, v6).unwrap_or_default())
            })
            .collect();
        netplan::plan(&bridges, &endpoints).map_err(|e| system(e.to_string()))
    }

    /// Every interface of the host that a network hangs on.
    pub fn ensure_links(&self) -> Result<()> {
        let records = self.all();
        for record in &records {
            self.ensure_link(record)?;
        }
        Ok(())
    }

    /// As [`NetworkTable::ensure_links`]: what cannot be put right does not keep the rest from it.
    pub(super) fn ensure_all(&self) {
        for record in &self.all() {
            if let Err(error) = self.ensure_link(record) {
                tracing::warn!(
                    network = record.name,
                    error = error.message,
                    "a network's interface could not be put right"
                );
            }
        }
    }

    /// Names of the interfaces that there should be.
    pub(super) fn watched(&self) -> Vec<String> {
        // Before the table is locked: what is known of cluster networks comes first wherever both are.
        let overlays = self.overlay_links();
        let state = self.inner.state.lock();
        let plans = state.networks.values().filter_map(|n| n.record.plan());
        let bridges = plans.map(|bridge| bridge.name);
        let cables = state.held.values().flat_map(|h| &h.endpoints);
        bridges
            .chain(cables.filter_map(|e| e.host_link().map(Into::into)))
            .chain(overlays)
            .collect()
    }

    pub(super) fn ensure_link(&self, record: &super::record::Record) -> Result<()> {
        let Some(bridge) = record.plan() else {
            return super::sub::ensure_parent(&self.inner.links, record);
        };
        if self.inner.forward
            && record.enable_ipv6
            && let Err(error) = forwarding::enable_v6()
        {
            tracing::warn!(%error, "forwarding of IPv6 could not be switched on");
        }
        self.inner.links.ensure_bridge(&bridge).map(drop).map_err(driver)
    }

    /// Puts right what somebody else has changed: bridges, the cables on them, packet rules.
    pub(super) fn mend(&self) -> Result<()> {
        self.ensure_all();
        let place = |e: &Endpoint| match &e.attach {
            Attach::Cable {
                bridge,
                host_link,
                isolated,
            } => Some(Place {
                host_link: host_link.clone(),
                bridge: bridge.clone(),
                isolated: *isolated,
            }),
            _ => None,
        };
        let held: Vec<(Arc<Netns>, Vec<Endpoint>)> = {
            let state = self.inner.state.lock();
            let all = state.held.values();
            all.filter_map(|h| Some((h.netns.clone()?, h.endpoints.clone())))
                .collect()
        };
        let places: Vec<Place> = held.iter().flat_map(|(_, e)| e).filter_map(place).collect();
        for link in self.inner.links.attach(&places).map_err(driver)? {
            tracing::warn!(
                link,
                "a container was cut off from its bridge and is attached again"
            );
        }
        self.lay_again(&held)?;
        self.converge(true).map(drop)
    }

    /// Cables that somebody deleted.
    fn lay_again(&self, held: &[(Arc<Netns>, Vec<Endpoint>)]) -> Result<()> {
        let prefix = netplan::link_prefix(&self.inner.sid);
        let there = self.inner.links.list_ours(&prefix).map_err(driver)?;
        let mut laid = false;
        for (netns, endpoints) in held {
            let ways = ways_out(endpoints);
            for (at, endpoint) in endpoints.iter().enumerate() {
                let gone = endpoint
                    .host_link()
                    .is_some_and(|link| !there.iter().any(|t| t == link) && self.is_held(link));
                if !gone {
                    continue;
                }
                match self.plug_one(netns, endpoint, (ways.0 == Some(at), ways.1 == Some(at))) {
                    Ok(()) => {
                        laid = true;
                        tracing::warn!(
                            link = endpoint.host_link(),
                            "a container's cable was deleted and is laid again"
                        )
                    }
                    Err(error) => tracing::warn!(%error, "a container's cable was deleted"),
                }
            }
        }
        // It has another number now.
        if laid {
            self.shorten_again();
        }
        Ok(())
    }
}

fn sub_kind(kind: Sub) -> SubKind {
    match kind {
        Sub::Macvlan { mode } => SubKind::Macvlan { mode },
        Sub::Ipvlan { mode, flags } => SubKind::Ipvlan { mode, flags },
    }
}

fn inside(endpoint: &Endpoint, ways: (bool, bool)) -> Inside {
    let addresses = endpoint.places().filter_map(|place| place.net());
    let gateway = |yes: bool, v6: bool| {
        yes.then(|| endpoint.place(v6).and_then(|place| place.gateway))
            .flatten()
    };
    Inside {
        name: endpoint.name.clone(),
        addresses: addresses.chain(endpoint.link_local.iter().copied()).collect(),
        gateways: gateway(ways.0, false)
            .into_iter()
            .chain(gateway(ways.1, true))
            .collect(),
        switches: endpoint.switches.clone(),
    }
}

/// The default routes that these endpoints call for.
pub(super) fn routes(endpoints: &[Endpoint]) -> (Option<WayOut>, Option<WayOut>) {
    let (v4, v6) = ways_out(endpoints);
    let way = |at: Option<usize>, v6: bool| {
        let endpoint = endpoints.get(at?)?;
        Some(WayOut {
            name: endpoint.name.clone(),
            gateway: endpoint.place(v6)?.gateway?,
        })
    };
    (way(v4, false), way(v6, true))
}
