//! This node's seat in its swarm. One that cannot be taken at start because its address or port is not to be had is tried
//! again: somebody else may hold the port for a while, or the address may come later. Meanwhile `docker info` says why.

use async_trait::async_trait;
use parking_lot::RwLock;
use shoal_api_backend::{
    Forwarding, LogStream, Logs, Result, Route, Swarm as Api, UpdateService, UpdateSwarm,
};
use shoal_api_types::swarm::*;
use shoal_api_types::{Filters, network};
use shoal_node_manager::host::Http;
use shoal_node_manager::{Config as SwarmConfig, Swarm};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Between attempts: the first pause, doubled up to the last.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How the trouble that passes by itself begins.
const CANNOT_LISTEN: &str = "cannot listen on ";

pub struct Seat {
    swarm: RwLock<Swarm>,
    config: Box<dyn Fn() -> SwarmConfig + Send + Sync>,
    http: OnceLock<Arc<dyn Http>>,
    /// A seat is not given up while it is tried for.
    changing: tokio::sync::Mutex<()>,
    ended: AtomicBool,
}

impl Seat {
    /// Takes the seat that this node had, if it had one. `config` says how, for each attempt.
    pub async fn open(config: impl Fn() -> SwarmConfig + Send + Sync + 'static) -> Arc<Self> {
        let swarm = Swarm::open(config()).await;
        Arc::new(Self {
            swarm: RwLock::new(swarm),
            config: Box::new(config),
            http: OnceLock::new(),
            changing: tokio::sync::Mutex::default(),
            ended: AtomicBool::new(false),
        })
    }

    /// Who serves the connections that other nodes pass on. Given once.
    pub fn serve_with(&self, http: Arc<dyn Http>) {
        self.now().serve_with(http.clone());
        let _ = self.http.set(http);
    }

    /// Tries again until the seat is taken or given up.
    pub async fn insist(&self) {
        let mut pause = PAUSE;
        while self.cannot_listen().await {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            let _alone = self.changing.lock().await;
            if self.ended.load(Ordering::Relaxed) || !self.cannot_listen().await {
                return;
            }
            let swarm = Swarm::open((self.config)()).await;
            if let Some(http) = self.http.get() {
                swarm.serve_with(http.clone());
            }
            *self.swarm.write() = swarm;
        }
    }

    pub fn ping_state(&self) -> String {
        self.now().ping_state()
    }

    /// The seat is kept for the next start. An attempt under way ends first.
    pub async fn shutdown(&self) {
        let _alone = self.changing.lock().await;
        self.ended.store(true, Ordering::Relaxed);
        self.now().shutdown().await;
    }

    fn now(&self) -> Swarm {
        self.swarm.read().clone()
    }

    async fn cannot_listen(&self) -> bool {
        self.now().info().await.error.starts_with(CANNOT_LISTEN)
    }
}

#[async_trait]
impl Forwarding for Seat {
    async fn route(&self, write: bool) -> Route {
        self.now().route(write).await
    }
}

#[async_trait]
impl Api for Seat {
    async fn info(&self) -> Info {
        self.now().info().await
    }
    async fn init(&self, request: InitRequest) -> Result<String> {
        self.now().init(request).await
    }
    async fn join(&self, request: JoinRequest) -> Result<()> {
        self.now().join(request).await
    }
    async fn leave(&self, force: bool) -> Result<()> {
        let _alone = self.changing.lock().await;
        self.now().leave(force).await
    }
    async fn inspect(&self) -> Result<Cluster> {
        self.now().inspect().await
    }
    async fn update(&self, options: UpdateSwarm, spec: Spec) -> Result<()> {
        self.now().update(options, spec).await
    }
    async fn unlock_key(&self) -> Result<UnlockKeyResponse> {
        self.now().unlock_key().await
    }
    async fn unlock(&self, request: UnlockRequest) -> Result<()> {
        self.now().unlock(request).await
    }
    async fn nodes(&self, filters: Filters) -> Result<Vec<Node>> {
        self.now().nodes(filters).await
    }
    async fn node(&self, id: &str) -> Result<Node> {
        self.now().node(id).await
    }
    async fn update_node(&self, id: &str, version: u64, spec: NodeSpec) -> Result<()> {
        self.now().update_node(id, version, spec).await
    }
    async fn remove_node(&self, id: &str, force: bool) -> Result<()> {
        self.now().remove_node(id, force).await
    }
    async fn services(&self, filters: Filters, status: bool) -> Result<Vec<Service>> {
        self.now().services(filters, status).await
    }
    async fn service(&self, id: &str, insert_defaults: bool) -> Result<Service> {
        self.now().service(id, insert_defaults).await
    }
    async fn create_service(
        &self,
        spec: ServiceSpec,
        registry_auth: String,
        query_registry: bool,
    ) -> Result<ServiceCreateResponse> {
        self.now()
            .create_service(spec, registry_auth, query_registry)
            .await
    }
    async fn update_service(
        &self,
        id: &str,
        options: UpdateService,
        spec: ServiceSpec,
    ) -> Result<ServiceUpdateResponse> {
        self.now().update_service(id, options, spec).await
    }
    async fn remove_service(&self, id: &str) -> Result<()> {
        self.now().remove_service(id).await
    }
    async fn service_logs(&self, id: &str, options: Logs) -> Result<LogStream> {
        self.now().service_logs(id, options).await
    }
    async fn tasks(&self, filters: Filters) -> Result<Vec<Task>> {
        self.now().tasks(filters).await
    }
    async fn task(&self, id: &str) -> Result<Task> {
        self.now().task(id).await
    }
    async fn task_logs(&self, id: &str, options: Logs) -> Result<LogStream> {
        self.now().task_logs(id, options).await
    }
    async fn networks(&self, filters: Filters) -> Result<Vec<network::Network>> {
        self.now().networks(filters).await
    }

    async fn network(&self, id: &str, verbose: bool) -> Result<network::Network> {
        self.now().network(id, verbose).await
    }

    async fn create_network(
        &self,
        request: network::NetworkCreateRequest,
    ) -> Result<network::NetworkCreateResponse> {
        self.now().create_network(request).await
    }

    async fn examine_networks(&self) -> Result<Vec<network::Examined>> {
        self.now().examine_networks().await
    }

    async fn remove_network(&self, id: &str) -> Result<()> {
        self.now().remove_network(id).await
    }

    async fn secrets(&self, filters: Filters) -> Result<Vec<Secret>> {
        self.now().secrets(filters).await
    }
    async fn secret(&self, id: &str) -> Result<Secret> {
        self.now().secret(id).await
    }
    async fn create_secret(&self, spec: SecretSpec) -> Result<String> {
        self.now().create_secret(spec).await
    }
    async fn update_secret(&self, id: &str, version: u64, spec: SecretSpec) -> Result<()> {
        self.now().update_secret(id, version, spec).await
    }
    async fn remove_secret(&self, id: &str) -> Result<()> {
        self.now().remove_secret(id).await
    }
    async fn configs(&self, filters: Filters) -> Result<Vec<Config>> {
        self.now().configs(filters).await
    }
    async fn config(&self, id: &str) -> Result<Config> {
        self.now().config(id).await
    }
    async fn create_config(&self, spec: ConfigSpec) -> Result<String> {
        self.now().create_config(spec).await
    }
    async fn update_config(&self, id: &str, version: u64, spec: ConfigSpec) -> Result<()> {
        self.now().update_config(id, version, spec).await
    }
    async fn remove_config(&self, id: &str) -> Result<()> {
        self.now().remove_config(id).await
    }
}

#[cfg(test)]
mod tests {
    use shoal_node_manager::SwarmError;

    #[test]
    fn the_trouble_that_passes_is_known_by_its_words() {
        let taken = SwarmError::Listen {
            addr: "0.0.0.0:2377".into(),
            source: std::io::ErrorKind::AddrInUse.into(),
        };
        assert!(taken.to_string().starts_with(super::CANNOT_LISTEN));
        let removed = SwarmError::Removed("node removed".into());
        assert!(!removed.to_string().starts_with(super::CANNOT_LISTEN));
    }
}
