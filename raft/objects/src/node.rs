//! A node: one host of the cluster.

use crate::id::{NodeId, RaftId};
use crate::meta::{Meta, Time};
use crate::network::Attachment;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    #[default]
    Worker,
    Manager,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Availability {
    #[default]
    Active,
    /// Gets no new tasks, keeps what it has.
    Pause,
    /// Gets no tasks and gives up what it has.
    Drain,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Membership {
    Pending,
    #[default]
    Accepted,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    #[default]
    Unknown,
    Down,
    Ready,
    Disconnected,
}

/// What a user may change.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeSpec {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    /// The role that the user wants; [`Node::role`] follows once Raft has the member in or out.
    pub role: Role,
    pub availability: Availability,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    pub state: NodeState,
    pub message: String,
    /// The address that the node's session came from.
    pub addr: String,
    /// When `state` last changed.
    pub since: Time,
}

/// What a node says of itself when its session opens.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeDescription {
    pub hostname: String,
    pub os: String,
    /// As Docker's: `x86_64`, `aarch64`.
    pub architecture: String,
    pub nano_cpus: i64,
    pub memory_bytes: i64,
    /// User-defined resources: discrete counts and named sets.
    pub generic: Vec<GenericResource>,
    pub engine_version: String,
    pub engine_labels: BTreeMap<String, String>,
    /// `(type, name)`, for example `("Network", "bridge")`.
    pub plugins: Vec<(String, String)>,
    /// The CA that issued the node's certificate (PEM), its subject and public key (DER): Docker's `TLSInfo`.
    pub trust_root: String,
    pub issuer_subject: Vec<u8>,
    pub issuer_public_key: Vec<u8>,
    /// Where other nodes send what travels on cluster networks; the address of its session if empty.
    pub data_path_addr: String,
    /// The public key of its encrypted data path (base64); empty where its kernel has no such path.
    pub data_path_key: String,
    /// `host:port` where it serves its images to the other nodes; empty while it does not.
    pub images_addr: String,
    /// Images that it has, each as [`held_image`](crate::held_image) numbers it, in order; not all if they are many.
    pub images: Vec<u64>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum GenericResource {
    Discrete { kind: String, value: i64 },
    Named { kind: String, value: String },
}

/// A manager's place in Raft.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ManagerStatus {
    pub raft_id: RaftId,
    /// `host:port` under which the other managers reach it.
    pub addr: String,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    pub id: NodeId,
    pub meta: Meta,
    pub spec: NodeSpec,
    pub role: Role,
    pub membership: Membership,
    pub description: NodeDescription,
    pub status: NodeStatus,
    pub manager: Option<ManagerStatus>,
    /// Serial of the certificate that this node was issued last (hex); older ones of the same node are refused
    /// once a removal or demotion made them void.
    pub certificate_serial: String,
    /// The node's own places on networks: one on the ingress network, over which published ports are answered.
    pub attachments: Vec<Attachment>,
}

impl Node {
    /// Where what travels on cluster networks is sent.
    pub fn data_path(&self) -> &str {
        match self.description.data_path_addr.as_str() {
            "" => &self.status.addr,
            given => given,
        }
    }

    /// Where others can take images from this node, at the moment.
    pub fn images_peer(&self) -> Option<&str> {
        let addr = self.description.images_addr.as_str();
        (self.status.state == NodeState::Ready && !addr.is_empty()).then_some(addr)
    }

    /// As far as the node says.
    pub fn holds_image(&self, name: &str) -> bool {
        let number = crate::image::held_image(name);
        self.description.images.binary_search(&number).is_ok()
    }

    /// May get new tasks as far as the user and its health are concerned.
    pub fn is_schedulable(&self) -> bool {
        self.status.state == NodeState::Ready
            && self.spec.availability == Availability::Active
            && self.membership == Membership::Accepted
    }
}
