//! Networks.

use crate::error::Result;
use async_trait::async_trait;
use shoal_api_types::Filters;
use shoal_api_types::network::*;

/// `id` is an id, an unambiguous prefix of one, or a name.
#[async_trait]
pub trait Networks: Send + Sync + 'static {
    async fn list(&self, filters: Filters) -> Result<Vec<Network>>;
    /// `scope` narrows to `local`, `global` or `swarm` when not empty.
    async fn inspect(&self, id: &str, verbose: bool, scope: &str) -> Result<Network>;
    async fn create(&self, request: NetworkCreateRequest) -> Result<NetworkCreateResponse>;
    async fn remove(&self, id: &str) -> Result<()>;
    async fn connect(&self, id: &str, request: NetworkConnectRequest) -> Result<()>;
    async fn disconnect(&self, id: &str, request: NetworkDisconnectRequest) -> Result<()>;
    async fn prune(&self, filters: Filters) -> Result<NetworkPruneReport>;
    /// What differs between what this host should have of the cluster's networks and what its kernel has, in words. Not
    /// Docker's.
    async fn examine(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
    /// The same of every node of the cluster.
    async fn examine_all(&self) -> Result<Vec<Examined>> {
        Ok(Vec::new())
    }
}
