//! What the control plane asks of the daemon around it: an agent, a place for events, somebody who serves passed-on
//! calls; and the engine's system with this node's place in the cluster in it.

use crate::attachments::Attachments;
use crate::executor::TaskRunner;
use crate::seat::Seat;
use async_trait::async_trait;
use parking_lot::Mutex;
use shoal_api_backend::{BoxStream, Duplex, Events, MeasureUsage, Ping, Result, System};
use shoal_api_http::{Peer, Router, serve_duplex};
use shoal_api_types::auth::{AuthConfig, AuthResponse};
use shoal_api_types::event::EventMessage;
use shoal_api_types::system::{DiskUsage, Info, Version};
use shoal_node_agent::{Agent, Executor, ManagerPeer};
use shoal_node_manager::host as asked;
use shoal_raft_objects::{Cluster, NodeDescription, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// Starts this node's agent over this node's engine.
pub struct LocalAgents {
    runner: Arc<TaskRunner>,
}

impl LocalAgents {
    pub fn new(runner: Arc<TaskRunner>) -> Self {
        Self { runner }
    }
}

#[async_trait]
impl asked::Agents for LocalAgents {
    async fn describe(&self) -> NodeDescription {
        self.runner.describe().await
    }

    async fn start(&self, setup: asked::AgentSetup) -> std::io::Result<Arc<dyn asked::AgentHandle>> {
        let managers = setup
            .managers
            .into_iter()
            .map(|m| ManagerPeer {
                node: m.node,
                addr: m.addr,
            })
            .collect();
        let agent = Agent::start(shoal_node_agent::Config {
            credentials: setup.credentials,
            files: setup.files,
            state_dir: setup.state_dir,
            managers,
            own_manager: setup.own_manager,
            images_addr: setup.images_addr,
            data_path_addr: setup.data_path_addr,
            executor: self.runner.clone(),
        })?;
        self.runner.attachments.joined(agent.attachments());
        Ok(Arc::new(LocalAgent {
            agent,
            attachments: self.runner.attachments.clone(),
        }))
    }
}

struct LocalAgent {
    agent: Agent,
    attachments: Attachments,
}

#[async_trait]
impl asked::AgentHandle for LocalAgent {
    fn managers(&self) -> Vec<asked::ManagerAddr> {
        self.agent
            .managers()
            .into_iter()
            .map(|m| asked::ManagerAddr {
                node: m.node,
                addr: m.addr,
            })
            .collect()
    }
    fn worker_forwarding(&self) -> bool {
        self.agent.worker_forwarding()
    }
    fn cluster(&self) -> (Cluster, u64, u64) {
        let view = self.agent.cluster();
        (view.cluster, view.nodes, view.managers)
    }
    fn connected(&self) -> watch::Receiver<bool> {
        self.agent.connected()
    }
    fn removed(&self) -> watch::Receiver<Option<String>> {
        self.agent.removed()
    }
    fn renew(&self) {
        self.agent.renew();
    }
    async fn stop(&self) {
        self.agent.stop().await;
    }
    async fn leave(&self) {
        // While the managers still listen.
        self.attachments.leave().await;
        self.agent.leave().await;
    }
}

/// Serves connections that other nodes pass on with the same API.
pub struct TunnelledApi {
    api: Router,
}

impl TunnelledApi {
    pub fn new(api: Router) -> Self {
        Self { api }
    }
}

impl asked::Http for TunnelledApi {
    fn serve(&self, connection: Box<dyn Duplex>) {
        let peer = Peer {
            node_id: String::new(),
        };
        tokio::spawn(serve_duplex(connection, self.api.clone(), peer));
    }
}

/// Docker's events about the cluster, on the engine's bus.
pub struct SwarmEvents {
    bus: shoal_node_engine::Events,
}

impl SwarmEvents {
    pub fn new(bus: shoal_node_engine::Events) -> Self {
        Self { bus }
    }
}

impl asked::Events for SwarmEvents {
    fn emit(&self, kind: &str, action: &str, id: &str, attributes: BTreeMap<String, String>, _at: Time) {
        self.bus.publish_scoped("swarm", kind, action, id, attributes);
    }
}

/// The engine's system, with the cluster's state in the header that `_ping` carries.
pub struct NodeSystem {
    engine: shoal_node_engine::System,
    swarm: Arc<Seat>,
    troubles: Troubles,
}

/// What keeps the daemon from doing all that it was told to, for `docker info`.
pub type Troubles = Arc<Mutex<Vec<String>>>;

impl NodeSystem {
    pub fn new(engine: shoal_node_engine::System, swarm: Arc<Seat>, troubles: Troubles) -> Self {
        Self {
            engine,
            swarm,
            troubles,
        }
    }
}

#[async_trait]
impl System for NodeSystem {
    fn ping(&self) -> Ping {
        Ping {
            swarm: self.swarm.ping_state(),
            ..self.engine.ping()
        }
    }
    async fn version(&self) -> Result<Version> {
        self.engine.version().await
    }
    async fn info(&self) -> Result<Info> {
        let mut info = self.engine.info().await?;
        for reason in &*self.troubles.lock() {
            info.warnings.push(format!("WARNING: {reason}"));
        }
        Ok(info)
    }
    async fn events(&self, options: Events) -> Result<BoxStream<Result<EventMessage>>> {
        self.engine.events(options).await
    }
    async fn disk_usage(&self, what: MeasureUsage) -> Result<DiskUsage> {
        self.engine.disk_usage(what).await
    }
    async fn auth(&self, auth: AuthConfig) -> Result<AuthResponse> {
        self.engine.auth(auth).await
    }
}
