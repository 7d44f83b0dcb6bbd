//! Logs of tasks on their way to whoever follows a service's logs.

use crate::executor::{LogLine, LogOptions, LogStream};
use crate::runner::Shop;
use crate::worker::Worker;
use parking_lot::Mutex;
use shoal_api_wire::dispatcher::LogStart;
use shoal_api_wire::logs::{Batch, Line, logs_client::LogsClient};
use shoal_raft_objects::{NodeId, TaskId, Time};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

const LINES_PER_BATCH: usize = 256;
const BATCHES: usize = 4;

/// The subscriptions of one session; all end with it.
pub(crate) struct Logs {
    pub worker: Arc<Worker>,
    pub shop: Arc<Shop>,
    pub node: NodeId,
    pub channel: Channel,
    pub session: CancellationToken,
    pub running: Mutex<HashMap<String, CancellationToken>>,
}

impl Logs {
    pub fn start(self: &Arc<Self>, start: LogStart) {
        let stop = self.session.child_token();
        self.running
            .lock()
            .insert(start.subscription.clone(), stop.clone());
        let logs = self.clone();
        tokio::spawn(async move {
            let subscription = start.subscription.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                sent = logs.publish(start) => {
                    if let Err(error) = sent {
                        tracing::debug!(%error, "a log subscription ended");
                    }
                }
            }
            logs.running.lock().remove(&subscription);
        });
    }

    pub fn stop(&self, subscription: &str) {
        if let Some(stop) = self.running.lock().remove(subscription) {
            stop.cancel();
        }
    }

    async fn publish(&self, start: LogStart) -> Result<(), tonic::Status> {
        let (batches, receiver) = mpsc::channel::<Batch>(BATCHES);
        let wanted = start.options.unwrap_or_default();
        let options = LogOptions {
            stdout: wanted.stdout,
            stderr: wanted.stderr,
            follow: wanted.follow,
            since: Time(wanted.since),
            tail: u64::try_from(wanted.tail).ok(),
        };
        let (lines, mut merged) = mpsc::channel::<(TaskId, LogLine)>(LINES_PER_BATCH);
        let mut errors = Vec::new();
        for id in start.task_ids {
            let id = TaskId::from(id);
            let Some(task) = self.worker.task(&id) else {
                continue;
            };
            match self.shop.executor.logs(&task, options).await {
                Ok(mut log) => {
                    let lines = lines.clone();
                    tokio::spawn(async move {
                        while let Some(line) = log.recv().await {
                            if lines.send((id.clone(), line)).await.is_err() {
                                return;
                            }
                        }
                    });
                }
                Err(error) => errors.push(format!("task {id}: {error}")),
            }
        }
        drop(lines);
        let node = self.node.to_string();
        let subscription = start.subscription;
        let pump = async move {
            let mut taken = Vec::with_capacity(LINES_PER_BATCH);
            while merged.recv_many(&mut taken, LINES_PER_BATCH).await > 0 {
                let lines = taken
                    .drain(..)
                    .map(|(task, line)| wire_line(task, &node, line))
                    .collect();
                let batch = Batch {
                    subscription: subscription.clone(),
                    lines,
                    ..Default::default()
                };
                if batches.send(batch).await.is_err() {
                    return;
                }
            }
            let last = Batch {
                subscription,
                done: true,
                error: errors.join("; "),
                ..Default::default()
            };
            // Nobody listens any more: then nobody misses the end.
            let _ = batches.send(last).await;
        };
        let mut client = LogsClient::new(self.channel.clone());
        let (sent, ()) = tokio::join!(client.publish(ReceiverStream::new(receiver)), pump);
        sent.map(|_| ())
    }
}

fn wire_line(task: TaskId, node: &str, line: LogLine) -> Line {
    Line {
        task_id: task.to_string(),
        node_id: node.to_owned(),
        stream: match line.stream {
            LogStream::Stdout => 1,
            LogStream::Stderr => 2,
        },
        timestamp: line.timestamp.0,
        data: line.data,
    }
}
