//! One step of the leader: everything that is to be decided over one view.

use crate::decision::Decision;
use crate::draft::Draft;
use crate::memory::Memory;
use crate::{allocator, liveness, orchestrator, scheduler};
use shoal_raft_objects::service::ModeKind;
use shoal_raft_objects::{IdSource, ServiceId, Time};
use shoal_raft_store::State;
use std::collections::BTreeSet;

/// Decides over `view` at `now`. The view must contain every proposal of the steps before (each applied or refused),
/// or two steps would decide the same thing twice.
pub fn step(view: &State, now: Time, memory: &mut Memory, ids: &mut dyn IdSource) -> Decision {
    let mut draft = Draft::new(view, now);
    let mut wake_at = liveness::judge(&mut draft, &mut memory.liveness);
    memory.settle_releases(view.applied());
    let acknowledged = memory.acknowledged(view);
    let mut quarantine = std::mem::take(&mut memory.quarantine);
    let mut pools = allocator::Pools::new(&mut quarantine, acknowledged);
    allocator::nodes(&mut draft, &mut pools);
    for object in draft.changed_nodes() {
        memory.nodes.insert(object);
    }
    let full = std::mem::take(&mut memory.all);
    let services = due(&draft, memory, full);
    for id in &services {
        allocator::allocate(&mut draft, &mut pools, id);
        match orchestrator::reconcile(&mut draft, id, memory, ids) {
            Some(at) => memory.timers.insert(id.clone(), at),
            None => memory.timers.remove(id),
        };
    }
    if full {
        memory.fleet = scheduler::Fleet::default();
        memory.waiting = waiting(view);
        memory.draining = view
            .tasks()
            .iter()
            .filter(|task| allocator::is_draining(task))
            .map(|task| task.id.clone())
            .collect();
    }
    allocator::attach(&mut draft, &memory.waiting_for_places(view), &mut pools);
    memory.quarantine = quarantine;
    wake_at = earliest(wake_at, allocator::drain(&mut draft, memory));
    scheduler::place(&mut draft, memory);
    wake_at = earliest(wake_at, memory.timers.values().min().copied());
    Decision {
        proposals: draft.finish(memory.writes_max()),
        wake_at,
    }
}

/// The services to look at: those that changed, those whose time has come, and all that a changed node may concern.
fn due(draft: &Draft<'_>, memory: &mut Memory, full: bool) -> BTreeSet<ServiceId> {
    let state = draft.state();
    let mut services = std::mem::take(&mut memory.services);
    let nodes = std::mem::take(&mut memory.nodes);
    if full {
        memory.timers.clear();
        services.extend(state.services().iter().map(|s| s.id.clone()));
        services.extend(state.services_with_tasks().cloned());
        return services;
    }
    let now = draft.now;
    services.extend(
        memory
            .timers
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(id, _)| id.clone()),
    );
    for node in &nodes {
        services.extend(state.tasks_of_node(node).map(|task| task.service_id.clone()));
    }
    if !nodes.is_empty() {
        let per_node = state
            .services()
            .iter()
            .filter(|s| matches!(s.spec.mode.kind(), ModeKind::Global | ModeKind::GlobalJob));
        services.extend(per_node.map(|s| s.id.clone()));
    }
    services
}

fn waiting(view: &State) -> BTreeSet<shoal_raft_objects::TaskId> {
    view.tasks()
        .iter()
        .filter(|task| task.status.state < shoal_raft_objects::TaskState::Assigned)
        .map(|task| task.id.clone())
        .collect()
}

pub(crate) fn earliest(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
