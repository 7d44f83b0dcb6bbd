//! `/volumes`.

use crate::call::{Client, Query, segment};
use crate::error::Result;
use http::Method;
use shoal_api_types::Filters;
use shoal_api_types::volume::*;

impl Client {
    pub async fn volume_list(&self, filters: &Filters) -> Result<VolumeListResponse> {
        self.get("/volumes", Query::new().filters(filters)).await
    }
    pub async fn volume_inspect(&self, name: &str) -> Result<Volume> {
        self.get(&format!("/volumes/{}", segment(name)), Query::new())
            .await
    }
    pub async fn volume_inspect_raw(&self, name: &str) -> Result<serde_json::Value> {
        self.get(&format!("/volumes/{}", segment(name)), Query::new())
            .await
    }
    pub async fn volume_create(&self, request: &VolumeCreateRequest) -> Result<Volume> {
        self.post("/volumes/create", Query::new(), request).await
    }
    pub async fn volume_remove(&self, name: &str, force: bool) -> Result<()> {
        self.order(
            Method::DELETE,
            &format!("/volumes/{}", segment(name)),
            Query::new().flag("force", force),
        )
        .await
    }
    pub async fn volume_prune(&self, filters: &Filters) -> Result<VolumePruneReport> {
        self.read(
            Method::POST,
            "/volumes/prune",
            Query::new().filters(filters),
            None,
        )
        .await
    }
}
