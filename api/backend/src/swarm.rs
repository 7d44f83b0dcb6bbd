//! Swarm mode: the cluster, nodes, services, tasks, secrets and configs.

use crate::containers::{LogStream, Logs};
use crate::error::{Error, Result};
use async_trait::async_trait;
use shoal_api_types::Filters;
use shoal_api_types::network::{Examined, Network, NetworkCreateRequest, NetworkCreateResponse};
use shoal_api_types::swarm::*;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateSwarm {
    /// Must be the version that is current.
    pub version: u64,
    pub rotate_worker_token: bool,
    pub rotate_manager_token: bool,
    pub rotate_manager_unlock_key: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateService {
    pub version: u64,
    /// `X-Registry-Auth` as it came (base64 of JSON); empty is none.
    pub registry_auth: String,
    /// `spec` or `previous-spec`.
    pub registry_auth_from: String,
    /// `previous` or empty.
    pub rollback: String,
    /// The caller is too old to resolve the image's digest itself (before API 1.30).
    pub query_registry: bool,
}

/// The cluster's half. `init`, `join`, `leave`, `unlock` and `info` concern this daemon itself and are never forwarded;
/// everything else may be. `id` is an id, an unambiguous prefix of one, or a name.
#[async_trait]
pub trait Swarm: Send + Sync + 'static {
    /// What this daemon knows of its cluster; does not ask anybody, never fails.
    async fn info(&self) -> Info;
    /// Answers the node's id.
    async fn init(&self, request: InitRequest) -> Result<String>;
    async fn join(&self, request: JoinRequest) -> Result<()>;
    async fn leave(&self, force: bool) -> Result<()>;
    async fn inspect(&self) -> Result<Cluster>;
    async fn update(&self, options: UpdateSwarm, spec: Spec) -> Result<()>;
    async fn unlock_key(&self) -> Result<UnlockKeyResponse> {
        Err(Error::not_implemented("locking managers"))
    }
    async fn unlock(&self, request: UnlockRequest) -> Result<()> {
        let _ = request;
        Err(Error::not_implemented("unlocking a manager"))
    }

    async fn nodes(&self, filters: Filters) -> Result<Vec<Node>>;
    async fn node(&self, id: &str) -> Result<Node>;
    async fn update_node(&self, id: &str, version: u64, spec: NodeSpec) -> Result<()>;
    async fn remove_node(&self, id: &str, force: bool) -> Result<()>;

    /// `status` adds the counts of tasks.
    async fn services(&self, filters: Filters, status: bool) -> Result<Vec<Service>>;
    async fn service(&self, id: &str, insert_defaults: bool) -> Result<Service>;
    /// `registry_auth` is `X-Registry-Auth` as it came; `query_registry` as in [`UpdateService`].
    async fn create_service(
        &self,
        spec: ServiceSpec,
        registry_auth: String,
        query_registry: bool,
    ) -> Result<ServiceCreateResponse>;
    async fn update_service(
        &self,
        id: &str,
        options: UpdateService,
        spec: ServiceSpec,
    ) -> Result<ServiceUpdateResponse>;
    async fn remove_service(&self, id: &str) -> Result<()>;
    async fn service_logs(&self, id: &str, options: Logs) -> Result<LogStream>;

    async fn tasks(&self, filters: Filters) -> Result<Vec<Task>>;
    async fn task(&self, id: &str) -> Result<Task>;
    async fn task_logs(&self, id: &str, options: Logs) -> Result<LogStream>;

    /// The cluster's networks; those of a daemon itself are `Networks`'.
    async fn networks(&self, filters: Filters) -> Result<Vec<Network>> {
        let _ = filters;
        Ok(Vec::new())
    }
    async fn network(&self, id: &str, verbose: bool) -> Result<Network> {
        let _ = verbose;
        Err(Error::not_found(format!("network {id} not found")))
    }
    async fn create_network(&self, request: NetworkCreateRequest) -> Result<NetworkCreateResponse> {
        let _ = request;
        Err(Error::not_implemented("networks of a cluster"))
    }
    /// What every node says of its part of them.
    async fn examine_networks(&self) -> Result<Vec<Examined>> {
        Ok(Vec::new())
    }
    async fn remove_network(&self, id: &str) -> Result<()> {
        Err(Error::not_found(format!("network {id} not found")))
    }

    async fn secrets(&self, filters: Filters) -> Result<Vec<Secret>> {
        let _ = filters;
        Err(Error::not_implemented("secrets"))
    }
    async fn secret(&self, id: &str) -> Result<Secret> {
        let _ = id;
        Err(Error::not_implemented("secrets"))
    }
    /// Answers the id.
    async fn create_secret(&self, spec: SecretSpec) -> Result<String> {
        let _ = spec;
        Err(Error::not_implemented("secrets"))
    }
    async fn update_secret(&self, id: &str, version: u64, spec: SecretSpec) -> Result<()> {
        let _ = (id, version, spec);
        Err(Error::not_implemented("secrets"))
    }
    async fn remove_secret(&self, id: &str) -> Result<()> {
        let _ = id;
        Err(Error::not_implemented("secrets"))
    }

    async fn configs(&self, filters: Filters) -> Result<Vec<Config>> {
        let _ = filters;
        Err(Error::not_implemented("configs"))
    }
    async fn config(&self, id: &str) -> Result<Config> {
        let _ = id;
        Err(Error::not_implemented("configs"))
    }
    /// Answers the id.
    async fn create_config(&self, spec: ConfigSpec) -> Result<String> {
        let _ = spec;
        Err(Error::not_implemented("configs"))
    }
    async fn update_config(&self, id: &str, version: u64, spec: ConfigSpec) -> Result<()> {
        let _ = (id, version, spec);
        Err(Error::not_implemented("configs"))
    }
    async fn remove_config(&self, id: &str) -> Result<()> {
        let _ = id;
        Err(Error::not_implemented("configs"))
    }
}
