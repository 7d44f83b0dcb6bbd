//! The newest status of each task on its way to a manager.
//!
//! Only the newest counts: whatever a task went through within one batch is never sent. A status stays until a
//! manager has said that it is committed.

use parking_lot::Mutex;
use shoal_api_wire::dispatcher::{Status, Statuses};
use shoal_raft_objects::{TaskId, TaskStatus, codec};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::sync::Notify;

/// How long a batch waits for company.
const GATHER: Duration = Duration::from_millis(10);
const BATCH_MAX: usize = 500;

#[derive(Default)]
struct Inner {
    pending: BTreeMap<TaskId, TaskStatus>,
    under_way: HashMap<u64, Vec<(TaskId, TaskStatus)>>,
    sequence: u64,
}

#[derive(Default)]
pub(crate) struct Reporter {
    inner: Mutex<Inner>,
    wake: Notify,
}

impl Reporter {
    pub fn report(&self, task: &TaskId, status: &TaskStatus) {
        let mut inner = self.inner.lock();
        match inner.pending.get(task) {
            Some(known) if known.state > status.state => return,
            _ => inner.pending.insert(task.clone(), status.clone()),
        };
        drop(inner);
        self.wake.notify_one();
    }

    /// Nobody wants to hear of it any more.
    pub fn forget(&self, task: &TaskId) {
        self.inner.lock().pending.remove(task);
    }

    /// The next batch, as soon as there is one. May be dropped while it waits.
    pub async fn batch(&self) -> Statuses {
        loop {
            let waiting = self.wake.notified();
            if !self.inner.lock().pending.is_empty() {
                tokio::time::sleep(GATHER).await;
                if let Some(batch) = self.take() {
                    return batch;
                }
            }
            waiting.await;
        }
    }

    fn take(&self) -> Option<Statuses> {
        let mut inner = self.inner.lock();
        let mut taken = Vec::new();
        while taken.len() < BATCH_MAX
            && let Some(one) = inner.pending.pop_first()
        {
            taken.push(one);
        }
        let statuses: Vec<Status> = taken
            .iter()
            .filter_map(|(task, status)| match codec::encode(status) {
                Ok(bytes) => Some(Status {
                    task_id: task.to_string(),
                    status: bytes.into(),
                }),
                Err(error) => {
                    tracing::error!(%error, %task, "cannot encode a task's status");
                    None
                }
            })
            .collect();
        if statuses.is_empty() {
            return None;
        }
        inner.sequence += 1;
        let sequence = inner.sequence;
        inner.under_way.insert(sequence, taken);
        if !inner.pending.is_empty() {
            self.wake.notify_one();
        }
        Some(Statuses { sequence, statuses })
    }

    pub fn acked(&self, sequence: u64) {
        self.inner.lock().under_way.remove(&sequence);
    }

    /// A new session: what the old one was never told of is told again.
    pub fn restart(&self) {
        let mut inner = self.inner.lock();
        let lost: Vec<_> = std::mem::take(&mut inner.under_way)
            .into_values()
            .flatten()
            .collect();
        for (task, status) in lost {
            match inner.pending.get(&task) {
                Some(known) if known.state >= status.state => {}
                _ => {
                    inner.pending.insert(task, status);
                }
            }
        }
        drop(inner);
        self.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_raft_objects::TaskState;

    fn status(state: TaskState) -> TaskStatus {
        TaskStatus {
            state,
            ..Default::default()
        }
    }

    fn states(batch: &Statuses) -> Vec<TaskState> {
        batch
            .statuses
            .iter()
            .map(|s| codec::decode::<TaskStatus>(&s.status).unwrap().state)
            .collect()
    }

    #[tokio::test]
    async fn only_the_newest_is_sent_and_again_until_acknowledged() {
        let reporter = Reporter::default();
        let task = TaskId::from("t");
        for state in [TaskState::Preparing, TaskState::Running, TaskState::Starting] {
            reporter.report(&task, &status(state));
        }
        let first = reporter.batch().await;
        assert_eq!(states(&first), [TaskState::Running]);
        reporter.report(&task, &status(TaskState::Failed));
        let second = reporter.batch().await;
        reporter.acked(second.sequence);
        // The first got lost; it is told again, for the manager to sort out.
        reporter.restart();
        let again = reporter.batch().await;
        assert_eq!(states(&again), [TaskState::Running]);
        reporter.acked(again.sequence);
        reporter.restart();
        let more = tokio::time::timeout(Duration::from_millis(100), reporter.batch()).await;
        assert!(more.is_err());
    }
}
