//! One agent's session: what its node shall have, from this manager's replica; what the agent says, to the leader.

use super::sessions::{Entry, Out};
use crate::ledger::WriteError;
use crate::manager::Manager;
use shoal_api_wire::dispatcher::{
    Acked, Alive, Assignments, Change, FromAgent, FromManager, Managers, Peer, Peers, Renew, Welcome, change,
    from_agent, from_manager,
};
use shoal_api_wire::removed;
use shoal_node_core_cluster::assignments::{self, Set};
use shoal_node_core_cluster::concern::Touched;
use shoal_node_core_cluster::liveness;
use shoal_node_drivers_certs::Identity;
use shoal_raft_consensus::State;
use shoal_raft_objects::{
    Cluster, NetworkId, Node, NodeDescription, NodeId, Refusal, TaskId, TaskStatus, Write, codec,
};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Status, Streaming};

/// An agent has so long to say who it is.
const GREETING: Duration = Duration::from_secs(5);
/// Bytes of assignments in one message, about.
const CHUNK_BYTES: usize = 1 << 20;
/// Changes that come fast wait no longer than this for each other.
const REST_MAX: Duration = Duration::from_millis(100);

/// Assignments that wait for their acknowledgement and are remembered one by one.
const UNLAID_MAX: usize = 1024;

/// Serves the session until either side ends it.
pub(crate) async fn run(
    manager: Arc<Manager>,
    caller: Identity,
    addr: String,
    mut incoming: Streaming<FromAgent>,
    out: Out,
) {
    let node = caller.node.clone();
    if !manager.pulse.is_led() {
        let _ = out
            .send(Err(Status::unavailable(
                "this manager has lost touch with its swarm",
            )))
            .await;
        return;
    }
    let entry = manager.sessions.open(&node, out.clone());
    let mut session = Session {
        manager: manager.clone(),
        caller,
        out,
        sent: Set::default(),
        managers: Vec::new(),
        peers: None,
        greeting: None,
        complete: false,
        renewing: false,
        last_sent: 0,
        unlaid: VecDeque::new(),
        laid: 0,
        told: 0,
    };
    let ended = tokio::select! {
        () = manager.stop.cancelled() => Err(Status::unavailable("this manager stops")),
        () = entry.over.cancelled() => Err(Status::unavailable("the session has moved on")),
        ended = session.converse(&mut incoming, &entry, &addr) => ended,
    };
    manager.sessions.close(&node, &entry);
    if let Err(status) = ended {
        tracing::debug!(%node, %status, "session ended");
        // Not awaited: an agent that does not listen is gone.
        let _ = entry.out.try_send(Err(status));
    }
}

struct Session {
    manager: Arc<Manager>,
    caller: Identity,
    out: Out,
    sent: Set,
    managers: Vec<(String, String)>,
    peers: Option<Vec<(String, String)>>,
    greeting: Option<Welcome>,
    complete: bool,
    renewing: bool,
    /// The number of the last assignments that were sent: the log index they are of, or more, so that each has its own.
    last_sent: u64,
    /// Sent and not acknowledged yet: the number, and the log index.
    unlaid: VecDeque<(u64, u64)>,
    /// The log index that the node has acknowledged.
    laid: u64,
    /// What the leader was told last.
    told: u64,
}

impl Session {
    async fn converse(
        &mut self,
        incoming: &mut Streaming<FromAgent>,
        entry: &Entry,
        addr: &str,
    ) -> Result<(), Status> {
        let first = tokio::time::timeout(GREETING, incoming.message())
            .await
            .map_err(|_| Status::deadline_exceeded("no greeting"))??;
        let Some(from_agent::Message::Hello(hello)) = first.and_then(|m| m.message) else {
            return Err(Status::invalid_argument("a session begins with a greeting"));
        };
        self.described(&hello.description, addr)?;
        self.manager.pulse.came(&self.caller.node);
        let mut grace = self.update(&Touched::everything(), 0).await?;
        // Whatever happened since is told again.
        entry.news.told(self.on());
        entry.wake.notify_one();
        let mut heard = Instant::now();
        // What is made anew for each change takes its time when there is much of it; changes meanwhile are taken together.
        let mut rested = Instant::now();
        let mut due = false;
        loop {
            tokio::select! {
                message = incoming.message() => match message? {
                    None => return Ok(()),
                    Some(message) => {
                        heard = Instant::now();
                        self.hear(message, addr).await?;
                    }
                },
                () = entry.wake.notified(), if !due => match entry.news.idle() {
                    Some(index) => self.unconcerned(index),
                    None => due = true,
                },
                () = tokio::time::sleep_until(rested), if due => {
                    due = false;
                    let began = Instant::now();
                    let (touched, seen) = entry.news.take();
                    grace = self.update(&touched.unwrap_or_default(), seen).await?;
                    if entry.news.told(self.on()) {
                        entry.wake.notify_one();
                    }
                    rested = Instant::now() + (began.elapsed() * 2).min(REST_MAX);
                }
                () = tokio::time::sleep_until(heard + grace) => {
                    return Err(Status::deadline_exceeded("the agent was silent for too long"));
                }
            }
        }
    }

    async fn hear(&mut self, message: FromAgent, addr: &str) -> Result<(), Status> {
        let node = self.caller.node.clone();
        self.manager.pulse.heard(&node);
        match message.message {
            Some(from_agent::Message::Heartbeat(_)) => {
                // No answer from a manager that cannot speak for the cluster: the agent shall look for another one.
                if self.manager.pulse.is_led() {
                    self.send(from_manager::Message::Alive(Alive {})).await?;
                }
            }
            Some(from_agent::Message::Statuses(statuses)) => {
                for report in statuses.statuses {
                    let status: TaskStatus =
                        codec::decode(&report.status).map_err(|e| Status::invalid_argument(e.to_string()))?;
                    let task = TaskId::from(report.task_id);
                    self.manager
                        .reports
                        .offer(&self.manager.ledger, &node, &task, status);
                }
                let sequence = statuses.sequence;
                self.send(from_manager::Message::Acked(Acked { sequence }))
                    .await?;
            }
            Some(from_agent::Message::Describe(describe)) => self.described(&describe.description, addr)?,
            Some(from_agent::Message::Applied(applied)) => {
                let is_laid = |sent: &&(u64, u64)| sent.0 <= applied.index;
                let count = self.unlaid.iter().take_while(is_laid).count();
                for (_, index) in self.unlaid.drain(..count) {
                    self.laid = self.laid.max(index);
                }
                self.tell_laid();
            }
            Some(from_agent::Message::Findings(findings)) => self.manager.examiner.found(&node, findings),
            Some(from_agent::Message::Goodbye(_)) => self.manager.pulse.left(&node),
            Some(from_agent::Message::Hello(_)) | None => {}
        }
        Ok(())
    }

    /// Nothing up to this index concerns the node.
    fn unconcerned(&mut self, index: u64) {
        if self.complete {
            self.sent.index = self.sent.index.max(index);
            self.tell_laid();
        }
    }

    /// The networks that the node was told of.
    fn on(&self) -> BTreeSet<NetworkId> {
        self.sent.networks()
    }

    /// Sends whatever differs from what was sent before, as far as it was touched up to log index `seen`. Answers the grace that
    /// holds now.
    async fn update(&mut self, touched: &Touched, seen: u64) -> Result<Duration, Status> {
        let state = self.manager.ledger.state();
        let grace = liveness::grace(&state);
        let Some(node) = state.node(&self.caller.node) else {
            // A replica that lags behind may not know it yet; one that did know it says that it was removed.
            if self.complete {
                return Err(removed::status(self.caller.node.as_str()));
            }
            return Err(Status::unavailable("this manager does not know the node yet"));
        };
        let greeting = welcome(&state, grace);
        if self.greeting.as_ref() != Some(&greeting) {
            self.send(from_manager::Message::Welcome(greeting.clone()))
                .await?;
            self.greeting = Some(greeting);
        }
        let managers = managers(&state);
        if managers != self.managers {
            let list = managers
                .iter()
                .map(|(node_id, addr)| shoal_api_wire::dispatcher::Manager {
                    node_id: node_id.clone(),
                    addr: addr.clone(),
                });
            let list = Managers {
                managers: list.collect(),
            };
            self.send(from_manager::Message::Managers(list)).await?;
            self.managers = managers;
        }
        // Before the tasks, which may need their images from them.
        let peers: Vec<_> = (state.nodes().iter())
            .filter_map(|n| Some((n.id.to_string(), n.images_peer()?.to_owned())))
            .collect();
        if self.peers.as_ref() != Some(&peers) {
            let list = peers.iter().map(|(node_id, addr)| Peer {
                node_id: node_id.clone(),
                addr: addr.clone(),
            });
            let list = Peers {
                peers: list.collect(),
            };
            self.send(from_manager::Message::Peers(list)).await?;
            self.peers = Some(peers);
        }
        if node.role != self.caller.role && !self.renewing {
            self.renewing = true;
            self.send(from_manager::Message::Renew(Renew {})).await?;
        }
        if !self.complete {
            let set = assignments::of_node(&state, &self.caller.node);
            self.assign(set.complete(), set.index, true).await?;
            self.complete = true;
            self.sent = set;
            return Ok(grace);
        }
        let changes = assignments::renew(&state, &self.caller.node, &mut self.sent, touched, seen);
        if !changes.is_empty() {
            self.assign(changes, self.sent.index, false).await?;
        }
        self.tell_laid();
        Ok(grace)
    }

    /// A node that has carried out all that was sent to it knows the networks as they are in the state that was looked at
    /// last: nothing in between concerned it.
    fn tell_laid(&mut self) {
        let index = match self.unlaid.is_empty() {
            true => self.sent.index,
            false => self.laid,
        };
        if index > self.told {
            self.told = index;
            self.manager.pulse.laid(&self.caller.node, index);
        }
    }

    async fn assign(
        &mut self,
        changes: Vec<assignments::Change>,
        index: u64,
        complete: bool,
    ) -> Result<(), Status> {
        self.last_sent = index.max(self.last_sent + 1);
        self.unlaid.push_back((self.last_sent, index));
        if self.unlaid.len() > UNLAID_MAX {
            // Later ones speak for it.
            self.unlaid.pop_front();
        }
        let index = self.last_sent;
        let mut chunk = Vec::new();
        let mut bytes = 0;
        for change in changes {
            let (change, size) = wire_change(change)?;
            if bytes + size > CHUNK_BYTES && !chunk.is_empty() {
                let part = Assignments {
                    complete,
                    last: false,
                    index,
                    changes: std::mem::take(&mut chunk),
                };
                self.send(from_manager::Message::Assignments(part)).await?;
                bytes = 0;
            }
            bytes += size;
            chunk.push(change);
        }
        let last = Assignments {
            complete,
            last: true,
            index,
            changes: chunk,
        };
        self.send(from_manager::Message::Assignments(last)).await
    }

    async fn send(&self, message: from_manager::Message) -> Result<(), Status> {
        let message = FromManager {
            message: Some(message),
        };
        self.out
            .send(Ok(message))
            .await
            .map_err(|_| Status::cancelled("the agent is gone"))
    }

    /// Writes the node's description down if it is news, in the background: the session does not wait for it.
    fn described(&self, description: &[u8], addr: &str) -> Result<(), Status> {
        let description: NodeDescription =
            codec::decode(description).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let manager = self.manager.clone();
        let node = self.caller.node.clone();
        let addr = addr.to_owned();
        tokio::spawn(async move {
            let stop = manager.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = describe(&manager, &node, description, addr) => {}
            }
        });
        Ok(())
    }
}

async fn describe(manager: &Manager, node: &NodeId, description: NodeDescription, addr: String) {
    loop {
        let state = manager.ledger.state();
        let Some(known) = state.node(node) else { return };
        if known.description == description && known.status.addr == addr {
            return;
        }
        let mut changed = Node::clone(known);
        let touched = changed.meta.touched;
        changed.description = description.clone();
        changed.status.addr = addr.clone();
        let write = Write::Update {
            object: changed.into(),
            touched,
        };
        match manager.ledger.write(vec![write]).await {
            Ok(_) => return,
            Err(WriteError::Refused(Refusal::Stale { .. })) => {
                // This replica learns of the change that came between.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(WriteError::Refused(_)) => return,
            Err(WriteError::Other(error)) => {
                tracing::debug!(%error, %node, "the node's description waits");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

fn welcome(state: &State, grace: Duration) -> Welcome {
    let spec = state.cluster().map(|c| c.spec.clone()).unwrap_or_default();
    let mut shown = state.cluster().map(|c| Cluster::clone(c)).unwrap_or_default();
    shown.ca.root.key_pem.clear();
    shown.ca.rotation = None;
    shown.tokens = Default::default();
    shown.unlock_key = None;
    shown.revoked.clear();
    Welcome {
        // Nothing in it can fail to be encoded.
        cluster: codec::encode(&shown).unwrap_or_default().into(),
        nodes: state.nodes().len() as u64,
        managers: managers(state).len() as u64,
        heartbeat_ms: u64::try_from(spec.heartbeat_period / 1_000_000).unwrap_or(1000),
        grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
        worker_forwarding: spec.worker_forwarding,
    }
}

pub(crate) fn managers(state: &State) -> Vec<(String, String)> {
    let managers = state
        .nodes()
        .iter()
        .filter_map(|n| Some((n.id.to_string(), n.manager.as_ref()?.addr.clone())));
    managers.collect()
}

fn wire_change(change: assignments::Change) -> Result<(Change, usize), Status> {
    fn encoded<T: serde::Serialize>(value: &T) -> Result<bytes::Bytes, Status> {
        codec::encode(value)
            .map(Into::into)
            .map_err(|e| Status::internal(e.to_string()))
    }
    let change = match change {
        assignments::Change::Track(track) => change::Change::Track(encoded(track.as_ref())?),
        assignments::Change::RemoveTrack(key) => change::Change::RemoveTrack(key),
        assignments::Change::Task(task) => change::Change::Task(encoded(task.as_ref())?),
        assignments::Change::Secret(secret) => change::Change::Secret(encoded(secret.as_ref())?),
        assignments::Change::Config(config) => change::Change::Config(encoded(config.as_ref())?),
        assignments::Change::RemoveTask(id) => change::Change::RemoveTask(id.to_string()),
        assignments::Change::RemoveSecret(id) => change::Change::RemoveSecret(id.to_string()),
        assignments::Change::RemoveConfig(id) => change::Change::RemoveConfig(id.to_string()),
    };
    let size = match &change {
        change::Change::Task(bytes)
        | change::Change::Secret(bytes)
        | change::Change::Config(bytes)
        | change::Change::Track(bytes) => bytes.len(),
        change::Change::RemoveTask(id)
        | change::Change::RemoveTrack(id)
        | change::Change::RemoveSecret(id)
        | change::Change::RemoveConfig(id) => id.len(),
    };
    Ok((Change { change: Some(change) }, size + 16))
}
