//! The cluster's nouns: what the cluster decides about, as plain values.
//!
//! A [`Node`], [`Service`], [`Task`], [`Cluster`] and so on, their typed ids, the task state machine, the [`Write`]s
//! that a [`Proposal`] carries into the Raft log, and the one encoding ([`codec`]) that log, snapshots and wire share.
//!
//! Nothing here knows a clock, a disk, a socket or a random source: times and ids are arguments. The crate imports
//! nothing of ours; `raft/store` applies these values, `node/core/cluster` decides over them, `node/manager` turns
//! Docker's JSON into them and back, `node/agent` carries tasks out.
//!
//! Specs use Docker's own field names when serialised (`PascalCase`), so a spec read from the REST API and one kept
//! in the log have one shape and compare structurally.

pub mod cluster;
pub mod codec;
pub mod id;
pub mod image;
pub mod meta;
pub mod network;
pub mod node;
pub mod object;
pub mod proposal;
pub mod secret;
pub mod service;
pub mod task;
pub mod track;

pub use cluster::{CaState, Cluster, ClusterSpec, JoinTokens, RootCa};
pub use id::{
    ClusterId, ConfigId, IdSource, NetworkId, NodeId, RaftId, SecretId, ServiceId, TaskId, VolumeId,
};
pub use image::{HELD_IMAGES_MAX, held_image};
pub use meta::{Annotations, Meta, Time};
pub use network::{Attachment, Network, NetworkSpec, Subnet};
pub use node::{Availability, Membership, Node, NodeDescription, NodeSpec, NodeState, NodeStatus, Role};
pub use object::{Kind, Object};
pub use proposal::{Event, Proposal, Refusal, Write};
pub use secret::{Config, ConfigSpec, Secret, SecretSpec};
pub use service::{
    ContainerSpec, Endpoint, EndpointSpec, PortConfig, RestartPolicy, Service, ServiceMode, ServiceSpec,
    TaskSpec, UpdateConfig, UpdateStatus, VirtualIp,
};
pub use task::{Attached, Task, TaskState, TaskStatus};
pub use track::Track;
