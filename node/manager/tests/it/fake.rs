//! A host that pretends to run containers.

use async_trait::async_trait;
use parking_lot::Mutex;
use shoal_api_wire::images::{
    MeetRequest, MeetResponse, Offer, Piece, ReadRequest, ResolveRequest, ResolveResponse,
};
use shoal_node_agent::{Executor, Exit, LogLine, LogOptions, LogStream, Material, Peers, Started, TaskError};
use shoal_node_manager::host;
use shoal_raft_objects::task::ContainerStatus;
use shoal_raft_objects::{NodeDescription, NodeId, Task, TaskId, Time};
use std::collections::BTreeMap;
use tokio::sync::{mpsc, watch};
use tonic::Status;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    Created,
    Running,
    Ended(i32),
}

pub struct FakeHost {
    name: String,
    pub containers: Mutex<BTreeMap<TaskId, watch::Sender<Life>>>,
    /// The other nodes, once the agent has said.
    pub peers: Mutex<Option<Peers>>,
}

impl FakeHost {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            containers: Mutex::default(),
            peers: Mutex::default(),
        }
    }

    pub fn running(&self) -> Vec<TaskId> {
        let containers = self.containers.lock();
        let running = containers
            .iter()
            .filter(|(_, life)| *life.borrow() == Life::Running);
        running.map(|(id, _)| id.clone()).collect()
    }

    /// The container's process ends.
    pub fn end(&self, task: &TaskId, code: i32) {
        if let Some(life) = self.containers.lock().get(task) {
            life.send_replace(Life::Ended(code));
        }
    }

    fn status(code: i32) -> ContainerStatus {
        ContainerStatus {
            container_id: "c".repeat(64),
            pid: 1,
            exit_code: code,
        }
    }
}

#[async_trait]
impl Executor for FakeHost {
    async fn describe(&self) -> NodeDescription {
        NodeDescription {
            hostname: self.name.clone(),
            os: "linux".into(),
            architecture: "x86_64".into(),
            nano_cpus: 2_000_000_000,
            memory_bytes: 4 << 30,
            engine_version: "test".into(),
            ..Default::default()
        }
    }

    fn meet(&self, peers: Peers) {
        *self.peers.lock() = Some(peers);
    }

    async fn prepare(&self, task: &Task, _: &Material) -> Result<(), TaskError> {
        if task
            .spec
            .container_spec
            .as_ref()
            .is_some_and(|c| c.image == "missing")
        {
            return Err(TaskError::Fatal("No such image: missing".into()));
        }
        let mut containers = self.containers.lock();
        containers
            .entry(task.id.clone())
            .or_insert_with(|| watch::Sender::new(Life::Created));
        Ok(())
    }

    async fn start(&self, task: &Task) -> Result<Started, TaskError> {
        match self.containers.lock().get(&task.id) {
            Some(life) => {
                life.send_replace(Life::Running);
                Ok(Started {
                    container: Self::status(0),
                    ports: Vec::new(),
                })
            }
            None => Err(TaskError::Fatal("no such container".into())),
        }
    }

    async fn wait(&self, task: &Task) -> Result<Exit, TaskError> {
        let life = self.containers.lock().get(&task.id).map(watch::Sender::subscribe);
        let Some(mut life) = life else {
            return Err(TaskError::Fatal("no such container".into()));
        };
        let ended = life.wait_for(|life| matches!(life, Life::Ended(_))).await;
        match ended.map(|life| *life) {
            Ok(Life::Ended(code)) => Ok(Exit {
                code,
                error: None,
                container: Self::status(code),
            }),
            _ => Err(TaskError::Fatal("container was removed".into())),
        }
    }

    async fn shutdown(&self, task: &Task) -> Result<(), TaskError> {
        if let Some(life) = self.containers.lock().get(&task.id) {
            life.send_replace(Life::Ended(143));
        }
        Ok(())
    }

    async fn remove(&self, task: &TaskId) -> Result<(), TaskError> {
        self.containers.lock().remove(task);
        Ok(())
    }

    async fn tasks(&self) -> Result<Vec<TaskId>, TaskError> {
        Ok(self.containers.lock().keys().cloned().collect())
    }

    async fn logs(&self, task: &Task, options: LogOptions) -> Result<mpsc::Receiver<LogLine>, TaskError> {
        let (lines, receiver) = mpsc::channel(8);
        let line = LogLine {
            stream: LogStream::Stdout,
            timestamp: Time(1_700_000_000_000_000_000),
            data: format!("hello from {}\n", task.name()).into(),
        };
        tokio::spawn(async move {
            let _ = lines.send(line).await;
            if options.follow {
                lines.closed().await;
            }
        });
        Ok(receiver)
    }
}

/// Has one image under every name: its id is the host's name.
#[async_trait]
impl host::Images for FakeHost {
    fn knows(&self, node: &NodeId) -> bool {
        self.peers.lock().as_ref().is_some_and(|peers| peers.knows(node))
    }

    async fn resolve(&self, _: ResolveRequest) -> Result<ResolveResponse, Status> {
        Ok(ResolveResponse {
            offer: Some(Offer {
                image_id: self.name.clone(),
                ..Offer::default()
            }),
        })
    }

    async fn meet(&self, caller: &str, _: MeetRequest) -> Result<MeetResponse, Status> {
        Ok(MeetResponse {
            held: vec![caller.to_owned()],
            ..MeetResponse::default()
        })
    }

    async fn read(&self, request: ReadRequest) -> Result<host::BlobPieces, Status> {
        if request.digest == "none" {
            return Err(Status::not_found("no such blob"));
        }
        let broken = (request.digest == "broken").then(|| Err(Status::internal("it broke")));
        let data = match request.digest.as_str() {
            "large" => vec![b'x'; 900_000].into(),
            _ => request.digest.into_bytes().into(),
        };
        let pieces = [
            Piece {
                moved: 7,
                ..Piece::default()
            },
            Piece { data, moved: 0 },
        ];
        let pieces = pieces.map(Ok).into_iter().chain(broken);
        Ok(Box::pin(tokio_stream::iter(pieces)))
    }
}
