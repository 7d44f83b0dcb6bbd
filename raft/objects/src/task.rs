//! A task: one run of one container of a service on one node. It is assigned once and never moves.

use crate::id::{NetworkId, NodeId, ServiceId, TaskId};
use crate::meta::{Annotations, Meta, Time};
use crate::network::Attachment;
use crate::service::{PortConfig, TaskSpec};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, Ipv6Addr};

/// How far a task has come. States only move forward: the greater one always wins, so reports may arrive late or
/// twice. The gaps are SwarmKit's, which leaves room between states.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u16)]
pub enum TaskState {
    #[default]
    New = 0,
    /// Allocated, waiting for a node.
    Pending = 64,
    Assigned = 192,
    Accepted = 256,
    Preparing = 320,
    Ready = 384,
    Starting = 448,
    /// Running, and healthy where it has a health check.
    Running = 512,
    Complete = 576,
    Shutdown = 640,
    /// Ended with an error after it had started.
    Failed = 704,
    /// Could not be started at all.
    Rejected = 768,
    /// As desired state only: stop it and forget it.
    Remove = 800,
    /// Its node has been gone for so long that nobody waits for it any more.
    Orphaned = 832,
}

impl TaskState {
    /// No more will come from this task.
    pub fn is_terminal(self) -> bool {
        self > TaskState::Running
    }

    /// Docker's name, as in `docker service ps`.
    pub fn name(self) -> &'static str {
        match self {
            TaskState::New => "new",
            TaskState::Pending => "pending",
            TaskState::Assigned => "assigned",
            TaskState::Accepted => "accepted",
            TaskState::Preparing => "preparing",
            TaskState::Ready => "ready",
            TaskState::Starting => "starting",
            TaskState::Running => "running",
            TaskState::Complete => "complete",
            TaskState::Shutdown => "shutdown",
            TaskState::Failed => "failed",
            TaskState::Rejected => "rejected",
            TaskState::Remove => "remove",
            TaskState::Orphaned => "orphaned",
        }
    }
}

/// What the task's owner last said of it.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskStatus {
    pub state: TaskState,
    /// When the owner observed it, by the owner's clock.
    pub timestamp: Time,
    /// Docker's words: "started", "preparing", …
    pub message: String,
    /// Why it is not further: a scheduler's explanation or a container's error.
    pub err: String,
    pub container: Option<ContainerStatus>,
    /// Host-mode ports as they really were bound on the node.
    pub ports: Vec<PortConfig>,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerStatus {
    pub container_id: String,
    pub pid: i32,
    pub exit_code: i32,
}

/// A container of a user's own that is on a network of the cluster. It is a task without a service: its place is given
/// and known like any other's, but no node is told to run anything, and it lasts until its node gives it up.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Attached {
    pub network: NetworkId,
    /// The container's id and name.
    pub container: String,
    pub name: String,
    /// Other names on that network.
    pub aliases: Vec<String>,
    /// The addresses that the user asks for.
    pub address: Option<Ipv4Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address6: Option<Ipv6Addr>,
}

/// See the module's text. The `spec` inside never changes after creation.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Task {
    pub id: TaskId,
    pub meta: Meta,
    pub annotations: Annotations,
    pub service_id: ServiceId,
    /// The service's name and labels when the task was made: names the container.
    pub service: Annotations,
    /// 1-based replica identity of a replicated service; 0 for a global one, whose identity is its node.
    pub slot: u64,
    /// Empty until scheduled (preset for global tasks), then never changes.
    pub node_id: NodeId,
    pub spec: TaskSpec,
    /// `Service::spec_version` that this task was made from.
    pub spec_version: u64,
    pub status: TaskStatus,
    /// Written by managers only; monotonic like the observed state.
    pub desired: TaskState,
    /// Published ports of the service as allocated when the task was made (host mode ones bind on the node).
    pub ports: Vec<PortConfig>,
    /// Its places on cluster networks, allocated before it gets a node.
    pub networks: Vec<Attachment>,
    /// No node sends anything new to it any more, so it may be stopped. Only for tasks that have places on networks.
    pub drained: bool,
    /// Nodes that were up and had not acknowledged that they send nothing more to it when it was let go: they may have sent
    /// something to nobody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unheard: Vec<NodeId>,
    /// When a delayed restart may be promoted from desired `Ready` to `Running`.
    pub start_after: Option<Time>,
    /// How often this slot has been restarted within the policy's window; kept as a number, not as history.
    pub restarts: u64,
    /// When the window that `restarts` counts in began: the first restart that it counts.
    pub restarts_since: Option<Time>,
    /// Made by a rolling update in place of an older task: it occupies one of the update's lanes until it runs, and
    /// its failure counts against the update.
    pub by_update: bool,
    /// For jobs: the iteration of the service that it belongs to.
    pub job_iteration: Option<u64>,
    /// It stands for a container of a user's own.
    pub attached: Option<Attached>,
}

impl Task {
    /// Docker's container and task name: `service.slot.taskid`, or `service.nodeid.taskid` for global services; the
    /// container's own for one that is attached.
    pub fn name(&self) -> String {
        if let Some(attached) = &self.attached {
            return attached.name.clone();
        }
        if self.slot != 0 {
            format!("{}.{}.{}", self.service.name, self.slot, self.id)
        } else {
            format!("{}.{}.{}", self.service.name, self.node_id, self.id)
        }
    }

    /// It counts against its node: wanted there and not yet over.
    pub fn holds_resources(&self) -> bool {
        self.desired <= TaskState::Running && !self.status.state.is_terminal()
    }
}
