//! What may not stay where it is: tasks on nodes that no longer qualify, are gone, or have been away for too long.

use crate::constraint;
use crate::draft::Draft;
use crate::step::earliest;
use crate::task::{is_assigned, is_over, is_wanted, occupies};
use shoal_raft_objects::{NodeState, Service, ServiceId, Task, TaskState, Time};
use std::sync::Arc;
use std::time::Duration;

/// A node that has been down for so long is not waited for: its tasks are given up.
const ORPHANED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// For the tasks of one service. The constraints that count are those of the service as it is now: a task made from
/// an older spec is moved if the new constraints exclude its node.
pub(crate) fn enforce(draft: &mut Draft<'_>, service: &Service) -> Option<Time> {
    for task in tasks(draft, &service.id) {
        if !(is_wanted(&task) && occupies(&task)) {
            continue;
        }
        let Some(node) = draft.state().node(&task.node_id).cloned() else {
            continue;
        };
        let down = node.status.state == NodeState::Down;
        if !down && !constraint::satisfies(&node, &service.spec.task_template) {
            // Texts are Docker's.
            let mut task = Task::clone(&task);
            task.status.state = TaskState::Rejected;
            task.status.timestamp = draft.now;
            task.status.message = "task rejected by constraint enforcer".into();
            task.status.err = "assigned node no longer meets constraints".into();
            draft.update_task(task);
        }
    }
    abandon(draft, &service.id)
}

/// Gives up tasks of nodes that are gone or down for a day, so that they do not wait for a report that never comes.
pub(crate) fn abandon(draft: &mut Draft<'_>, service: &ServiceId) -> Option<Time> {
    let mut wake_at = None;
    for task in tasks(draft, service) {
        if task.node_id.is_empty() || is_over(&task) {
            continue;
        }
        let node = draft.state().node(&task.node_id).cloned();
        let due = match &node {
            None => Some(draft.now),
            Some(node) if node.status.state == NodeState::Down && is_assigned(&task) => {
                Some(node.status.since.after(ORPHANED_AFTER))
            }
            Some(_) => None,
        };
        if due.is_some_and(|at| at <= draft.now) {
            let mut task = Task::clone(&task);
            task.status.state = TaskState::Orphaned;
            task.status.timestamp = draft.now;
            task.status.message = "node is gone".into();
            draft.update_task(task);
        } else {
            wake_at = earliest(wake_at, due);
        }
    }
    wake_at
}

fn tasks(draft: &Draft<'_>, service: &ServiceId) -> Vec<Arc<Task>> {
    draft.state().tasks_of_service(service).cloned().collect()
}
