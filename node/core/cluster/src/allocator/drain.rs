//! Before a task is stopped, it leaves every node's tables, and every node has said so.

use crate::draft::Draft;
use crate::memory::Memory;
use crate::step::earliest;
use crate::task::{is_over, is_wanted};
use shoal_raft_objects::{Task, TaskId, Time};
use std::time::Duration;

/// A node that does not acknowledge in time holds no stop up for longer.
const DRAIN_MAX: Duration = Duration::from_secs(3);

/// The task is to be stopped and nodes may still send to it.
pub(crate) fn is_draining(task: &Task) -> bool {
    !task.networks.is_empty() && !task.drained && !is_wanted(task) && !is_over(task)
}

/// Lets tasks be stopped whose end every node has acknowledged. Answers when the next waits in vain.
pub(crate) fn drain(draft: &mut Draft<'_>, memory: &Memory) -> Option<Time> {
    let acknowledged = memory.acknowledged(draft.state());
    let mut wake_at = None;
    let ids: Vec<TaskId> = memory.draining.iter().cloned().collect();
    for id in ids {
        let Some(task) = draft.state().task(&id).cloned() else {
            continue;
        };
        if !is_draining(&task) || task.node_id.is_empty() {
            continue;
        }
        let until = task.meta.updated_at.after(DRAIN_MAX);
        if acknowledged >= task.meta.touched || until <= draft.now {
            draft.drained(&task);
        } else {
            wake_at = earliest(wake_at, Some(until));
        }
    }
    wake_at
}
