//! The cluster's half of the API, as this node gives it.

use super::Swarm;
use crate::control::Control;
use crate::error;
use async_trait::async_trait;
use shoal_api_backend::{Error, LogStream, Logs, Result, UpdateService, UpdateSwarm};
use shoal_api_types::swarm::*;
use shoal_api_types::{Filters, network};

impl Swarm {
    /// Calls are answered on managers only; who else is asked passes them on before it comes to this.
    fn control(&self) -> Result<Control> {
        let member = self
            .member()
            .ok_or_else(|| Error::unavailable(error::NOT_A_MANAGER))?;
        let manager = member
            .manager()
            .ok_or_else(|| Error::unavailable(error::WORKER))?;
        Ok(Control { manager })
    }
}

#[async_trait]
impl shoal_api_backend::Swarm for Swarm {
    async fn info(&self) -> Info {
        self.describe()
    }

    async fn init(&self, request: InitRequest) -> Result<String> {
        // Goes on when the client hangs up: a place taken by half would be worse.
        let swarm = self.clone();
        finish(tokio::spawn(async move { swarm.start_cluster(request).await })).await
    }

    async fn join(&self, request: JoinRequest) -> Result<()> {
        let swarm = self.clone();
        finish(tokio::spawn(async move { swarm.join_cluster(request).await })).await
    }

    async fn leave(&self, force: bool) -> Result<()> {
        let swarm = self.clone();
        finish(tokio::spawn(async move { swarm.leave_cluster(force).await })).await
    }

    async fn inspect(&self) -> Result<Cluster> {
        self.control()?.inspect().await
    }

    async fn update(&self, options: UpdateSwarm, spec: Spec) -> Result<()> {
        self.control()?.update(options, spec).await
    }

    async fn nodes(&self, filters: Filters) -> Result<Vec<Node>> {
        self.control()?.nodes(filters).await
    }

    async fn node(&self, id: &str) -> Result<Node> {
        self.control()?.node(id).await
    }

    async fn update_node(&self, id: &str, version: u64, spec: NodeSpec) -> Result<()> {
        self.control()?.update_node(id, version, spec).await
    }

    async fn remove_node(&self, id: &str, force: bool) -> Result<()> {
        self.control()?.remove_node(id, force).await
    }

    async fn services(&self, filters: Filters, status: bool) -> Result<Vec<Service>> {
        self.control()?.services(filters, status).await
    }

    async fn service(&self, id: &str, insert_defaults: bool) -> Result<Service> {
        self.control()?.service(id, insert_defaults).await
    }

    async fn create_service(
        &self,
        spec: ServiceSpec,
        registry_auth: String,
        _query_registry: bool,
    ) -> Result<ServiceCreateResponse> {
        self.control()?.create_service(spec, registry_auth).await
    }

    async fn update_service(
        &self,
        id: &str,
        options: UpdateService,
        spec: ServiceSpec,
    ) -> Result<ServiceUpdateResponse> {
        self.control()?.update_service(id, options, spec).await
    }

    async fn remove_service(&self, id: &str) -> Result<()> {
        self.control()?.remove_service(id).await
    }

    async fn service_logs(&self, id: &str, options: Logs) -> Result<LogStream> {
        self.control()?.service_logs(id, options).await
    }

    async fn tasks(&self, filters: Filters) -> Result<Vec<Task>> {
        self.control()?.tasks(filters).await
    }

    async fn task(&self, id: &str) -> Result<Task> {
        self.control()?.task(id).await
    }

    async fn task_logs(&self, id: &str, options: Logs) -> Result<LogStream> {
        self.control()?.task_logs(id, options).await
    }

    async fn networks(&self, filters: Filters) -> Result<Vec<network::Network>> {
        self.control()?.networks(filters).await
    }

    async fn network(&self, id: &str, verbose: bool) -> Result<network::Network> {
        self.control()?.network(id, verbose).await
    }

    async fn create_network(
        &self,
        request: network::NetworkCreateRequest,
    ) -> Result<network::NetworkCreateResponse> {
        self.control()?.create_network(request).await
    }

    async fn examine_networks(&self) -> Result<Vec<network::Examined>> {
        self.control()?.examine().await
    }

    async fn remove_network(&self, id: &str) -> Result<()> {
        self.control()?.remove_network(id).await
    }

    async fn secrets(&self, filters: Filters) -> Result<Vec<Secret>> {
        self.control()?.secrets(filters).await
    }

    async fn secret(&self, id: &str) -> Result<Secret> {
        self.control()?.secret(id).await
    }

    async fn create_secret(&self, spec: SecretSpec) -> Result<String> {
        self.control()?.create_secret(spec).await
    }

    async fn update_secret(&self, id: &str, version: u64, spec: SecretSpec) -> Result<()> {
        self.control()?.update_secret(id, version, spec).await
    }

    async fn remove_secret(&self, id: &str) -> Result<()> {
        self.control()?.remove_secret(id).await
    }

    async fn configs(&self, filters: Filters) -> Result<Vec<Config>> {
        self.control()?.configs(filters).await
    }

    async fn config(&self, id: &str) -> Result<Config> {
        self.control()?.config(id).await
    }

    async fn create_config(&self, spec: ConfigSpec) -> Result<String> {
        self.control()?.create_config(spec).await
    }

    async fn update_config(&self, id: &str, version: u64, spec: ConfigSpec) -> Result<()> {
        self.control()?.update_config(id, version, spec).await
    }

    async fn remove_config(&self, id: &str) -> Result<()> {
        self.control()?.remove_config(id).await
    }
}

async fn finish<T>(work: tokio::task::JoinHandle<Result<T>>) -> Result<T> {
    match work.await {
        Ok(done) => done,
        Err(error) => Err(Error::system(format!(
            "a change of this node's place in a swarm failed: {error}"
        ))),
    }
}
