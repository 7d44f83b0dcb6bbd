//! Statuses of tasks on their way into the log, in batches.
//!
//! A report is acknowledged when it is in the batch, and stays there until it is committed. If this manager dies
//! first, its agents find another one and report whatever the cluster does not know yet.

use crate::ids::now;
use crate::ledger::{Ledger, WriteError};
use parking_lot::Mutex;
use shoal_node_core_cluster::reports::Batch;
use shoal_raft_objects::{NodeId, Proposal, TaskId, TaskStatus, Time, Write};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How long a batch waits for company.
const GATHER: Duration = Duration::from_millis(5);
/// Before a batch that could not be written is tried again.
const RETRY: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(crate) struct Reports {
    batch: Mutex<Batch>,
    wake: Notify,
}

impl Reports {
    pub fn offer(&self, ledger: &Ledger, node: &NodeId, task: &TaskId, status: TaskStatus) {
        if self
            .batch
            .lock()
            .offer(&ledger.state(), node, task, status, now())
        {
            self.wake.notify_one();
        }
    }

    pub async fn run(&self, ledger: Ledger, stop: CancellationToken) {
        let mut wake_at: Option<Time> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => tokio::time::sleep(GATHER).await,
                () = until(wake_at) => {}
            }
            let decision = self.batch.lock().take(now());
            wake_at = decision.wake_at;
            let written = decision.proposals.iter().map(|p| ledger.propose(p));
            let outcomes = tokio::select! {
                () = stop.cancelled() => return,
                outcomes = futures_util::future::join_all(written) => outcomes,
            };
            let mut failed = false;
            for (proposal, outcome) in decision.proposals.iter().zip(outcomes) {
                match outcome {
                    Ok(_) => {}
                    // Statuses are merged or ignored, never refused; nothing to be gained by trying again.
                    Err(WriteError::Refused(refusal)) => {
                        tracing::error!(%refusal, "statuses of tasks were refused")
                    }
                    Err(WriteError::Other(error)) => {
                        tracing::debug!(%error, "statuses of tasks wait");
                        self.put_back(&ledger, proposal);
                        failed = true;
                    }
                }
            }
            if failed {
                tokio::time::sleep(RETRY).await;
                self.wake.notify_one();
            }
        }
    }

    fn put_back(&self, ledger: &Ledger, proposal: &Proposal) {
        let state = ledger.state();
        let mut batch = self.batch.lock();
        for write in &proposal.writes {
            if let Write::Status { task, status } = write
                && let Some(known) = state.task(task)
            {
                batch.offer(&state, &known.node_id, task, status.clone(), proposal.at);
            }
        }
    }
}

/// Sleeps until `at`; for ever without one.
pub(crate) async fn until(at: Option<Time>) {
    match at {
        Some(at) => tokio::time::sleep(at.since(now())).await,
        None => std::future::pending().await,
    }
}
