//! `docker network …`.

use super::open::insert;
use super::record::Record;
use super::table::{NetworkTable, driver};
use crate::clock;
use crate::containers::Registry;
use crate::error::{Result, conflict, forbidden, invalid, not_implemented, system};
use crate::{files, ids};
use async_trait::async_trait;
use ipnet::Ipv4Net;
use shoal_api_backend as api;
use shoal_api_types::network::*;
use shoal_api_types::{Filters, Slice};
use shoal_node_core_host::ipam::{self, Pool};
use shoal_node_core_host::netplan;
use std::collections::BTreeMap;

#[derive(Clone)]
pub struct Networks {
    table: NetworkTable,
    registry: Registry,
}

const MTU: u32 = 1500;

const FILTERS: [&str; 8] = [
    "dangling", "driver", "id", "label", "name", "scope", "type", "idOrName",
];

impl Networks {
    pub(crate) fn new(table: NetworkTable, registry: Registry) -> Self {
        Networks { table, registry }
    }

    fn make(&self, request: NetworkCreateRequest) -> Result<Record> {
        let table = &self.table.inner;
        let id = ids::new();
        let options = request.options.clone().into_map();
        let option = |key: &str| options.get(key).map(String::as_str);
        let asked = request
            .ipam
            .as_ref()
            .and_then(|i| i.config.first().cloned())
            .unwrap_or_default();
        let subnet = match asked.subnet.as_str() {
            "" => {
                let mut used = table.links.used_subnets(None).map_err(driver)?;
                used.extend(self.table.all().iter().filter_map(|r| r.subnet));
                ipam::pick_subnet(&table.pools, &used).map_err(|e| system(e.to_string()))?
            }
            text => {
                let subnet: Ipv4Net = text
                    .parse()
                    .map_err(|_| invalid(format!("invalid subnet {text}")))?;
                if self
                    .table
                    .all()
                    .iter()
                    .filter_map(|r| r.subnet)
                    .any(|other| ipam::overlaps(other, subnet))
                {
                    return Err(forbidden(
                        "invalid pool request: Pool overlaps with other one on this address space",
                    ));
                }
                subnet
            }
        };
        let parse = |text: &str, what: &str| match text {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| invalid(format!("invalid {what} {text}"))),
        };
        let gateway = parse(&asked.gateway, "gateway")?;
        let ip_range = match asked.ip_range.as_str() {
            "" => None,
            text => Some(
                text.parse()
                    .map_err(|_| invalid(format!("invalid ip-range {text}")))?,
            ),
        };
        let pool = Pool::new(subnet, ip_range, gateway).map_err(|e| invalid(e.to_string()))?;
        let yes = |key: &str, default: bool| option(key).and_then(|v| v.parse().ok()).unwrap_or(default);
        let bridge = option("com.docker.network.bridge.name")
            .map_or_else(|| format!("br-{}", ids::short(&id)), Into::into);
        check_bridge(&bridge)?;
        // The other one's containers would be on it, and removing one network would take the bridge from both.
        if let Some(other) = self.table.all().iter().find(|r| r.bridge == bridge) {
            return Err(forbidden(format!(
                "cannot create network {id} ({bridge}): conflicts with network {} ({bridge}): networks have same bridge name",
                other.id
            )));
        }
        Ok(Record {
            bridge,
            name: request.name,
            created: clock::now(),
            driver: "bridge".into(),
            internal: request.internal,
            attachable: request.attachable,
            labels: request.labels.into_map(),
            subnet: Some(subnet.trunc()),
            ip_range,
            gateway: Some(pool.gateway()),
            mtu: mtu(option("com.docker.network.driver.mtu").unwrap_or_default())?,
            icc: yes("com.docker.network.bridge.enable_icc", true),
            masquerade: yes("com.docker.network.bridge.enable_ip_masquerade", true),
            enable_ipv6: false,
            id,
            options,
        })
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
        let table = &self.table.inner;
        let path = table.dir.join(format!("{}.json", record.id));
        files::remove_file(&path)
            .and_then(|()| files::sync_dir(&table.dir))
            .map_err(crate::error::io("remove", path.display()))?;
        table.state.lock().networks.remove(&record.id);
        self.table.converge(false)?;
        if let Err(error) = table.links.unplug(&record.bridge) {
            tracing::warn!(bridge = %record.bridge, %error, "a bridge could not be removed");
        }
        self.emit("destroy", record);
        Ok(())
    }
}

fn check_bridge(name: &str) -> Result<()> {
    let fits = !matches!(name, "" | "." | "..") && name.len() <= netplan::LINK_NAME_BYTES_MAX;
    if fits
        && name
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'/' && b != b':')
    {
        return Ok(());
    }
    Err(invalid(format!("invalid bridge name {name:?}")))
}

/// What the kernel takes for a bridge; nothing and 0 are the default.
fn mtu(text: &str) -> Result<u32> {
    match text.parse() {
        _ if text.is_empty() => Ok(MTU),
        Ok(0) => Ok(MTU),
        Ok(mtu @ 68..=65535) => Ok(mtu),
        _ => Err(invalid(format!("invalid MTU {text}: it should be 68 to 65535"))),
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
        let mut out: Vec<Network> = Vec::new();
        for record in self.table.all() {
            let custom = filters
                .get("type")
                .all(|t| (t == "custom") != record.is_predefined());
            let by_name = !filters.contains("name") || filters.get("name").any(|n| record.name.contains(n));
            let label = |key: &str| record.labels.get(key).map(String::as_str);
            let used = || !self.table.on(&record.id).is_empty() || record.is_predefined();
            if custom
                && by_name
                && filters.matches_prefix("id", &record.id)
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
        if name.is_empty() || name.contains('/') {
            return Err(invalid(format!("invalid network name: {name:?}")));
        }
        if matches!(name, "bridge" | "host" | "none" | "default" | "container") {
            return Err(forbidden(format!(
                "operation is not permitted on predefined {name} network"
            )));
        }
        match request.driver.as_str() {
            "" | "bridge" => {}
            "host" | "null" => {
                return Err(forbidden(format!(
                    "only one instance of {:?} network is allowed",
                    request.driver
                )));
            }
            other => {
                return Err(crate::error::not_found(format!(
                    "could not find plugin {other} in v1 plugin registry: plugin not found"
                )));
            }
        }
        if request.config_only
            || request
                .config_from
                .as_ref()
                .is_some_and(|c| !c.network.is_empty())
        {
            return Err(not_implemented("configuration-only networks are not implemented"));
        }
        if self.table.all().iter().any(|r| r.name == name) {
            return Err(conflict(format!("network with name {name} already exists")));
        }
        let this = self.clone();
        let record = crate::launch::blocking(move || {
            let record = this.make(request)?;
            insert(&this.table, record.clone())?;
            let made = this
                .table
                .ensure_bridges()
                .and_then(|()| this.table.converge(false))
                .and_then(|_| this.table.save(&record));
            if let Err(e) = made {
                this.table.inner.state.lock().networks.remove(&record.id);
                let _ = this.table.converge(false);
                let _ = this.table.inner.links.unplug(&record.bridge);
                return Err(e);
            }
            Ok(record)
        })
        .await?;
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

    async fn connect(&self, _id: &str, _request: NetworkConnectRequest) -> Result<()> {
        Err(not_implemented(
            "connecting a container to a further network is not implemented",
        ))
    }

    async fn disconnect(&self, _id: &str, _request: NetworkDisconnectRequest) -> Result<()> {
        Err(not_implemented(
            "disconnecting a container from a network is not implemented",
        ))
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
            if record.is_predefined() || excluded || young || !filters.matches_labels("label", label) {
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

#[cfg(test)]
mod tests {
    use super::{check_bridge, mtu};

    #[test]
    fn bridges_are_called_what_the_kernel_takes() {
        for good in ["br0", "a", "123456789012345"] {
            assert!(check_bridge(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "a:b", "1234567890123456", "brücke"] {
            assert!(check_bridge(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn mtus_are_in_range() {
        assert_eq!(
            (mtu("").unwrap(), mtu("0").unwrap(), mtu("9000").unwrap()),
            (1500, 1500, 9000)
        );
        for bad in ["-1", "67", "65536", "99999999999", "x"] {
            assert!(mtu(bad).is_err(), "{bad}");
        }
    }
}
