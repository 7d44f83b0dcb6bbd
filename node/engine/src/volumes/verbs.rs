//! `docker volume …`.

use super::table::{ANONYMOUS, VolumeTable};
use crate::containers::Registry;
use crate::error::{Result, invalid, not_found};
use crate::ids;
use async_trait::async_trait;
use shoal_api_backend as api;
use shoal_api_types::volume::*;
use shoal_api_types::{Dict, Filters, Slice};
use shoal_node_drivers_volumes as driver;

#[derive(Clone)]
pub struct Volumes {
    table: VolumeTable,
    registry: Registry,
}

impl Volumes {
    pub(crate) fn new(table: VolumeTable, registry: Registry) -> Self {
        Volumes { table, registry }
    }

    fn show(&self, volume: &driver::Volume) -> Volume {
        Volume {
            created_at: volume.created_at.parse().unwrap_or_default(),
            driver: "local".into(),
            labels: if volume.labels.is_empty() {
                Dict::nil()
            } else {
                volume.labels.clone().into()
            },
            mountpoint: volume.mountpoint.to_string_lossy().into_owned(),
            name: volume.name.clone(),
            options: if volume.options.is_empty() {
                Dict::nil()
            } else {
                volume.options.clone().into()
            },
            scope: "local".into(),
            ..Volume::default()
        }
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
            let mut shown = self.show(&volume);
            shown.usage_data = Some(VolumeUsage {
                ref_count: signed(self.users(&volume.name) as u64),
                size: signed(self.table.driver().usage(&volume.name).unwrap_or(0)),
            });
            out.push(shown);
        }
        out
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
            .map_err(|v| invalid(format!("invalid filter 'dangling={v}'")))?;
        let passes = |volume: &driver::Volume| {
            let label = |key: &str| volume.labels.get(key).map(String::as_str);
            let named = !filters.contains("name") || filters.get("name").any(|n| volume.name.contains(n));
            named
                && filters.matches("driver", "local")
                && filters.matches_labels("label", label)
                && dangling.is_none_or(|d| d == (self.users(&volume.name) == 0))
        };
        let volumes = self
            .table
            .driver()
            .list()
            .iter()
            .filter(|v| passes(v))
            .map(|v| self.show(v))
            .collect();
        Ok(VolumeListResponse {
            volumes,
            warnings: Slice::nil(),
        })
    }

    async fn inspect(&self, name: &str) -> Result<Volume> {
        Ok(self.show(&self.table.get(name)?))
    }

    async fn create(&self, request: VolumeCreateRequest) -> Result<Volume> {
        if !matches!(request.driver.as_str(), "" | "local") {
            return Err(not_found(format!(
                "create {}: error looking up volume plugin {1}: plugin {1:?} not found",
                request.name, request.driver
            )));
        }
        let mut labels = request.labels.into_map();
        let name = match request.name.as_str() {
            "" => {
                labels.insert(ANONYMOUS.into(), String::new());
                ids::new()
            }
            name => name.to_string(),
        };
        let (volume, _) = self
            .table
            .create(&name, labels, request.driver_opts.into_map())
            .await?;
        Ok(self.show(&volume))
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
            .map_err(|v| invalid(format!("invalid filter 'all={v}'")))?
            .unwrap_or(false);
        let mut deleted: Vec<String> = Vec::new();
        let mut space_reclaimed = 0;
        for volume in self.table.driver().list() {
            let label = |key: &str| volume.labels.get(key).map(String::as_str);
            let excluded = filters.contains("label!") && filters.matches_labels("label!", label);
            let wanted = all || volume.labels.contains_key(ANONYMOUS);
            if !wanted
                || excluded
                || !filters.matches_labels("label", label)
                || self.table.user(&volume.name, "").is_some()
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
