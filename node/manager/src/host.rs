//! What the control plane needs of the daemon around it.

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use shoal_api_backend::Duplex;
use shoal_api_wire::images::{
    MeetRequest, MeetResponse, Piece, ReadRequest, ResolveRequest, ResolveResponse,
};
use shoal_node_drivers_certs::{Credentials, Files};
use shoal_raft_objects::{Cluster, NodeDescription, NodeId, Time};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;
use tonic::Status;

/// A manager as others reach it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ManagerAddr {
    pub node: NodeId,
    /// `host:port`
    pub addr: String,
}

/// What an agent is started with.
pub struct AgentSetup {
    pub credentials: Credentials,
    pub files: Files,
    pub state_dir: PathBuf,
    /// Managers to try besides those that the agent remembers.
    pub managers: Vec<ManagerAddr>,
    /// This node's own manager, while it is one.
    pub own_manager: watch::Receiver<Option<String>>,
    /// `host:port` where this node serves its images to others, while it does.
    pub images_addr: watch::Receiver<Option<String>>,
    /// Where other nodes shall send what travels on cluster networks, if not where this node's session comes from.
    pub data_path_addr: String,
}

/// Starts this node's agent, which is another room.
#[async_trait]
pub trait Agents: Send + Sync + 'static {
    /// This host as the scheduler shall see it.
    async fn describe(&self) -> NodeDescription;
    async fn start(&self, setup: AgentSetup) -> std::io::Result<Arc<dyn AgentHandle>>;
}

/// A running agent.
#[async_trait]
pub trait AgentHandle: Send + Sync + 'static {
    fn managers(&self) -> Vec<ManagerAddr>;
    /// Whether this cluster's workers may pass their clients' calls on.
    fn worker_forwarding(&self) -> bool;
    /// What managers last said of the cluster, with the numbers of its nodes and managers. Its id is empty before
    /// one was heard.
    fn cluster(&self) -> (Cluster, u64, u64);
    fn connected(&self) -> watch::Receiver<bool>;
    /// Why this node is not part of its cluster any more, once the managers have said so.
    fn removed(&self) -> watch::Receiver<Option<String>>;
    /// Fetch a new certificate now.
    fn renew(&self);
    /// Containers are left as they are.
    async fn stop(&self);
    /// Says good-bye, stops, and removes every container of a task.
    async fn leave(&self);
}

/// A blob on its way to another node.
pub type BlobPieces = BoxStream<'static, Result<Piece, Status>>;

/// This node's images, for other nodes of its cluster.
#[async_trait]
pub trait Images: Send + Sync + 'static {
    /// Whether the managers have named this node as one of the cluster.
    fn knows(&self, node: &NodeId) -> bool;
    async fn resolve(&self, request: ResolveRequest) -> Result<ResolveResponse, Status>;
    async fn meet(&self, caller: &str, request: MeetRequest) -> Result<MeetResponse, Status>;
    /// The blob's pieces; nobody reading any more ends it.
    async fn read(&self, request: ReadRequest) -> Result<BlobPieces, Status>;
}

/// Serves a client's HTTP connection that another node has passed on. Every request on it is answered here.
pub trait Http: Send + Sync + 'static {
    /// Returns at once; the connection is served in the background until it ends.
    fn serve(&self, connection: Box<dyn Duplex>);
}

/// Docker's events of scope `swarm`.
pub trait Events: Send + Sync + 'static {
    /// `kind` is `node`, `service`, …; `action` is `create`, `update` or `remove`.
    fn emit(&self, kind: &str, action: &str, id: &str, attributes: BTreeMap<String, String>, at: Time);
}
