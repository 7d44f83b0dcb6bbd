//! `docker system df`.

use super::System;
use crate::error::Result;
use shoal_api_backend::{ListContainers, MeasureUsage};
use shoal_api_types::Filters;
use shoal_api_types::container::ContainerSummary;
use shoal_api_types::system::DiskUsage;

impl System {
    pub(super) async fn measure(&self, what: MeasureUsage) -> Result<DiskUsage> {
        let mut out = DiskUsage::default();
        if what.images {
            out.layers_size = i64::try_from(self.images.store().layers_size()).unwrap_or(i64::MAX);
            out.images = self.images.summaries(&Filters::new(), true, false)?.into();
        }
        if what.containers {
            let options = ListContainers {
                all: true,
                size: true,
                ..ListContainers::default()
            };
            let all = self.containers.list(options).await?;
            out.containers = all.iter().map(|one| ContainerSummary::clone(one)).collect();
        }
        if what.volumes {
            let volumes = self.volumes.clone();
            out.volumes = crate::launch::blocking(move || Ok(volumes.measured()))
                .await?
                .into();
        }
        if what.build_cache {
            out.build_cache = Vec::new().into();
        }
        Ok(out)
    }
}
