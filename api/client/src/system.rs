//! The engine as a whole.

use crate::call::{Client, Query};
use crate::error::Result;
use crate::stream::JsonStream;
use http::Method;
use shoal_api_types::Filters;
use shoal_api_types::auth::{AuthConfig, AuthResponse};
use shoal_api_types::event::EventMessage;
use shoal_api_types::system::*;

impl Client {
    pub async fn ping(&self) -> Result<()> {
        self.order(Method::GET, "/_ping", Query::new()).await
    }
    pub async fn version(&self) -> Result<Version> {
        self.get("/version", Query::new()).await
    }
    pub async fn version_raw(&self) -> Result<serde_json::Value> {
        self.get("/version", Query::new()).await
    }
    pub async fn info(&self) -> Result<Info> {
        self.get("/info", Query::new()).await
    }
    pub async fn info_raw(&self) -> Result<serde_json::Value> {
        self.get("/info", Query::new()).await
    }
    /// `since` and `until`: unix seconds with a fraction, or RFC 3339.
    pub async fn events(
        &self,
        since: Option<&str>,
        until: Option<&str>,
        filters: &Filters,
    ) -> Result<JsonStream<EventMessage>> {
        let query = Query::new()
            .optional("since", since)
            .optional("until", until)
            .filters(filters);
        let response = self.send(Method::GET, "/events", query, Vec::new(), None).await?;
        Ok(JsonStream::new(response.into_body(), "events"))
    }
    pub async fn disk_usage_raw(&self) -> Result<serde_json::Value> {
        self.get("/system/df", Query::new()).await
    }
    pub async fn auth(&self, auth: &AuthConfig) -> Result<AuthResponse> {
        self.post("/auth", Query::new(), auth).await
    }
}
