//! What the deciders ask of a task, and how one is made.

use crate::allocator;
use crate::draft::Draft;
use shoal_raft_objects::service::ModeKind;
use shoal_raft_objects::{
    Annotations, IdSource, Node, NodeId, NodeState, Service, Task, TaskId, TaskState, Time,
};

/// Managers want it to run (or, for a job, to run to its end).
pub fn is_wanted(task: &Task) -> bool {
    task.desired <= TaskState::Complete
}

/// Nothing more will come from it.
pub fn is_over(task: &Task) -> bool {
    task.status.state.is_terminal()
}

pub(crate) fn is_assigned(task: &Task) -> bool {
    task.status.state >= TaskState::Assigned
}

/// It may still use its node's resources and ports, whatever is wanted of it.
pub(crate) fn occupies(task: &Task) -> bool {
    is_assigned(task) && !is_over(task)
}

/// Nobody waits for what runs there: the node is gone or does not answer.
pub(crate) fn is_lost(node: Option<&Node>) -> bool {
    node.is_none_or(|node| node.status.state == NodeState::Down)
}

/// A new task of the service, for a slot or (global) for a node.
pub(crate) fn new(service: &Service, slot: u64, node: NodeId, now: Time, ids: &mut dyn IdSource) -> Task {
    let job = matches!(
        service.spec.mode.kind(),
        ModeKind::ReplicatedJob { .. } | ModeKind::GlobalJob
    );
    let mut task = Task {
        id: TaskId::draw(ids),
        service_id: service.id.clone(),
        service: Annotations {
            name: service.spec.name.clone(),
            labels: service.spec.labels.clone(),
        },
        slot,
        node_id: node,
        spec: service.spec.task_template.clone(),
        spec_version: service.spec_version,
        desired: if job {
            TaskState::Complete
        } else {
            TaskState::Running
        },
        ports: allocator::ports_of(service),
        job_iteration: job.then_some(service.job_iteration),
        ..Default::default()
    };
    task.status.timestamp = now;
    if allocator::needs_places(service) {
        task.status.message = "created".into();
    } else {
        task.status.state = TaskState::Pending;
        task.status.message = "pending task scheduling".into();
    }
    task
}

/// The task shall end. One that no node has ever seen ends at once.
pub(crate) fn shut_down(draft: &mut Draft<'_>, task: &Task, desired: TaskState) {
    let Some(task) = draft.state().task(&task.id).cloned() else {
        return;
    };
    if is_assigned(&task) {
        draft.desire(&task, desired);
        return;
    }
    let mut task = Task::clone(&task);
    task.desired = task.desired.max(desired);
    task.status.state = TaskState::Shutdown;
    task.status.timestamp = draft.now;
    task.status.message = "shut down before it had a node".into();
    draft.update_task(task);
}

/// Ordered by creation, oldest first; ids make the order total.
pub(crate) fn by_age(a: &Task, b: &Task) -> std::cmp::Ordering {
    (a.meta.created_at, a.spec_version, &a.id).cmp(&(b.meta.created_at, b.spec_version, &b.id))
}
