//! `/networks`.

use crate::call::{Client, Query, segment};
use crate::error::Result;
use http::Method;
use shoal_api_types::Filters;
use shoal_api_types::network::*;

fn of(id: &str, what: &str) -> String {
    format!("/networks/{}{what}", segment(id))
}

impl Client {
    pub async fn network_list(&self, filters: &Filters) -> Result<Vec<Network>> {
        self.get("/networks", Query::new().filters(filters)).await
    }
    pub async fn network_inspect(&self, id: &str, verbose: bool) -> Result<Network> {
        self.get(&of(id, ""), Query::new().flag("verbose", verbose)).await
    }
    pub async fn network_inspect_raw(&self, id: &str, verbose: bool) -> Result<serde_json::Value> {
        self.get(&of(id, ""), Query::new().flag("verbose", verbose)).await
    }
    pub async fn network_create(&self, request: &NetworkCreateRequest) -> Result<NetworkCreateResponse> {
        self.post("/networks/create", Query::new(), request).await
    }
    pub async fn network_remove(&self, id: &str) -> Result<()> {
        self.order(Method::DELETE, &of(id, ""), Query::new()).await
    }
    pub async fn network_connect(&self, id: &str, request: &NetworkConnectRequest) -> Result<()> {
        self.order_json(&of(id, "/connect"), Query::new(), request).await
    }
    pub async fn network_disconnect(&self, id: &str, request: &NetworkDisconnectRequest) -> Result<()> {
        self.order_json(&of(id, "/disconnect"), Query::new(), request)
            .await
    }
    pub async fn network_prune(&self, filters: &Filters) -> Result<NetworkPruneReport> {
        self.read(
            Method::POST,
            "/networks/prune",
            Query::new().filters(filters),
            None,
        )
        .await
    }
}
