//! Networks that a container joins and leaves while it is there.

use super::Actor;
use crate::error::{Error, Result, conflict, forbidden, invalid, io};
use crate::launch::{blocking, networks_changed};
use crate::networks::check_endpoint;
use shoal_api_types::network::EndpointSettings;
use shoal_node_core_host::lifecycle::Phase;
use std::sync::Arc;

impl Actor {
    pub(super) async fn connect(&mut self, network: &str, asked: EndpointSettings) -> Result<()> {
        self.may_change()?;
        let found = self.kit.networks.find_any(network).await?;
        let mode = self.record.host.network_mode.as_str();
        if mode == "host" || mode.starts_with("container:") {
            return Err(invalid(
                "container sharing network namespace with another container or host cannot be connected to any other network",
            ));
        }
        if found.driver == "host" {
            return Err(invalid(
                "cannot connect container to host network - container must be created in host network mode",
            ));
        }
        if found.config_only {
            return Err(forbidden("cannot create endpoint on configuration-only network"));
        }
        if mode == "none" || found.driver == "null" {
            return Err(invalid(
                "container cannot be connected to multiple networks with one of the networks in private (none) mode",
            ));
        }
        check_endpoint(&asked, &found)?;
        let live = self.run.state.phase.is_live();
        let known = self.record.networks.contains_key(&found.name);
        if known && live {
            return Err(forbidden(format!(
                "endpoint with name {} already exists in network {}",
                self.record.name, found.name
            )));
        }
        let mut record = (*self.record).clone();
        record.networks.insert(found.name.clone(), asked.clone());
        let record = Arc::new(record);
        let before = self.run.endpoints.clone();
        let ready = {
            let (record, dir) = (record.clone(), self.dir.clone());
            let what = io("write the configuration of container", record.id.clone());
            move || record.ready(&dir).map_err(what)
        };
        // The disk is at work while the kernel is.
        let ready = if live {
            let (kit, record, name) = (self.kit.clone(), record.clone(), found.name.clone());
            let placed = kit.networks.place(&record, &name, &asked).await?;
            let network = placed.as_ref().map(|placed| placed.network.clone());
            let (done, ready) = tokio::join!(
                blocking(move || kit.networks.connect(&record, &name, &asked, placed.as_ref())),
                blocking(ready),
            );
            if let (Err(_), Some(network)) = (&done, network) {
                self.kit.networks.leave_place(&network, &self.record.id);
            }
            self.run.endpoints = done?;
            ready
        } else {
            ready()
        };
        let what = io("write the configuration of container", &record.id);
        if let Err(e) = ready.and_then(|ready| ready.put().map_err(what)) {
            if live {
                let (kit, record, id) = (self.kit.clone(), self.record.clone(), found.id.clone());
                let _ = blocking(move || kit.networks.disconnect(&record, &id).map(drop)).await;
                self.run.endpoints = before;
            }
            return Err(e);
        }
        self.record = record;
        self.changed(&before);
        let endpoint = self.run.endpoints.iter().find(|e| e.network_id == found.id);
        if let Some(endpoint) = endpoint {
            self.kit.networks.emit("connect", endpoint, &self.record.id);
        }
        Ok(())
    }

    pub(super) async fn disconnect(&mut self, network: &str, force: bool) -> Result<()> {
        self.may_change()?;
        // With force also from a network that is no more.
        let found = match self.kit.networks.find_any(network).await {
            Ok(found) => Some(found),
            Err(_) if force => None,
            Err(e) => return Err(e),
        };
        let name = found.as_ref().map_or(network, |f| f.name.as_str());
        let id = found.as_ref().map_or("", |f| f.id.as_str());
        let key = self
            .record
            .networks
            .keys()
            .find(|key| *key == name || *key == id)
            .cloned();
        let Some(key) = key else {
            let article = if self.run.state.phase.is_live() {
                ""
            } else {
                "the "
            };
            return Err(forbidden(format!(
                "container {} is not connected to {article}network {name}",
                self.record.id
            )));
        };
        if found.as_ref().is_some_and(|f| f.driver == "host") {
            return Err(forbidden(
                "container cannot be disconnected from host network or connected to host network",
            ));
        }
        let mut record = (*self.record).clone();
        record.networks.remove(&key);
        let record = Arc::new(record);
        let before = self.run.endpoints.clone();
        let mut gone = None;
        let held = before.iter().any(|e| e.network_id == id);
        if self.run.state.phase.is_live() && held {
            let (kit, record, id) = (self.kit.clone(), record.clone(), id.to_owned());
            let (endpoint, left) = blocking(move || kit.networks.disconnect(&record, &id)).await?;
            self.run.endpoints = left;
            gone = Some(endpoint);
        }
        // From here on it is off the network, and a record that cannot be written says so at its next start.
        self.keep(record)?;
        self.changed(&before);
        if let Some(endpoint) = gone {
            if endpoint.attached {
                self.kit
                    .networks
                    .leave_place(&endpoint.network_id, &self.record.id);
            }
            self.kit.networks.emit("disconnect", &endpoint, &self.record.id);
        }
        Ok(())
    }

    /// A container that was renamed is looked up by its new name.
    pub(super) fn renamed(&mut self, old: &str) {
        let new = self.record.name.clone();
        for endpoint in &mut self.run.endpoints {
            for name in endpoint.dns_names.iter_mut().filter(|name| *name == old) {
                name.clone_from(&new);
            }
        }
        self.kit.networks.renamed(&self.record, &self.run.endpoints);
        if self.run.endpoints.iter().any(|e| e.attached) {
            self.kit.networks.tell_cluster();
        }
        if let Err(error) = self.persist() {
            tracing::warn!(%error, "a new name of a running container could not be noted");
        }
    }

    fn may_change(&self) -> Result<()> {
        match self.run.state.phase {
            Phase::Removing | Phase::Dead => Err(conflict(format!(
                "container {} is marked for removal and cannot be connected or disconnected to the network",
                self.record.id
            ))),
            Phase::Restarting => Err(conflict(format!(
                "Container {} is restarting, wait until the container is running",
                self.record.id
            ))),
            _ => Ok(()),
        }
    }

    /// On disk before anybody is told.
    pub(super) fn keep(&mut self, record: Arc<crate::containers::Record>) -> Result<(), Error> {
        record
            .save(&self.dir)
            .map_err(io("write the configuration of container", &record.id))?;
        self.record = record;
        Ok(())
    }

    fn changed(&mut self, before: &[crate::networks::Endpoint]) {
        if let Err(error) = self.persist() {
            tracing::warn!(%error, "a container's networks could not be noted");
        }
        if self.run.state.phase.is_live()
            && let Err(error) = networks_changed(&self.record, &self.dir, before, &self.run.endpoints)
        {
            tracing::warn!(error = %error.message, "a container's files do not show its networks");
        }
        self.publish();
    }
}
