//! The kernel, kept as the table says: bridges, cables, packet rules.

use super::endpoint::Endpoint;
use super::table::{NetworkTable, driver};
use crate::error::{Result, system};
use shoal_node_core_host::netplan;
use shoal_node_drivers_network::{Cable, Links, Netns, Place};

impl NetworkTable {
    /// A network namespace for a container; one that gets no cable has at least its loopback.
    pub fn netns(&self, alone: bool) -> Result<Netns> {
        let netns = self.inner.spares.take().map_err(driver)?;
        if alone {
            Links::loopback_up(&netns).map_err(driver)?;
        }
        Ok(netns)
    }

    /// The network namespace of a process at its gate.
    pub fn netns_of(&self, pid: u32, alone: bool) -> Result<Netns> {
        let netns = Netns::of_pid(i32::try_from(pid).unwrap_or(0)).map_err(driver)?;
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
