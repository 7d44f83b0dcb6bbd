//! Nodes of a cluster, each with a directory and a port of its own.

use crate::fake::FakeHost;
use async_trait::async_trait;
use shoal_api_backend::{Duplex, Error, Swarm as _};
use shoal_api_types::Filters;
use shoal_api_types::swarm::{InitRequest, JoinRequest, Service, ServiceSpec, Task};
use shoal_node_agent::{Agent, Executor};
use shoal_node_manager::host::{AgentHandle, AgentSetup, Agents, Events, Http, ManagerAddr};
use shoal_node_manager::{Config, Swarm};
use shoal_raft_objects::{Cluster, NodeDescription, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

struct Host(Arc<FakeHost>);

struct Handle(Agent);

#[async_trait]
impl Agents for Host {
    async fn describe(&self) -> NodeDescription {
        self.0.describe().await
    }

    async fn start(&self, setup: AgentSetup) -> std::io::Result<Arc<dyn AgentHandle>> {
        let managers = setup.managers.into_iter().map(|m| shoal_node_agent::ManagerPeer {
            node: m.node,
            addr: m.addr,
        });
        let agent = Agent::start(shoal_node_agent::Config {
            credentials: setup.credentials,
            files: setup.files,
            state_dir: setup.state_dir,
            managers: managers.collect(),
            own_manager: setup.own_manager,
            images_addr: setup.images_addr,
            data_path_addr: setup.data_path_addr,
            executor: self.0.clone(),
        })?;
        Ok(Arc::new(Handle(agent)))
    }
}

#[async_trait]
impl AgentHandle for Handle {
    fn managers(&self) -> Vec<ManagerAddr> {
        let managers = self.0.managers().into_iter();
        managers
            .map(|m| ManagerAddr {
                node: m.node,
                addr: m.addr,
            })
            .collect()
    }
    fn worker_forwarding(&self) -> bool {
        self.0.worker_forwarding()
    }
    fn cluster(&self) -> (Cluster, u64, u64) {
        let view = self.0.cluster();
        (view.cluster, view.nodes, view.managers)
    }
    fn connected(&self) -> watch::Receiver<bool> {
        self.0.connected()
    }
    fn removed(&self) -> watch::Receiver<Option<String>> {
        self.0.removed()
    }
    fn renew(&self) {
        self.0.renew();
    }
    async fn stop(&self) {
        self.0.stop().await;
    }
    async fn leave(&self) {
        self.0.leave().await;
    }
}

struct Quiet;

impl Events for Quiet {
    fn emit(&self, _: &str, _: &str, _: &str, _: BTreeMap<String, String>, _: Time) {}
}

/// Answers each byte with this node's name.
struct Echo(String);

impl Http for Echo {
    fn serve(&self, mut connection: Box<dyn Duplex>) {
        let name = self.0.clone();
        tokio::spawn(async move {
            while let Ok(1..) = connection.read(&mut [0]).await {
                if connection
                    .write_all(format!("{name}\n").as_bytes())
                    .await
                    .is_err()
                {
                    return;
                }
            }
            let _ = connection.shutdown().await;
        });
    }
}

pub struct Node {
    pub name: String,
    pub swarm: Swarm,
    pub host: Arc<FakeHost>,
    pub addr: String,
    pub dir: tempfile::TempDir,
}

impl Node {
    pub async fn new(name: &str) -> Self {
        let host = Arc::new(FakeHost::new(name));
        let dir = tempfile::tempdir().unwrap();
        let swarm = open(name, &host, dir.path()).await;
        Self {
            name: name.to_owned(),
            swarm,
            host,
            addr: free_addr(),
            dir,
        }
    }

    /// A cluster of this node alone.
    pub async fn init(name: &str) -> Self {
        let node = Self::new(name).await;
        let request = InitRequest {
            listen_addr: node.addr.clone(),
            ..Default::default()
        };
        node.swarm.init(request).await.unwrap();
        node
    }

    pub async fn join_as(&self, remote: &str, token: String) -> Result<(), Error> {
        let request = JoinRequest {
            listen_addr: self.addr.clone(),
            remote_addrs: shoal_api_types::Slice(Some(vec![remote.to_owned()])),
            join_token: token,
            ..Default::default()
        };
        self.swarm.join(request).await
    }

    pub async fn worker_of(name: &str, manager: &Node) -> Self {
        let node = Self::new(name).await;
        let token = manager.swarm.inspect().await.unwrap().join_tokens.worker;
        node.join_as(&manager.addr, token).await.unwrap();
        node
    }

    pub async fn manager_of(name: &str, manager: &Node) -> Self {
        let node = Self::new(name).await;
        let token = manager.swarm.inspect().await.unwrap().join_tokens.manager;
        node.join_as(&manager.addr, token).await.unwrap();
        node
    }

    pub async fn id(&self) -> String {
        self.swarm.info().await.node_id
    }

    /// As after a restart of the daemon: the same directory and host, everything else anew.
    pub async fn reopen(&mut self) {
        self.swarm = open(&self.name, &self.host, self.dir.path()).await;
    }
}

async fn open(name: &str, host: &Arc<FakeHost>, dir: &std::path::Path) -> Swarm {
    let swarm = Swarm::open(Config {
        dir: dir.join("swarm"),
        agents: Arc::new(Host(host.clone())),
        events: Arc::new(Quiet),
        images: Some(host.clone()),
        timing: Default::default(),
    })
    .await;
    swarm.serve_with(Arc::new(Echo(name.to_owned())));
    swarm
}

pub fn free_addr() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

pub fn spec(name: &str, replicas: u64) -> ServiceSpec {
    serde_json::from_value(serde_json::json!({
        "Name": name,
        "TaskTemplate": {
            "ContainerSpec": {"Image": "tiny"},
            "RestartPolicy": {"Condition": "any", "Delay": 10_000_000}
        },
        "Mode": {"Replicated": {"Replicas": replicas}}
    }))
    .unwrap()
}

pub async fn create(node: &Node, spec: ServiceSpec) -> String {
    node.swarm
        .create_service(spec, String::new(), false)
        .await
        .unwrap()
        .id
}

pub async fn service(node: &Node, id: &str) -> Service {
    node.swarm.service(id, false).await.unwrap()
}

pub async fn tasks(node: &Node, service: &str) -> Vec<Task> {
    let mut filters = Filters::new();
    filters.add("service", service);
    node.swarm.tasks(filters).await.unwrap()
}

pub async fn running(node: &Node, service: &str) -> Vec<Task> {
    let mut tasks = tasks(node, service).await;
    tasks.retain(|t| t.status.state == "running" && t.desired_state == "running");
    tasks
}

/// Asks until it is so, and says how long it took.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) -> Duration {
    let begun = Instant::now();
    while !so().await {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "not within 30 s: {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}

/// The node that leads, as `asked` sees it.
pub async fn leader_id(asked: &Node) -> Option<String> {
    let nodes = asked.swarm.nodes(Filters::new()).await.ok()?;
    nodes
        .into_iter()
        .find(|n| n.manager_status.as_ref().is_some_and(|m| m.leader))
        .map(|n| n.id)
}
