//! `docker network …`.

use super::make;
use super::record::Record;
use super::table::NetworkTable;
use crate::containers::Registry;
use crate::error::{Result, conflict, forbidden, invalid};
use crate::patterns::Patterns;
use crate::{files, ids};
use async_trait::async_trait;
use shoal_api_backend as api;
use shoal_api_types::network::*;
use shoal_api_types::{Filters, Slice};
use shoal_node_drivers_network::Until;
use std::collections::BTreeMap;

#[derive(Clone)]
pub struct Networks {
    table: NetworkTable,
    registry: Registry,
}

const FILTERS: [&str; 8] = [
    "dangling", "driver", "id", "label", "name", "scope", "type", "idOrName",
];

impl Networks {
    pub(crate) fn new(table: NetworkTable, registry: Registry) -> Self {
        Networks { table, registry }
    }

    fn emit(&self, action: &str, record: &Record) {
        let attributes: BTreeMap<String, String> =
            [("name", record.name.clone()), ("type", record.driver.clone())]
                .map(|(k, v)| (k.to_string(), v))
                .into();
        self.table
            .inner
            .events
            .publish("network", action, &record.id, attributes);
    }

    fn delete(&self, record: &Record) -> Result<()> {
        let on = self.table.on(&record.id);
        if !on.is_empty() {
            let users: Vec<String> = on
                .iter()
                .map(|(id, e)| {
                    let name = self.registry.get(id).map(|h| h.name()).unwrap_or_default();
                    format!("name:{name:?} id:{:?}", ids::short(&e.endpoint_id))
                })
                .collect();
            return Err(forbidden(format!(
                "error while removing network: network {} has active endpoints ({})",
                record.name,
                users.join(", ")
            )));
        }
        if record.config_only && self.table.all().iter().any(|r| r.config_from == record.name) {
            return Err(forbidden(format!(
                "error while removing network: configuration network {:?} is in use",
                record.name
            )));
        }
        let table = &self.table.inner;
        let path = table.dir.join(format!("{}.json", record.id));
        files::remove_file(&path)
            .and_then(|()| files::sync_dir(&table.dir))
            .map_err(crate::error::io("remove", path.display()))?;
        table.state.lock().networks.remove(&record.id);
        self.table.converge(false)?;
        let gone = if record.plan().is_some() {
            table
                .links
                .remove_soon(&record.link, Until::Begun)
                .map_err(super::table::driver)
        } else {
            super::sub::remove_parent(&table.links, record)
        };
        if let Err(error) = gone {
            tracing::warn!(link = %record.link, %error, "a network's interface could not be removed");
        }
        self.emit("destroy", record);
        Ok(())
    }
}

#[async_trait]
impl api::Networks for Networks {
    async fn list(&self, filters: Filters) -> Result<Vec<Network>> {
        if let Some(key) = filters.unknown_key(&FILTERS) {
            return Err(invalid(format!("invalid filter '{key}'")));
        }
        let dangling = filters
            .get_bool("dangling")
            .map_err(|v| invalid(format!("invalid value for 'dangling': {v:?}")))?;
        if let Some(kind) = filters.get("type").find(|t| !matches!(*t, "custom" | "builtin")) {
            return Err(invalid(format!("invalid filter: 'type'='{kind}'")));
        }
        let (names, ids) = (Patterns::of(&filters, "name"), Patterns::of(&filters, "id"));
        let mut out: Vec<Network> = Vec::new();
        for record in self.table.all() {
            let custom = filters
                .get("type")
                .all(|t| (t == "custom") != record.is_predefined());
            let label = |key: &str| record.labels.get(key).map(String::as_str);
            let used = || !self.table.on(&record.id).is_empty() || record.is_predefined();
            if custom
                && names.find_in(&record.name)
                && ids.find_in(&record.id)
                && filters.matches("driver", &record.driver)
                && filters.matches("scope", "local")
                && filters.matches_labels("label", label)
                && dangling.is_none_or(|d| d != used())
            {
                // The list leaves out who is on them.
                out.push(record.show(&[], &self.registry));
            }
        }
        out.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(out)
    }

    async fn inspect(&self, id: &str, _verbose: bool, scope: &str) -> Result<Network> {
        let record = self.table.find(id)?;
        if !matches!(scope, "" | "local") {
            return Err(crate::error::not_found(format!("network {id} not found")));
        }
        Ok(record.show(&self.table.on(&record.id), &self.registry))
    }

    async fn create(&self, request: NetworkCreateRequest) -> Result<NetworkCreateResponse> {
        let name = request.name.trim();
        if name.is_empty() {
            return Err(invalid("invalid name: name is empty"));
        }
        if name.contains('/') {
            return Err(invalid(format!("invalid network name: {name:?}")));
        }
        if matches!(name, "bridge" | "host" | "none" | "default" | "container") {
            return Err(forbidden(format!(
                "operation is not permitted on predefined {name} network"
            )));
        }
        match request.driver.as_str() {
            "" | "bridge" | "macvlan" | "ipvlan" => {}
            _ if request.config_only => {}
            "host" | "null" => {
                return Err(forbidden(format!(
                    "only one instance of {:?} network is allowed",
                    request.driver
                )));
            }
            other => {
                return Err(crate::error::not_found(format!("plugin {other:?} not found")));
            }
        }
        if request.ingress {
            return Err(forbidden("Ingress network can only be global scope network"));
        }
        if self.table.all().iter().any(|r| r.name == name) {
            return Err(conflict(format!("network with name {name} already exists")));
        }
        let this = self.clone();
        let record = crate::launch::blocking(move || make::make(&this.table, request)).await?;
        self.emit("create", &record);
        Ok(NetworkCreateResponse {
            id: record.id,
            warning: String::new(),
        })
    }

    async fn remove(&self, id: &str) -> Result<()> {
        let record = self.table.find(id)?;
        if record.is_predefined() {
            return Err(forbidden(format!(
                "{} is a pre-defined network and cannot be removed",
                record.name
            )));
        }
        let this = self.clone();
        crate::launch::blocking(move || this.delete(&record)).await
    }

    async fn connect(&self, id: &str, request: NetworkConnectRequest) -> Result<()> {
        let handle = self.registry.get(&request.container)?;
        let asked = super::asked::wishes(request.endpoint_config.unwrap_or_default());
        let network = id.to_owned();
        handle
            .ask(|reply| crate::containers::Input::Connect {
                network,
                asked: Box::new(asked),
                reply,
            })
            .await
    }

    async fn disconnect(&self, id: &str, request: NetworkDisconnectRequest) -> Result<()> {
        let handle = match self.registry.get(&request.container) {
            // With force it may be that only an endpoint is left of it.
            Err(_) if request.force => {
                return Err(crate::error::not_found(format!(
                    "endpoint {} not found",
                    request.container
                )));
            }
            handle => handle?,
        };
        let network = id.to_owned();
        handle
            .ask(|reply| crate::containers::Input::Disconnect {
                network,
                force: request.force,
                reply,
            })
            .await
    }

    async fn prune(&self, filters: Filters) -> Result<NetworkPruneReport> {
        if let Some(key) = filters.unknown_key(&["label", "label!", "until"]) {
            return Err(invalid(format!("invalid filter '{key}'")));
        }
        let until = crate::containers::until(&filters)?;
        let mut gone: Vec<String> = Vec::new();
        for record in self.table.all() {
            let label = |key: &str| record.labels.get(key).map(String::as_str);
            let excluded = filters.contains("label!") && filters.matches_labels("label!", label);
            let young = until.is_some_and(|t| record.created > t);
            if record.is_predefined()
                || record.config_only
                || excluded
                || young
                || !filters.matches_labels("label", label)
            {
                continue;
            }
            let this = self.clone();
            let name = record.name.clone();
            if crate::launch::blocking(move || this.delete(&record))
                .await
                .is_ok()
            {
                gone.push(name);
            }
        }
        self.table.inner.events.pruned("network", 0);
        Ok(NetworkPruneReport {
            networks_deleted: if gone.is_empty() {
                Slice::nil()
            } else {
                gone.into()
            },
        })
    }
}
