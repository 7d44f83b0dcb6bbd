//! Service logs: whoever is asked subscribes on all managers; each asks the nodes whose sessions it holds.

use crate::dispatch::Sessions;
use crate::ledger::Ledger;
use parking_lot::Mutex;
use shoal_api_wire::dispatcher::{LogOptions, LogStart, LogStop, from_manager};
use shoal_api_wire::logs::logs_client::LogsClient;
use shoal_api_wire::logs::{Batch, SubscribeRequest, Target};
use shoal_raft_objects::{NodeId, TaskId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// Batches under way to one follower of logs.
const QUEUE: usize = 16;
/// Another manager must accept a subscription within this, or its nodes are left out.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(3);

type Sink = mpsc::Sender<Result<Batch, Status>>;

struct Subscription {
    sink: Sink,
    /// Nodes of which the end has not been heard.
    open: BTreeSet<NodeId>,
}

#[derive(Clone)]
pub(crate) struct Broker {
    ledger: Ledger,
    subscriptions: Arc<Mutex<HashMap<String, Subscription>>>,
}

/// Lines of many tasks; ends when all have ended. Dropping it ends the subscription everywhere.
pub(crate) type Lines = mpsc::Receiver<Result<Batch, Status>>;

impl Broker {
    pub fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            subscriptions: Arc::default(),
        }
    }

    /// Follows the logs of `tasks` (by node) wherever they are. A node that no manager holds a session of is named in
    /// a last batch with an error, so that what can be had is had.
    pub fn follow(
        &self,
        sessions: &Arc<Sessions>,
        tasks: BTreeMap<NodeId, Vec<TaskId>>,
        options: LogOptions,
    ) -> Lines {
        let (sink, lines) = mpsc::channel(QUEUE);
        let targets = tasks.iter().map(|(node, tasks)| Target {
            node_id: node.to_string(),
            task_ids: tasks.iter().map(ToString::to_string).collect(),
        });
        let request = SubscribeRequest {
            subscription: format!("{:032x}", rand::random::<u128>()),
            targets: targets.collect(),
            options: Some(options),
        };
        let me = self.ledger.consensus().me().addr.clone();
        let managers = crate::dispatch::session::managers(&self.ledger.state());
        let mut answered = Vec::new();
        let here = self.subscribe_here(sessions, request.clone()).into_inner();
        answered.push(tokio::spawn(relay(here, sink.clone())));
        for (_, addr) in managers.into_iter().filter(|(_, addr)| *addr != me) {
            let broker = self.clone();
            let request = request.clone();
            let sink = sink.clone();
            answered.push(tokio::spawn(async move {
                broker.relay_from(&addr, request, sink).await
            }));
        }
        let wanted: BTreeSet<NodeId> = tasks.into_keys().collect();
        tokio::spawn(async move {
            let mut missing = wanted;
            for one in answered {
                // A manager that failed has none of the nodes, as far as its follower can know.
                for node in one.await.unwrap_or_default() {
                    missing.remove(&node);
                }
            }
            if !missing.is_empty() {
                let nodes: Vec<_> = missing.iter().map(NodeId::as_str).collect();
                let last = Batch {
                    done: true,
                    error: format!("no logs from nodes that are not connected: {}", nodes.join(", ")),
                    ..Default::default()
                };
                let _ = sink.send(Ok(last)).await;
            }
        });
        lines
    }

    async fn relay_from(&self, addr: &str, request: SubscribeRequest, sink: Sink) -> BTreeSet<NodeId> {
        let Ok(channel) = self.ledger.peers.channel(addr) else {
            return BTreeSet::new();
        };
        let mut client = LogsClient::new(channel);
        let asked = tokio::time::timeout(SUBSCRIBE_TIMEOUT, client.subscribe(request)).await;
        let Ok(Ok(stream)) = asked else {
            return BTreeSet::new();
        };
        let mut stream = stream.into_inner();
        let mut ended = BTreeSet::new();
        loop {
            tokio::select! {
                () = sink.closed() => return ended,
                batch = stream.message() => match batch {
                    Ok(Some(batch)) => if !pass(batch, &sink, &mut ended).await { return ended },
                    Ok(None) | Err(_) => return ended,
                },
            }
        }
    }

    /// Subscribes with the agents whose sessions are here. The stream ends when all of them have.
    pub fn subscribe_here(
        &self,
        sessions: &Arc<Sessions>,
        request: SubscribeRequest,
    ) -> ReceiverStream<Result<Batch, Status>> {
        let (sink, batches) = mpsc::channel(QUEUE);
        let id = request.subscription;
        let mut open = BTreeSet::new();
        // Known before anybody is told, so that no answer comes too early.
        self.subscriptions.lock().insert(
            id.clone(),
            Subscription {
                sink: sink.clone(),
                open: request
                    .targets
                    .iter()
                    .map(|t| NodeId::from(t.node_id.as_str()))
                    .collect(),
            },
        );
        for target in request.targets {
            let node = NodeId::from(target.node_id);
            let start = LogStart {
                subscription: id.clone(),
                task_ids: target.task_ids,
                options: request.options,
            };
            if sessions.tell(&node, from_manager::Message::LogStart(start)) {
                open.insert(node);
            }
        }
        let told = open.clone();
        if let Some(subscription) = self.subscriptions.lock().get_mut(&id) {
            subscription.open.retain(|node| told.contains(node));
        }
        let broker = self.clone();
        let sessions = sessions.clone();
        tokio::spawn(async move {
            loop {
                let all_ended = broker
                    .subscriptions
                    .lock()
                    .get(&id)
                    .is_none_or(|s| s.open.is_empty());
                if all_ended {
                    break;
                }
                tokio::select! {
                    () = sink.closed() => break,
                    () = tokio::time::sleep(Duration::from_millis(50)) => {}
                }
            }
            broker.subscriptions.lock().remove(&id);
            for node in told {
                let stop = LogStop {
                    subscription: id.clone(),
                };
                sessions.tell(&node, from_manager::Message::LogStop(stop));
            }
        });
        ReceiverStream::new(batches)
    }

    /// Takes in what an agent publishes.
    pub async fn receive(&self, node: &NodeId, mut incoming: Streaming<Batch>) -> Result<(), Status> {
        let mut subscription = String::new();
        let result = loop {
            let mut batch = match incoming.message().await {
                Ok(Some(batch)) => batch,
                Ok(None) => break Ok(()),
                Err(status) => break Err(status),
            };
            subscription.clone_from(&batch.subscription);
            let sink = self
                .subscriptions
                .lock()
                .get(&batch.subscription)
                .map(|subscription| subscription.sink.clone());
            let Some(sink) = sink else {
                break Err(Status::not_found("nobody follows these logs any more"));
            };
            // A node speaks for itself only.
            for line in &mut batch.lines {
                node.as_str().clone_into(&mut line.node_id);
            }
            if batch.done {
                batch.subscription = node.to_string();
            }
            if sink.send(Ok(batch)).await.is_err() {
                break Err(Status::not_found("nobody follows these logs any more"));
            }
        };
        if let Some(known) = self.subscriptions.lock().get_mut(&subscription) {
            known.open.remove(node);
        }
        result
    }
}

/// The last batch of a node carries the node's name in place of the subscription's.
async fn pass(batch: Batch, sink: &Sink, ended: &mut BTreeSet<NodeId>) -> bool {
    if batch.done {
        ended.insert(NodeId::from(batch.subscription.as_str()));
    }
    sink.send(Ok(batch)).await.is_ok()
}

async fn relay(mut from: mpsc::Receiver<Result<Batch, Status>>, sink: Sink) -> BTreeSet<NodeId> {
    let mut ended = BTreeSet::new();
    loop {
        tokio::select! {
            () = sink.closed() => return ended,
            batch = from.recv() => match batch {
                Some(Ok(batch)) => if !pass(batch, &sink, &mut ended).await { return ended },
                Some(Err(_)) | None => return ended,
            },
        }
    }
}
