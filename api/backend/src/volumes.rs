//! Volumes.

use crate::error::Result;
use async_trait::async_trait;
use shoal_api_types::Filters;
use shoal_api_types::volume::*;

#[async_trait]
pub trait Volumes: Send + Sync + 'static {
    async fn list(&self, filters: Filters) -> Result<VolumeListResponse>;
    async fn inspect(&self, name: &str) -> Result<Volume>;
    /// Creating one that is there already answers it as it is.
    async fn create(&self, request: VolumeCreateRequest) -> Result<Volume>;
    async fn remove(&self, name: &str, force: bool) -> Result<()>;
    /// Only anonymous ones, unless the filters say `all`.
    async fn prune(&self, filters: Filters) -> Result<VolumePruneReport>;
}
