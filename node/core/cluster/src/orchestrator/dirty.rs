//! Whether a task must be replaced for its service's present spec.

use crate::{allocator, constraint};
use shoal_raft_objects::{ContainerSpec, Node, Service, Task, TaskSpec, TaskState};
use std::borrow::Cow;

/// Structural: a spec that says the same in the same words is the same, whatever version it has. Two kinds of change
/// touch no task: placement that the task's node satisfies as well, and how the image is pulled once it was pulled.
pub fn is_dirty(service: &Service, task: &Task, node: Option<&Node>) -> bool {
    if task.spec_version == service.spec_version {
        return false;
    }
    if task.ports != allocator::ports_of(service) {
        return true;
    }
    let wanted = &service.spec.task_template;
    if *wanted == task.spec {
        return false;
    }
    let mut wanted = wanted.clone();
    if node.is_some_and(|node| constraint::satisfies(node, &wanted)) {
        wanted.placement.clone_from(&task.spec.placement);
    }
    if task.status.state >= TaskState::Ready {
        pull_as(&mut wanted, &task.spec);
    }
    wanted != task.spec
}

/// Takes over how the image is pulled, which is the credentials alone: another image is another container.
fn pull_as(wanted: &mut TaskSpec, made: &TaskSpec) {
    let made: Option<Cow<'_, ContainerSpec>> = made.container_spec.as_ref().map(Cow::Borrowed);
    if let (Some(wanted), Some(made)) = (&mut wanted.container_spec, made) {
        wanted.pull_auth.clone_from(&made.pull_auth);
    }
}
