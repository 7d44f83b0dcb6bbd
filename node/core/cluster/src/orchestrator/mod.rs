//! One service after the other: which tasks it has and which it should have.
//!
//! For one service, in this order: what cannot stay where it is (enforcer), what must be counted against a rolling
//! update before anything replaces it, scale down, restart what ended, scale up, the rolling update's next slots,
//! promotion of tasks that waited for their turn, and the reaper.

mod dirty;
mod global;
mod job;
mod replicated;
mod restart;
mod slot;
mod update;

pub use dirty::is_dirty;
pub use slot::Slot;
pub(crate) use slot::group as slots;

use crate::draft::Draft;
use crate::memory::Memory;
use crate::step::earliest;
use crate::task::{is_over, shut_down};
use crate::{enforcer, reaper};
use shoal_raft_objects::service::ModeKind;
use shoal_raft_objects::{IdSource, Service, ServiceId, Task, TaskState, Time};
use std::sync::Arc;

/// What the parts of one service's reconciliation share.
pub(crate) struct Scene<'d, 's> {
    pub draft: &'d mut Draft<'s>,
    pub memory: &'d mut Memory,
    pub ids: &'d mut dyn IdSource,
}

impl Scene<'_, '_> {
    pub fn now(&self) -> Time {
        self.draft.now
    }

    pub fn tasks(&self, service: &ServiceId) -> Vec<Arc<Task>> {
        self.draft.state().tasks_of_service(service).cloned().collect()
    }

    pub fn tasks_of(&self, slot: &Slot, service: &ServiceId) -> Vec<Arc<Task>> {
        let state = self.draft.state();
        if slot.number != 0 {
            return state.tasks_of_slot(service, slot.number).cloned().collect();
        }
        let of_node = state.tasks_of_node(&slot.node);
        of_node
            .filter(|task| task.service_id == *service)
            .cloned()
            .collect()
    }
}

/// Brings one service a step further; answers when to look at it again if nothing happens until then.
pub(crate) fn reconcile(
    draft: &mut Draft<'_>,
    id: &ServiceId,
    memory: &mut Memory,
    ids: &mut dyn IdSource,
) -> Option<Time> {
    if id.is_empty() {
        return attachments(draft, id);
    }
    let Some(service) = draft.state().service(id).cloned() else {
        orphaned_service(draft, id);
        let wake_at = enforcer::abandon(draft, id);
        reaper::reap(draft, id, 0);
        return wake_at;
    };
    let mut wake_at = enforcer::abandon(draft, id);
    let mut scene = Scene { draft, memory, ids };
    let at = match service.spec.mode.kind() {
        ModeKind::Replicated { replicas } => replicated::reconcile(&mut scene, &service, replicas),
        ModeKind::Global => global::reconcile(&mut scene, &service),
        ModeKind::ReplicatedJob {
            max_concurrent,
            total,
        } => job::replicated(&mut scene, &service, max_concurrent, total),
        ModeKind::GlobalJob => job::global(&mut scene, &service),
    };
    wake_at = earliest(wake_at, at);
    let limit = draft.state().cluster().map_or(5, |c| c.spec.task_history_limit);
    reaper::reap(draft, id, limit);
    wake_at
}

/// Places of users' own containers belong to no service. Their nodes give them up, or are gone themselves.
fn attachments(draft: &mut Draft<'_>, none: &ServiceId) -> Option<Time> {
    let wake_at = enforcer::abandon(draft, none);
    let over: Vec<Arc<Task>> = draft
        .state()
        .tasks_of_service(none)
        .filter(|task| is_over(task))
        .cloned()
        .collect();
    over.iter().for_each(|task| draft.delete_task(task));
    wake_at
}

/// Tasks outlive their service only until they have stopped.
fn orphaned_service(draft: &mut Draft<'_>, id: &ServiceId) {
    let tasks: Vec<_> = draft.state().tasks_of_service(id).cloned().collect();
    for task in tasks.iter().filter(|task| task.desired < TaskState::Remove) {
        shut_down(draft, task, TaskState::Remove);
    }
}

/// The service as the draft has it now; updates of its status during a step are seen by what comes after.
pub(crate) fn current(scene: &Scene<'_, '_>, service: &Service) -> Arc<Service> {
    match scene.draft.state().service(&service.id) {
        Some(service) => service.clone(),
        None => Arc::new(service.clone()),
    }
}
