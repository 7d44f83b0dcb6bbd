//! Ended tasks are kept as history, a few per slot, and then forgotten.

use crate::draft::Draft;
use crate::orchestrator;
use crate::task::{is_assigned, is_over, is_wanted};
use shoal_raft_objects::{ServiceId, Task, TaskState};
use std::sync::Arc;

/// Deletes tasks of one service: what is to be removed, as soon as it has stopped; of the rest, per slot, the oldest
/// that have ended, until the slot has `limit` tasks (a negative limit keeps everything).
pub(crate) fn reap(draft: &mut Draft<'_>, service: &ServiceId, limit: i64) {
    let tasks: Vec<Arc<Task>> = draft.state().tasks_of_service(service).cloned().collect();
    for slot in orchestrator::slots(tasks) {
        let mut left = slot.tasks.len();
        let (removed, history): (Vec<_>, Vec<_>) = slot
            .tasks
            .iter()
            .partition(|task| task.desired == TaskState::Remove);
        for task in removed
            .into_iter()
            .filter(|task| is_over(task) || !is_assigned(task))
        {
            draft.delete_task(task);
            left -= 1;
        }
        let Ok(limit) = usize::try_from(limit) else {
            continue;
        };
        // A replica that has ended and is meant to stay ended is known by its last task.
        let rested = slot.rested().map(|task| task.id.clone());
        for task in history.into_iter().filter(|t| is_over(t) && !is_wanted(t)) {
            if left <= limit {
                break;
            }
            if rested.as_ref() == Some(&task.id) {
                continue;
            }
            draft.delete_task(task);
            left -= 1;
        }
    }
}
