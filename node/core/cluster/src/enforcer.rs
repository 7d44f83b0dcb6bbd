//! What may not stay where it is, and what is given up: tasks on nodes that no longer qualify, are gone, or have been
//! away for too long.

use crate::constraint;
use crate::draft::Draft;
use crate::step::earliest;
use crate::task::{is_assigned, is_over, is_wanted, occupies};
use shoal_raft_objects::{Availability, Node, NodeState, Service, ServiceId, Task, TaskState, Time};
use std::sync::Arc;
use std::time::Duration;

/// A node that has been down for so long is not waited for: its tasks are given up.
const ORPHANED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether a task may not stay on its node: drained, or excluded by the constraints of the service as it is now (a task
/// made from an older spec moves if the new constraints exclude its node). The task runs until its node has stopped
/// it, and holds its resources and ports so long.
pub(crate) fn must_leave(service: &Service, task: &Task, node: &Node) -> Option<Reason> {
    if !(is_wanted(task) && occupies(task)) || node.status.state == NodeState::Down {
        None
    } else if node.spec.availability == Availability::Drain {
        Some(Reason::Drained)
    } else if !constraint::satisfies(node, &service.spec.task_template) {
        Some(Reason::Unfit)
    } else {
        None
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reason {
    Drained,
    Unfit,
}

/// Says on the task why it leaves. Texts are Docker's.
pub(crate) fn explain(draft: &mut Draft<'_>, task: &Task) {
    let mut task = Task::clone(task);
    task.status.message = "task rejected by constraint enforcer".into();
    task.status.err = "assigned node no longer meets constraints".into();
    draft.update_task(task);
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
