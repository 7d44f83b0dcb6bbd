//! What agents report, on its way into the log.
//!
//! States that decide something (running, ended, an error) are written at once; those that a task only passes through
//! are written when it stays in them, so that a start costs one write and a slow pull is visible all the same.

use crate::decision::{Decision, Packer};
use crate::step::earliest;
use shoal_raft_objects::{NodeId, TaskId, TaskState, TaskStatus, Time, Write};
use shoal_raft_store::State;
use std::collections::BTreeMap;
use std::time::Duration;

/// A passing state is written once a task has been in it for so long.
const LINGER: Duration = Duration::from_secs(1);

/// Reports that wait to be written: the newest for each task, so bounded by the number of tasks.
#[derive(Clone, Default, Debug)]
pub struct Batch {
    waiting: BTreeMap<TaskId, (Time, TaskStatus)>,
}

impl Batch {
    /// Takes a report of `node` about `task`. False if there is nothing to write: the state says the same already, is
    /// further on, or the task is not that node's (any more). Such a report counts as done.
    pub fn offer(
        &mut self,
        view: &State,
        node: &NodeId,
        task: &TaskId,
        status: TaskStatus,
        now: Time,
    ) -> bool {
        if !is_news(view, node, task, &status) {
            return false;
        }
        let since = match self.waiting.get(task) {
            Some((_, known)) if known.state > status.state => return true,
            Some((since, known)) if known.state == status.state => *since,
            _ => now,
        };
        self.waiting.insert(task.clone(), (since, status));
        true
    }

    /// The reports that are due, as bounded proposals, and when the next will be.
    pub fn take(&mut self, now: Time) -> Decision {
        let mut packer = Packer::new(now, crate::PROPOSAL_WRITES_MAX);
        let mut wake_at = None;
        self.waiting.retain(|task, (since, status)| {
            let due = since.after(LINGER);
            if is_passing(status) && due > now {
                wake_at = earliest(wake_at, Some(due));
                return true;
            }
            packer.add(vec![Write::Status {
                task: task.clone(),
                status: status.clone(),
            }]);
            false
        });
        Decision {
            proposals: packer.finish(),
            wake_at,
        }
    }

    /// When the next report is due.
    pub fn wake_at(&self) -> Option<Time> {
        self.waiting
            .values()
            .map(|(since, status)| {
                if is_passing(status) {
                    since.after(LINGER)
                } else {
                    *since
                }
            })
            .min()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// Whether the report would change the state: `apply` would ignore it otherwise, after it had cost a log entry.
pub fn is_news(view: &State, node: &NodeId, task: &TaskId, status: &TaskStatus) -> bool {
    let Some(task) = view.task(task) else {
        return false;
    };
    // A node speaks for its own tasks only, and cannot send one back to the managers.
    if task.node_id != *node || status.state <= TaskState::Assigned || status.state >= TaskState::Remove {
        return false;
    }
    let known = &task.status;
    if status.state != known.state {
        return status.state > known.state;
    }
    let mut same = known.clone();
    same.timestamp = status.timestamp;
    if status.container.is_none() {
        same.container = None;
    }
    !known.state.is_terminal() && same != *status
}

fn is_passing(status: &TaskStatus) -> bool {
    status.state < TaskState::Running && status.err.is_empty()
}
