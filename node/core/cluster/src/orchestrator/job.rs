//! Jobs: tasks that run to their end and are not started again once they succeeded.

use super::slot;
use super::{Scene, restart};
use crate::orchestrator::global::qualifies;
use crate::task::{self, is_over, is_wanted, shut_down};
use shoal_raft_objects::{Availability, NodeId, Service, Task, TaskState, Time};
use std::collections::BTreeSet;
use std::sync::Arc;

/// `total` completions, at most `max_concurrent` at a time; every completion has a slot of its own.
pub(crate) fn replicated(
    scene: &mut Scene<'_, '_>,
    service: &Service,
    max_concurrent: u64,
    total: u64,
) -> Option<Time> {
    retire_older(scene, service);
    let slots = slot::group(present(scene, service));
    for slot in &slots {
        restart::replace_ended(scene, service, slot);
    }
    let slots = slot::group(present(scene, service));
    let completed = slots.iter().filter(|slot| has_completed(&slot.tasks)).count() as u64;
    let active = slots
        .iter()
        .filter(|slot| {
            slot.wanted()
                .any(|t| !is_over(t) || restart::waits(t, scene.now()))
        })
        .count() as u64;
    let room = max_concurrent.saturating_sub(active);
    let taken: BTreeSet<u64> = slots.iter().map(|slot| slot.number).collect();
    // A slot whose task failed for good is not a completion, but its number is used.
    let given_up = (taken.len() as u64).saturating_sub(completed + active);
    let missing = total.saturating_sub(completed + active + given_up).min(room);
    for number in (1..)
        .filter(|n| !taken.contains(n))
        .take(usize::try_from(missing).unwrap_or(usize::MAX))
    {
        let new = task::new(service, number, NodeId::default(), scene.now(), scene.ids);
        scene.draft.create_task(new);
    }
    restart::promote(scene, &scene.tasks(&service.id))
}

/// Once on every node that qualifies.
pub(crate) fn global(scene: &mut Scene<'_, '_>, service: &Service) -> Option<Time> {
    retire_older(scene, service);
    let nodes: Vec<_> = scene.draft.state().nodes().iter().cloned().collect();
    let slots = slot::group(present(scene, service));
    for slot in &slots {
        match nodes.iter().find(|node| node.id == slot.node) {
            Some(node) if qualifies(service, node) => restart::replace_ended(scene, service, slot),
            _ => {
                for task in slot.wanted().filter(|t| !is_over(t)) {
                    shut_down(scene.draft, task, TaskState::Shutdown);
                }
            }
        }
    }
    for node in nodes
        .iter()
        .filter(|n| n.spec.availability == Availability::Active && qualifies(service, n))
    {
        if !slots
            .iter()
            .any(|slot| slot.node == node.id && slot.counts(service))
        {
            let new = task::new(service, 0, node.id.clone(), scene.now(), scene.ids);
            scene.draft.create_task(new);
        }
    }
    restart::promote(scene, &scene.tasks(&service.id))
}

fn present(scene: &Scene<'_, '_>, service: &Service) -> Vec<Arc<Task>> {
    let mut tasks = scene.tasks(&service.id);
    tasks.retain(|task| task.job_iteration == Some(service.job_iteration));
    tasks
}

/// Tasks of an earlier run of the job give way to the new one.
fn retire_older(scene: &mut Scene<'_, '_>, service: &Service) {
    for task in scene.tasks(&service.id) {
        let older = task.job_iteration != Some(service.job_iteration);
        if older && task.desired < TaskState::Remove && (is_wanted(&task) || is_over(&task)) {
            shut_down(scene.draft, &task, TaskState::Remove);
        }
    }
}

fn has_completed(tasks: &[Arc<Task>]) -> bool {
    tasks.iter().any(|task| task.status.state == TaskState::Complete)
}
