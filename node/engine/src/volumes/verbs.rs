//! `docker volume …`.

use super::foreign::Seen;
use super::table::{self, ANONYMOUS, LOCAL, VolumeTable, Wish};
use crate::containers::Registry;
use crate::error::{Result, invalid};
use crate::ids;
use crate::patterns::Patterns;
use async_trait::async_trait;
use shoal_api_backend as api;
use shoal_api_types::volume::*;
use shoal_api_types::{Dict, Filters, Slice};
use std::collections::BTreeMap;

#[derive(Clone)]
pub struct Volumes {
    table: VolumeTable,
    registry: Registry,
}

impl Volumes {
    pub(crate) fn new(table: VolumeTable, registry: Registry) -> Self {
        Volumes { table, registry }
    }

    fn show(&self, volume: &table::Volume) -> Volume {
        let dict = |map: &BTreeMap<String, String>| match map.is_empty() {
            true => Dict::nil(),
            false => map.clone().into(),
        };
        Volume {
            created_at: volume.created_at.parse().unwrap_or_default(),
            driver: volume.driver.clone(),
            labels: dict(&volume.labels),
            mountpoint: volume.mountpoint.clone(),
            name: volume.name.clone(),
            options: dict(&volume.options),
            scope: LOCAL.into(),
            ..Volume::default()
        }
    }

    /// With what a plugin knows of it.
    async fn show_all(&self, volume: &table::Volume) -> Volume {
        let mut shown = self.show(volume);
        if volume.driver != LOCAL {
            let foreign = self.table.foreign();
            shown.scope = foreign.scope(&volume.driver).await;
            if let Some(seen) = foreign.look(&volume.name, &volume.driver).await {
                complete(&mut shown, seen);
            }
        }
        shown
    }

    /// How many containers use it.
    fn users(&self, name: &str) -> usize {
        let uses = |h: &crate::containers::Handle| {
            h.view()
                .record
                .mounts
                .iter()
                .any(|m| m.point.kind == "volume" && m.point.name == name)
        };
        self.registry.all().iter().filter(|h| uses(h)).count()
    }

    /// With sizes, for `docker system df`. Blocks.
    pub(crate) fn measured(&self) -> Vec<Volume> {
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let mut out = Vec::new();
        for volume in self.table.driver().list() {
            let volume = table::Volume::from(volume);
            let mut shown = self.show(&volume);
            shown.usage_data = Some(VolumeUsage {
                ref_count: signed(self.users(&volume.name) as u64),
                size: signed(self.table.driver().usage(&volume.name).unwrap_or(0)),
            });
            out.push(shown);
        }
        out
    }

    /// What plugins keep: ours, and what else they list.
    async fn others(&self, ours: &[&table::Volume]) -> Vec<Volume> {
        let listed = self.table.foreign().list().await;
        let mut scopes: BTreeMap<String, String> = BTreeMap::new();
        let mut out: Vec<Volume> = ours.iter().map(|v| self.show(v)).collect();
        for (driver, seen) in listed {
            match out.iter_mut().find(|v| v.name == seen.name && v.driver == driver) {
                Some(shown) => complete(shown, seen),
                None => {
                    let mut shown = Volume {
                        name: seen.name.clone(),
                        driver,
                        scope: LOCAL.into(),
                        ..Volume::default()
                    };
                    complete(&mut shown, seen);
                    out.push(shown);
                }
            }
        }
        for shown in &mut out {
            if !scopes.contains_key(&shown.driver) {
                let scope = self.table.foreign().scope(&shown.driver).await;
                scopes.insert(shown.driver.clone(), scope);
            }
            shown.scope = scopes[&shown.driver].clone();
        }
        out
    }
}

fn complete(shown: &mut Volume, seen: Seen) {
    shown.mountpoint = seen.mountpoint;
    if let Some(created) = seen.created_at {
        shown.created_at = created.parse().unwrap_or_default();
    }
    if let Some(status) = seen.status {
        shown.status = status.into();
    }
}

#[async_trait]
impl api::Volumes for Volumes {
    async fn list(&self, filters: Filters) -> Result<VolumeListResponse> {
        if let Some(key) = filters.unknown_key(&["dangling", "driver", "label", "name"]) {
            return Err(invalid(format!("invalid filter '{key}'")));
        }
        let dangling = filters
            .get_bool("dangling")
            .map_err(|v| invalid(format!("invalid filter 'dangling=[{v}]'")))?;
        let names = Patterns::of(&filters, "name");
        let passes = |volume: &Volume| {
            let label = |key: &str| volume.labels.get(key).map(String::as_str);
            names.find_in(&volume.name)
                && filters.matches("driver", &volume.driver)
                && filters.matches_labels("label", label)
                && dangling.is_none_or(|d| d == (self.users(&volume.name) == 0))
        };
        let ours = self.table.list();
        let (local, others): (Vec<_>, Vec<_>) = ours.iter().partition(|v| v.driver == LOCAL);
        let mut volumes: Vec<Volume> = local.into_iter().map(|v| self.show(v)).collect();
        if !others.is_empty() || !self.table.foreign().drivers().is_empty() {
            volumes.extend(self.others(&others).await);
        }
        volumes.retain(passes);
        Ok(VolumeListResponse {
            volumes,
            warnings: Slice::nil(),
        })
    }

    async fn inspect(&self, name: &str) -> Result<Volume> {
        Ok(self.show_all(&self.table.get(name)?).await)
    }

    async fn create(&self, request: VolumeCreateRequest) -> Result<Volume> {
        let mut labels = request.labels.into_map();
        let name = match request.name.as_str() {
            "" => {
                labels.insert(ANONYMOUS.into(), String::new());
                ids::new()
            }
            name => name.to_string(),
        };
        let wish = Wish {
            driver: request.driver,
            labels,
            options: request.driver_opts.into_map(),
        };
        let (volume, _) = self.table.create(&name, wish).await?;
        let mut shown = self.show(&volume);
        if volume.driver != LOCAL {
            shown.scope = self.table.foreign().scope(&volume.driver).await;
        }
        Ok(shown)
    }

    async fn remove(&self, name: &str, force: bool) -> Result<()> {
        match self.table.remove_unused(name, "").await {
            Err(e) if force && e.class == api::Class::NotFound => Ok(()),
            done => done,
        }
    }

    async fn prune(&self, filters: Filters) -> Result<VolumePruneReport> {
        if let Some(key) = filters.unknown_key(&["label", "label!", "all"]) {
            return Err(invalid(format!("invalid filter '{key}'")));
        }
        let all = filters
            .get_bool("all")
            .map_err(|v| {
                invalid(format!(
                    "invalid filter 'all': strconv.ParseBool: parsing {v:?}: invalid syntax"
                ))
            })?
            .unwrap_or(false);
        let mut deleted: Vec<String> = Vec::new();
        let mut space_reclaimed = 0;
        for volume in self.table.driver().list() {
            let label = |key: &str| volume.labels.get(key).map(String::as_str);
            let excluded = filters.contains("label!") && filters.matches_labels("label!", label);
            // What options describe (a device, an export) is somebody's wish, never rubbish.
            let plain = volume.options.is_empty();
            let wanted = plain && (all || volume.labels.contains_key(ANONYMOUS));
            if !wanted
                || excluded
                || !filters.matches_labels("label", label)
                || !self.table.users_of(&volume.name, "").is_empty()
            {
                continue;
            }
            let (driver, name) = (self.table.driver().clone(), volume.name.clone());
            let bytes = crate::launch::blocking(move || Ok(driver.usage(&name).unwrap_or(0)))
                .await
                .unwrap_or(0);
            if self.table.remove_unused(&volume.name, "").await.is_ok() {
                space_reclaimed += bytes;
                deleted.push(volume.name);
            }
        }
        self.table.pruned(space_reclaimed);
        Ok(VolumePruneReport {
            volumes_deleted: deleted.into(),
            space_reclaimed,
        })
    }
}
