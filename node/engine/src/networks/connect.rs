//! `docker network connect` and `disconnect`, on a container that runs: one more interface, or one less.

use super::attached::Placed;
use super::endpoint::{Endpoint, ways_out};
use super::held::give_back;
use super::kernel::routes;
use super::table::{NetworkTable, driver};
use crate::containers::Record as Container;
use crate::error::{Error, Result, forbidden, system};
use shoal_api_types::network::EndpointSettings;
use shoal_node_drivers_network::{Links, Netns};
use std::sync::Arc;

impl NetworkTable {
    /// Answers all endpoints of the container. `container` has the network among its own already. Blocks for some
    /// milliseconds at most, and holds nobody else up.
    pub fn connect(
        &self,
        container: &Container,
        network: &str,
        asked: &EndpointSettings,
        placed: Option<&Placed>,
    ) -> Result<Vec<Endpoint>> {
        let (before, netns) = self.holding(&container.id)?;
        let record = self.find(network)?;
        if before.iter().any(|e| e.network_id == record.id) {
            return Err(forbidden(format!(
                "endpoint with name {} already exists in network {}",
                container.name, record.name
            )));
        }
        let endpoint = self.placed(container, network, asked, placed, &before)?;
        let mut after = before.clone();
        after.push(endpoint.clone());
        let mut new = vec![endpoint];
        let done = self.turn_gateway(container, &mut after).and_then(|(came, went)| {
            new.extend(came);
            for endpoint in &new {
                self.plug_one(&netns, endpoint, (false, false))?;
            }
            let after = self.rearrange(container, &before, after)?;
            self.enter_overlays(&container.id, &netns, &after)?;
            self.drop_gateway(&netns, went);
            Ok(after)
        });
        if done.is_err() {
            for endpoint in &new {
                let _ = self.unplug_one(&netns, endpoint);
                give_back(&mut self.inner.state.lock(), endpoint);
            }
        }
        done
    }

    /// Nobody is led over it any more.
    fn drop_gateway(&self, netns: &Netns, endpoint: Option<Endpoint>) {
        let Some(endpoint) = endpoint else { return };
        if let Err(error) = self.unplug_one(netns, &endpoint) {
            tracing::warn!(%error, "a way out that is not needed any more is left");
        }
        give_back(&mut self.inner.state.lock(), &endpoint);
    }

    /// Answers the endpoint that is gone and those that are left. `container` no longer has the network.
    pub fn disconnect(&self, container: &Container, network_id: &str) -> Result<(Endpoint, Vec<Endpoint>)> {
        let (before, netns) = self.holding(&container.id)?;
        let mut after = before.clone();
        let Some(at) = after.iter().position(|e| e.network_id == network_id) else {
            return Err(system(format!(
                "container {} is not connected to the network {network_id}",
                container.id
            )));
        };
        let gone = after.remove(at);
        self.forget_names(&container.id, std::slice::from_ref(&gone));
        let (came, went) = self.turn_gateway(container, &mut after)?;
        if let Some(came) = &came {
            self.plug_one(&netns, came, (false, false))?;
        }
        // Its ports go where there is another way out.
        if let Some(other) = after.first_mut() {
            other.published.extend(gone.published.iter().cloned());
        }
        // Nobody is led to it any more before it goes.
        let left = self.rearrange(container, &before, after)?;
        self.enter_overlays(&container.id, &netns, &left)?;
        self.unplug_one(&netns, &gone)?;
        self.drop_gateway(&netns, went);
        give_back(&mut self.inner.state.lock(), &gone);
        Ok((gone, left))
    }

    fn holding(&self, container: &str) -> Result<(Vec<Endpoint>, Arc<Netns>)> {
        let state = self.inner.state.lock();
        let held = state.held.get(container);
        held.and_then(|held| Some((held.endpoints.clone(), held.netns.clone()?)))
            .ok_or_else(|| system(format!("container {container} has no network of its own")))
    }

    /// From some endpoints to others: routes, published ports, names.
    fn rearrange(
        &self,
        container: &Container,
        before: &[Endpoint],
        mut after: Vec<Endpoint>,
    ) -> Result<Vec<Endpoint>> {
        let (_, netns) = self.holding(&container.id)?;
        let mut guards = Vec::new();
        self.arrange_ports(container, &mut after, &mut guards)?;
        {
            let mut state = self.inner.state.lock();
            let Some(held) = state.held.get_mut(&container.id) else {
                return Err(system("the container has ended"));
            };
            held.endpoints = after.clone();
            held.guards.append(&mut guards);
            if after.iter().all(|e| e.published.is_empty()) {
                // Without a way out they are not held; the next one takes them again.
                held.guards.clear();
            }
            self.lead(&mut held.guards, &after);
        }
        let undo = |e: Error| {
            let mut state = self.inner.state.lock();
            if let Some(held) = state.held.get_mut(&container.id) {
                held.endpoints = before.to_vec();
            }
            e
        };
        let published = |all: &[Endpoint]| all.iter().any(|e| !e.published.is_empty());
        let moved = ways_out(before).0.map(|at| &before[at].endpoint_id)
            != ways_out(&after).0.map(|at| &after[at].endpoint_id)
            || before.len() > after.len();
        if (published(before) || published(&after)) && moved {
            self.converge(false).map_err(undo)?;
        }
        if routes(before) != routes(&after) {
            let (v4, v6) = routes(&after);
            Links::set_ways_out(&netns, v4.as_ref(), v6.as_ref())
                .map_err(driver)
                .map_err(undo)?;
        }
        self.settle_names(container, &after, None).map_err(undo)?;
        Ok(after)
    }
}
