//! The conversation with a manager, and finding another one when it ends.

use crate::ground::Changed;
use crate::logs::Logs;
use crate::managers::{ClusterView, ManagerPeer, Managers};
use crate::peers::Peers;
use crate::runner::Shop;
use crate::worker::{Change, Worker};
use shoal_api_wire::channel::MESSAGE_BYTES_MAX;
use shoal_api_wire::dispatcher::dispatcher_client::DispatcherClient;
use shoal_api_wire::dispatcher::{
    self, Applied, Describe, Findings, FromAgent, FromManager, Goodbye, Heartbeat, Hello, change, from_agent,
    from_manager,
};
use shoal_api_wire::removed;
use shoal_node_drivers_certs::{Credentials, Root};
use shoal_raft_objects::{NodeDescription, TaskId, Track, codec};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// The longest pause: short, so that a node that was cut off is back soon, and longer in a large cluster, so that managers
/// that were away are not run over.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
const BACKOFF_MAX_PER_NODE: Duration = Duration::from_millis(1);
const BACKOFF_LIMIT: Duration = Duration::from_secs(4);
/// A manager has so long to greet.
const GREETING: Duration = Duration::from_secs(4);
/// How often the host is looked at again.
const DESCRIBE_EVERY: Duration = Duration::from_secs(20);
/// A manager has so long to take note of a good-bye.
const FAREWELL: Duration = Duration::from_millis(500);
/// Messages to the manager under way.
const QUEUE: usize = 32;
/// Examinations of the host under way.
const EXAMINATIONS: usize = 4;

#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("manager {addr}: {source}")]
    Channel {
        addr: String,
        source: tonic::transport::Error,
    },
    #[error("manager {addr}: {}", source.message())]
    Refused { addr: String, source: tonic::Status },
    #[error("manager {addr} did not greet in time")]
    Greeting { addr: String },
    #[error("manager {addr} ended the session")]
    Ended { addr: String },
    #[error("manager {addr} was silent for too long")]
    Silent { addr: String },
    #[error("manager {addr} sent what cannot be read: {source}")]
    Unreadable { addr: String, source: codec::Error },
}

/// A channel to a manager over this node's own TLS.
pub(crate) fn channel(credentials: &Credentials, addr: &str) -> Result<Channel, tonic::transport::Error> {
    let credentials = credentials.clone();
    shoal_api_wire::channel::lazy(addr, move |addr| {
        let credentials = credentials.clone();
        async move { credentials.connect(&addr).await }
    })
}

pub(crate) struct Session {
    pub credentials: Credentials,
    pub managers: Arc<Managers>,
    /// This node's own manager, while it is one.
    pub own: watch::Receiver<Option<String>>,
    pub worker: Arc<Worker>,
    pub shop: Arc<Shop>,
    pub peers: Peers,
    pub images_addr: watch::Receiver<Option<String>>,
    pub data_path_addr: String,
    pub renew: Arc<Notify>,
    /// True while a manager has greeted and not gone.
    pub connected: watch::Sender<bool>,
    /// Set when the managers say that this node is not part of the cluster any more.
    pub removed: watch::Sender<Option<String>>,
    /// Set before `stop` when the node leaves its cluster.
    pub leaving: CancellationToken,
    pub stop: CancellationToken,
}

impl Session {
    /// One session after the other until the agent stops.
    pub async fn keep(self) {
        let mut pause = BACKOFF_FIRST;
        let mut failed = String::new();
        loop {
            let own = self.own.borrow().clone();
            let mut candidates = self.managers.candidates(own);
            // Whoever just failed us is asked last: a dead host costs a whole timeout.
            candidates.sort_by_key(|addr| *addr == failed);
            for addr in candidates {
                if self.leaving.is_cancelled() {
                    return;
                }
                let ended = tokio::select! {
                    () = self.stop.cancelled() => return,
                    ended = self.once(&addr) => ended,
                };
                let greeted = self.connected.send_replace(false);
                match ended {
                    Ok(()) => {}
                    Err(error) => {
                        tracing::info!(%error, "session ended");
                        if let SessionError::Refused { source, .. } = &error {
                            if removed::is(source) {
                                self.removed.send_replace(Some(source.message().to_owned()));
                                return;
                            }
                            // The certificate is void: of another role than the node's by now, perhaps.
                            if source.code() == tonic::Code::PermissionDenied {
                                self.renew.notify_one();
                            }
                        }
                        failed = addr;
                    }
                }
                if greeted {
                    // It had worked; whoever is next in line should, too.
                    pause = BACKOFF_FIRST;
                    break;
                }
            }
            let jittered = pause.mul_f64(0.5 + 0.5 * rand::random::<f64>());
            let mut own = self.own.clone();
            own.mark_unchanged();
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.leaving.cancelled() => return,
                () = tokio::time::sleep(jittered) => {}
                // Our own manager came up: no need to wait.
                Ok(()) = own.changed() => {}
            }
            pause = (pause * 2).min(backoff_max(self.managers.get().cluster.nodes));
        }
    }

    async fn once(&self, addr: &str) -> Result<(), SessionError> {
        let channel = channel(&self.credentials, addr).map_err(|source| SessionError::Channel {
            addr: addr.to_owned(),
            source,
        })?;
        let mut renewed = self.credentials.renewed();
        renewed.mark_unchanged();
        let (out, messages) = mpsc::channel(QUEUE);
        let mut described = self.describe().await;
        let hello = from_agent::Message::Hello(Hello {
            description: encode(&described),
        });
        // The queue is empty, so this cannot wait.
        let _ = out.send(wrap(hello)).await;
        let mut client = DispatcherClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let refused = |source| SessionError::Refused {
            addr: addr.to_owned(),
            source,
        };
        let opening = client.session(ReceiverStream::new(messages));
        let mut incoming = tokio::time::timeout(GREETING, opening)
            .await
            .map_err(|_| SessionError::Greeting {
                addr: addr.to_owned(),
            })?
            .map_err(refused)?
            .into_inner();
        let greeting = tokio::time::timeout(GREETING, incoming.message())
            .await
            .map_err(|_| SessionError::Greeting {
                addr: addr.to_owned(),
            })?
            .map_err(refused)?;
        let Some(from_manager::Message::Welcome(welcome)) = greeting.and_then(|m| m.message) else {
            return Err(SessionError::Ended {
                addr: addr.to_owned(),
            });
        };
        let beat = Duration::from_millis(welcome.heartbeat_ms.max(50));
        let grace = Duration::from_millis(welcome.grace_ms).max(beat * 2);
        self.welcomed(&welcome);
        self.shop.orders.begin(grace);
        self.shop.reporter.restart();
        self.connected.send_replace(true);
        tracing::debug!(addr, "session open");

        let over = CancellationToken::new();
        let _ends_with_us = over.clone().drop_guard();
        let (findings, mut found) = mpsc::channel(EXAMINATIONS);
        let mut conversation = Conversation {
            findings,
            session: self,
            addr,
            logs: Arc::new(Logs {
                worker: self.worker.clone(),
                shop: self.shop.clone(),
                node: self.credentials.identity().node,
                channel,
                session: over,
                running: Default::default(),
            }),
            gathered: Vec::new(),
            pieces: Changed::new(),
        };
        let mut beats = tokio::time::interval_at(Instant::now() + beat.mul_f64(rand::random()), beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut laid = self.shop.ground.laid();
        let mut offering = self.images_addr.clone();
        let mut looks = tokio::time::interval_at(Instant::now() + DESCRIBE_EVERY, DESCRIBE_EVERY);
        let gone = || SessionError::Ended {
            addr: addr.to_owned(),
        };
        loop {
            tokio::select! {
                message = incoming.message() => match message.map_err(refused)? {
                    Some(message) => conversation.hear(message).await?,
                    None => return Err(gone()),
                },
                Some(findings) = found.recv() => {
                    let message = from_agent::Message::Findings(findings);
                    self.say(&out, message, grace).await.ok_or_else(gone)?;
                }
                statuses = self.shop.reporter.batch() => {
                    let message = from_agent::Message::Statuses(statuses);
                    self.say(&out, message, grace).await.ok_or_else(gone)?;
                }
                Ok(()) = laid.changed() => {
                    let index = *laid.borrow_and_update();
                    if index > 0 {
                        let message = from_agent::Message::Applied(Applied { index });
                        self.say(&out, message, grace).await.ok_or_else(gone)?;
                    }
                }
                _ = beats.tick() => {
                    // Every heartbeat is answered. Leaving early leaves time to find another manager before
                    // this node counts as lost.
                    if self.shop.orders.silence() > beat.mul_f64(2.5) {
                        return Err(SessionError::Silent { addr: addr.to_owned() });
                    }
                    let message = from_agent::Message::Heartbeat(Heartbeat {});
                    self.say(&out, message, grace).await.ok_or_else(gone)?;
                }
                () = async {
                    tokio::select! {
                        _ = looks.tick() => {}
                        Ok(()) = offering.changed() => {}
                    }
                } => {
                    let now = self.describe().await;
                    if now != described {
                        let message = from_agent::Message::Describe(Describe { description: encode(&now) });
                        self.say(&out, message, grace).await.ok_or_else(gone)?;
                        described = now;
                    }
                }
                _ = renewed.changed() => return Ok(()),
                () = self.leaving.cancelled() => {
                    let message = from_agent::Message::Goodbye(Goodbye {});
                    self.say(&out, message, grace).await.ok_or_else(gone)?;
                    drop(out);
                    // The manager ends the stream once it has read everything.
                    let drained = async { while let Ok(Some(_)) = incoming.message().await {} };
                    let _ = tokio::time::timeout(FAREWELL, drained).await;
                    return Ok(());
                }
            }
        }
    }

    async fn say(
        &self,
        out: &mpsc::Sender<FromAgent>,
        message: from_agent::Message,
        patience: Duration,
    ) -> Option<()> {
        out.send_timeout(wrap(message), patience).await.ok()
    }

    fn welcomed(&self, welcome: &dispatcher::Welcome) {
        let cluster = codec::decode(&welcome.cluster).unwrap_or_default();
        self.managers.set(|known| {
            known.worker_forwarding = welcome.worker_forwarding;
            known.cluster = ClusterView {
                cluster,
                nodes: welcome.nodes,
                managers: welcome.managers,
            };
        });
    }

    async fn describe(&self) -> NodeDescription {
        let mut description = self.shop.executor.describe().await;
        let root = self.credentials.root_pem();
        if let Ok(info) = Root::info(&root) {
            description.issuer_subject = info.subject;
            description.issuer_public_key = info.public_key;
        }
        description.trust_root = root;
        description.data_path_addr = self.data_path_addr.clone();
        description.images_addr = self.images_addr.borrow().clone().unwrap_or_default();
        description
    }
}

fn backoff_max(nodes: u64) -> Duration {
    let nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
    let all = BACKOFF_MAX_PER_NODE.checked_mul(nodes).unwrap_or(BACKOFF_LIMIT);
    (BACKOFF_MAX + all).min(BACKOFF_LIMIT)
}

fn wrap(message: from_agent::Message) -> FromAgent {
    FromAgent {
        message: Some(message),
    }
}

fn encode(description: &NodeDescription) -> bytes::Bytes {
    // Only maps with keys that are no strings can fail to encode, and there is none in a description.
    codec::encode(description).unwrap_or_default().into()
}

/// One session's incoming half.
struct Conversation<'a> {
    session: &'a Session,
    addr: &'a str,
    logs: Arc<Logs>,
    /// Parts of a complete set, or of a change, that is still arriving.
    gathered: Vec<Change>,
    pieces: Changed,
    /// What was found when a manager asked.
    findings: mpsc::Sender<Findings>,
}

impl Conversation<'_> {
    async fn hear(&mut self, message: FromManager) -> Result<(), SessionError> {
        let session = self.session;
        session.shop.orders.heard().map_err(|_| SessionError::Silent {
            addr: self.addr.to_owned(),
        })?;
        match message.message {
            Some(from_manager::Message::Assignments(assignments)) => self.assignments(assignments).await?,
            Some(from_manager::Message::Acked(acked)) => session.shop.reporter.acked(acked.sequence),
            Some(from_manager::Message::Managers(list)) => {
                let managers = list.managers.into_iter().map(|m| ManagerPeer {
                    node: m.node_id.into(),
                    addr: m.addr,
                });
                let managers: Vec<_> = managers.collect();
                // A node that knew no manager could never come back.
                if !managers.is_empty() {
                    session.managers.set(|known| known.managers = managers);
                }
            }
            Some(from_manager::Message::Welcome(welcome)) => session.welcomed(&welcome),
            Some(from_manager::Message::Renew(_)) => session.renew.notify_one(),
            Some(from_manager::Message::LogStart(start)) => self.logs.start(start),
            Some(from_manager::Message::LogStop(stop)) => self.logs.stop(&stop.subscription),
            Some(from_manager::Message::Examine(examine)) => self.examine(examine.question),
            Some(from_manager::Message::Peers(list)) => {
                let peers = list.peers.into_iter().map(|p| (p.node_id.into(), p.addr));
                session.peers.set(peers.collect());
            }
            Some(from_manager::Message::Alive(_)) | None => {}
        }
        Ok(())
    }

    /// In the background: it takes some milliseconds, and the session has other things to hear.
    fn examine(&self, question: String) {
        // As many as may wait are under way: whoever asks on asks in vain.
        let Ok(answer) = self.findings.clone().try_reserve_owned() else {
            return;
        };
        let executor = self.session.shop.executor.clone();
        tokio::spawn(async move {
            let (differences, error) = match executor.examine().await {
                Ok(differences) => (differences, String::new()),
                Err(error) => (Vec::new(), error.to_string()),
            };
            answer.send(Findings {
                question,
                differences,
                error,
            });
        });
    }

    async fn assignments(&mut self, message: dispatcher::Assignments) -> Result<(), SessionError> {
        let mut changes = Vec::with_capacity(message.changes.len());
        for change in message.changes {
            match change.change {
                Some(change::Change::Track(bytes)) => {
                    let track: Track = codec::decode(&bytes).map_err(|source| SessionError::Unreadable {
                        addr: self.addr.to_owned(),
                        source,
                    })?;
                    self.pieces.insert(track.key(), Some(Arc::new(track)));
                }
                Some(change::Change::RemoveTrack(key)) => drop(self.pieces.insert(key, None)),
                _ => changes.extend(self.read(change)?),
            }
        }
        let ground = &self.session.shop.ground;
        if !message.complete {
            if message.last {
                // Before the tasks: what they need is asked for first.
                ground.change(std::mem::take(&mut self.pieces), message.index);
            }
            for change in changes {
                self.session.worker.change(change);
            }
            return Ok(());
        }
        self.gathered.append(&mut changes);
        if message.last {
            let pieces = std::mem::take(&mut self.pieces).into_iter();
            let tracks = pieces.filter_map(|(key, track)| Some((key, track?)));
            ground.replace(tracks.collect(), message.index);
            let set = std::mem::take(&mut self.gathered);
            self.session.worker.complete(set).await;
            self.session.shop.orders.synced();
        }
        Ok(())
    }

    fn read(&self, change: dispatcher::Change) -> Result<Option<Change>, SessionError> {
        let unreadable = |source| SessionError::Unreadable {
            addr: self.addr.to_owned(),
            source,
        };
        Ok(match change.change {
            Some(change::Change::Task(bytes)) => {
                Some(Change::Task(codec::decode(&bytes).map_err(unreadable)?))
            }
            Some(change::Change::RemoveTask(id)) => Some(Change::RemoveTask(TaskId::from(id))),
            Some(change::Change::Secret(bytes)) => {
                Some(Change::Secret(codec::decode(&bytes).map_err(unreadable)?))
            }
            Some(change::Change::RemoveSecret(id)) => Some(Change::RemoveSecret(id)),
            Some(change::Change::Config(bytes)) => {
                Some(Change::Config(codec::decode(&bytes).map_err(unreadable)?))
            }
            Some(change::Change::RemoveConfig(id)) => Some(Change::RemoveConfig(id)),
            Some(change::Change::Track(_) | change::Change::RemoveTrack(_)) | None => None,
        })
    }
}
