//! `/swarm`, `/nodes`, `/services`, `/tasks`.

use crate::call::{Client, Query, json, segment};
use crate::containers::LogOptions;
use crate::error::{Error, Result};
use crate::stream::Bytes;
use http::Method;
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shoal_api_types::Filters;
use shoal_api_types::swarm::*;

impl Client {
    /// Answers the node's id.
    pub async fn swarm_init(&self, request: &InitRequest) -> Result<String> {
        self.post("/swarm/init", Query::new(), request).await
    }
    pub async fn swarm_join(&self, request: &JoinRequest) -> Result<()> {
        self.order_json("/swarm/join", Query::new(), request).await
    }
    pub async fn swarm_leave(&self, force: bool) -> Result<()> {
        self.order(Method::POST, "/swarm/leave", Query::new().flag("force", force))
            .await
    }
    pub async fn swarm_inspect(&self) -> Result<Cluster> {
        self.get("/swarm", Query::new()).await
    }
    pub async fn swarm_update(
        &self,
        version: u64,
        spec: &Spec,
        rotate_worker_token: bool,
        rotate_manager_token: bool,
    ) -> Result<()> {
        let query = Query::new()
            .text("version", version.to_string())
            .flag("rotateWorkerToken", rotate_worker_token)
            .flag("rotateManagerToken", rotate_manager_token);
        self.order_json("/swarm/update", query, spec).await
    }

    pub async fn node_list(&self, filters: &Filters) -> Result<Vec<Node>> {
        self.get("/nodes", Query::new().filters(filters)).await
    }
    /// `self` is this engine's own node only in the command line: resolve it with `info` first.
    pub async fn node_inspect(&self, id: &str) -> Result<Node> {
        self.get(&format!("/nodes/{}", segment(id)), Query::new()).await
    }
    pub async fn node_inspect_raw(&self, id: &str) -> Result<serde_json::Value> {
        self.get(&format!("/nodes/{}", segment(id)), Query::new()).await
    }
    pub async fn node_update(&self, id: &str, version: u64, spec: &NodeSpec) -> Result<()> {
        let query = Query::new().text("version", version.to_string());
        self.order_json(&format!("/nodes/{}/update", segment(id)), query, spec)
            .await
    }
    pub async fn node_remove(&self, id: &str, force: bool) -> Result<()> {
        self.order(
            Method::DELETE,
            &format!("/nodes/{}", segment(id)),
            Query::new().flag("force", force),
        )
        .await
    }

    /// `status` adds the counts of tasks.
    pub async fn service_list(&self, filters: &Filters, status: bool) -> Result<Vec<Service>> {
        self.get("/services", Query::new().flag("status", status).filters(filters))
            .await
    }
    pub async fn service_inspect(&self, id: &str, insert_defaults: bool) -> Result<Service> {
        let query = Query::new().flag("insertDefaults", insert_defaults);
        self.get(&format!("/services/{}", segment(id)), query).await
    }
    pub async fn service_inspect_raw(&self, id: &str) -> Result<serde_json::Value> {
        self.get(&format!("/services/{}", segment(id)), Query::new())
            .await
    }
    /// `registry_auth` is `X-Registry-Auth` as [`crate::encode_auth`] makes it.
    pub async fn service_create(
        &self,
        spec: &ServiceSpec,
        registry_auth: Option<String>,
    ) -> Result<ServiceCreateResponse> {
        self.with_auth("/services/create", Query::new(), spec, registry_auth)
            .await
    }
    /// `rollback` takes the previous spec back instead of `spec`.
    pub async fn service_update(
        &self,
        id: &str,
        version: u64,
        spec: &ServiceSpec,
        rollback: bool,
        registry_auth: Option<String>,
    ) -> Result<ServiceUpdateResponse> {
        let query = Query::new()
            .text("version", version.to_string())
            .optional("rollback", rollback.then_some("previous"));
        self.with_auth(
            &format!("/services/{}/update", segment(id)),
            query,
            spec,
            registry_auth,
        )
        .await
    }
    pub async fn service_remove(&self, id: &str) -> Result<()> {
        self.order(
            Method::DELETE,
            &format!("/services/{}", segment(id)),
            Query::new(),
        )
        .await
    }
    pub async fn service_logs(&self, id: &str, options: &LogOptions) -> Result<Bytes> {
        self.bytes(&format!("/services/{}/logs", segment(id)), options.query())
            .await
    }

    pub async fn task_list(&self, filters: &Filters) -> Result<Vec<Task>> {
        self.get("/tasks", Query::new().filters(filters)).await
    }
    pub async fn task_inspect(&self, id: &str) -> Result<Task> {
        self.get(&format!("/tasks/{}", segment(id)), Query::new()).await
    }
    pub async fn task_logs(&self, id: &str, options: &LogOptions) -> Result<Bytes> {
        self.bytes(&format!("/tasks/{}/logs", segment(id)), options.query())
            .await
    }

    async fn with_auth<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query,
        body: &B,
        auth: Option<String>,
    ) -> Result<T> {
        let headers = auth.map(|auth| ("x-registry-auth", auth)).into_iter().collect();
        let body = serde_json::to_vec(body).map_err(Error::Encode)?;
        let response = self
            .send(Method::POST, path, query, headers, Some(json(body)))
            .await?;
        let bytes = response.into_body().collect().await?.to_bytes();
        shoal_api_types::decode(&bytes).map_err(|reason| Error::Decode {
            call: format!("POST {path}"),
            reason,
        })
    }
}
