//! What the agent needs of an engine.

use crate::peers::Peers;
use async_trait::async_trait;
use bytes::Bytes;
use shoal_node_core_host::overlay::News;
use shoal_raft_objects::service::PortConfig;
use shoal_raft_objects::task::ContainerStatus;
use shoal_raft_objects::{Config, NodeDescription, Secret, Task, TaskId, Time};
use tokio::sync::mpsc;

/// Why an act did not succeed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TaskError {
    /// It will not succeed: the task is rejected, or failed if it had been started.
    #[error("{0}")]
    Fatal(String),
    /// It may succeed later; it is tried again with growing pauses.
    #[error("{0}")]
    Temporary(String),
}

/// A container that runs.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Started {
    pub container: ContainerStatus,
    /// Host-mode ports as they were bound.
    pub ports: Vec<PortConfig>,
}

/// A container that ended.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Exit {
    pub code: i32,
    /// Docker's words where there are any, for example that it was killed for using too much memory.
    pub error: Option<String>,
    pub container: ContainerStatus,
}

/// What a task refers to and only nodes that run it receive.
#[derive(Clone, Default, Debug)]
pub struct Material {
    pub secrets: Vec<Secret>,
    pub configs: Vec<Config>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogStream {
    Stdout,
    Stderr,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogLine {
    pub stream: LogStream,
    pub timestamp: Time,
    /// With its line end, as the container wrote it.
    pub data: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogOptions {
    pub stdout: bool,
    pub stderr: bool,
    pub follow: bool,
    pub since: Time,
    /// Last lines; nothing = all.
    pub tail: Option<u64>,
}

/// Runs tasks. Every call is idempotent: after a restart of the daemon the agent asks again for what is already
/// done, and the answer is that it is done. The futures of `prepare`, `start` and `wait` may be dropped at any point;
/// `shutdown` is then called and must find and end whatever had been begun.
///
/// A task's container is named [`Task::name`] and carries Docker's labels (`com.docker.swarm.task.id`, `.task.name`,
/// `.service.id`, `.service.name`, `.node.id`, `com.docker.swarm.task` = ``), by which it is found again.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// This host, as the scheduler shall see it. Trust information is filled in by the agent.
    async fn describe(&self) -> NodeDescription;

    /// Takes in what the node hears of the cluster's networks, makes this host's part of them that, and returns once its
    /// kernel has it. Every piece is told once, whether or not the call succeeds. With no change at all the whole host is
    /// compared with what it should be. A network that cannot be had here makes the tasks on it fail, not this call; an error
    /// means that there is another call soon.
    async fn lay(&self, news: News) -> Result<(), TaskError> {
        let _ = news;
        Ok(())
    }

    /// Compares the host with what was laid last. Answers what differs, in words.
    async fn examine(&self) -> Result<Vec<String>, TaskError> {
        Ok(Vec::new())
    }

    /// Given once, before anything else: the other nodes, whose images can be had. Who they are changes inside of it.
    fn meet(&self, peers: Peers) {
        let _ = peers;
    }

    /// Fetches the image and creates the container.
    async fn prepare(&self, task: &Task, material: &Material) -> Result<(), TaskError>;

    /// Starts it, and returns once it runs; where it has a health check, once it is healthy.
    async fn start(&self, task: &Task) -> Result<Started, TaskError>;

    /// Returns when it has ended, at once if it has ended already. A container that does not exist is an error.
    /// One that becomes unhealthy is stopped and has ended with an error.
    async fn wait(&self, task: &Task) -> Result<Exit, TaskError>;

    /// Stops it: its stop signal, its grace period (`StopGracePeriod`, 10 s if absent), then SIGKILL. Nothing of it
    /// runs afterwards. A container that does not exist is stopped.
    async fn shutdown(&self, task: &Task) -> Result<(), TaskError>;

    /// Deletes the container and what belongs to it alone. Stops it first if it runs.
    async fn remove(&self, task: &TaskId) -> Result<(), TaskError>;

    /// Tasks of which this host has containers, running or not, whether or not the agent knows them.
    async fn tasks(&self) -> Result<Vec<TaskId>, TaskError>;

    /// Its log. The receiver ends with the log, or when it is dropped.
    async fn logs(&self, task: &Task, options: LogOptions) -> Result<mpsc::Receiver<LogLine>, TaskError>;
}
