//! What ended is started again, as the restart policy says.

use super::Scene;
use super::slot::Slot;
use crate::enforcer::{self, Reason};
use crate::step::earliest;
use crate::task::{self, is_lost, is_over, is_wanted, shut_down};
use shoal_raft_objects::service::RestartCondition;
use shoal_raft_objects::{Service, Task, TaskState, Time};
use std::sync::Arc;
use std::time::Duration;

/// Docker's default between the end of a task and the start of the next.
const DELAY: Duration = Duration::from_secs(5);
/// How long a replacement waits for the task before it to stop.
const STOP_MAX: Duration = Duration::from_secs(60);

/// Whether the policy lets this task be followed by another. Depends on the task alone, so the answer for a task that
/// has ended never changes.
pub(crate) fn allowed(task: &Task) -> bool {
    let policy = task.spec.restart_policy.clone().unwrap_or_default();
    match policy.condition.unwrap_or_default() {
        RestartCondition::None => return false,
        RestartCondition::OnFailure if task.status.state == TaskState::Complete => return false,
        RestartCondition::OnFailure | RestartCondition::Any => {}
    }
    // A job that has completed is done, whatever the policy is.
    if task.job_iteration.is_some() && task.status.state == TaskState::Complete {
        return false;
    }
    match policy.max_attempts {
        None | Some(0) => true,
        Some(max) => task.restarts < max || window_is_over(task, ended_at(task)),
    }
}

/// Replaces every task of the slot that has ended, and every one that may not stay where it is.
pub(crate) fn replace_ended(scene: &mut Scene<'_, '_>, service: &Service, slot: &Slot) {
    for old in slot.wanted() {
        let node = scene.draft.state().node(&old.node_id).cloned();
        let placed = task::is_assigned(old);
        let lost = placed && is_lost(node.as_deref());
        let leaves = node
            .as_deref()
            .and_then(|node| enforcer::must_leave(service, old, node));
        let done = old.job_iteration.is_some() && old.status.state == TaskState::Complete;
        if done || !(is_over(old) || lost || leaves.is_some()) {
            continue;
        }
        if is_over(old) && !lost && leaves.is_none() && waits(old, scene.now()) {
            // It ended before its turn (its image cannot be had): the delay is sat out all the same.
            continue;
        }
        if leaves == Some(Reason::Unfit) {
            enforcer::explain(scene.draft, old);
        }
        shut_down(scene.draft, old, TaskState::Shutdown);
        if allowed(old) && slot.wanted().filter(|other| is_same_version(old, other)).count() < 2 {
            let new = replacement(scene, service, old, lost);
            scene.draft.create_task(new);
        }
    }
}

/// Tasks that wait for their turn and whose turn has come: their delay is over and what was in their place has
/// stopped. Answers when the next one is due.
pub(crate) fn promote(scene: &mut Scene<'_, '_>, tasks: &[Arc<Task>]) -> Option<Time> {
    let now = scene.now();
    let early = tasks.iter().filter(|t| is_over(t) && waits(t, now));
    let mut wake_at = early.filter_map(|t| t.start_after).min();
    for task in tasks
        .iter()
        .filter(|t| t.desired == TaskState::Ready && !is_over(t))
    {
        let mut at = task.start_after.unwrap_or_default();
        for before in tasks.iter().filter(|t| is_in_the_way(scene, task, t)) {
            at = at.max(before.meta.updated_at.after(STOP_MAX));
        }
        if at <= scene.now() {
            scene.draft.desire(task, after_waiting(task));
        } else {
            wake_at = earliest(wake_at, Some(at));
        }
    }
    wake_at
}

/// Held back by a delay that is not over.
pub(crate) fn waits(task: &Task, now: Time) -> bool {
    task.desired == TaskState::Ready && task.start_after.is_some_and(|at| at > now)
}

/// What is wanted of a task that need not wait any more.
pub(crate) fn after_waiting(task: &Task) -> TaskState {
    match task.job_iteration {
        Some(_) => TaskState::Complete,
        None => TaskState::Running,
    }
}

/// `old` still runs (or may) where `new` is to take its place.
pub(crate) fn is_in_the_way(scene: &Scene<'_, '_>, new: &Task, old: &Task) -> bool {
    old.slot == new.slot
        && (new.slot != 0 || old.node_id == new.node_id)
        && old.id != new.id
        && !is_wanted(old)
        && task::occupies(old)
        && !is_lost(scene.draft.state().node(&old.node_id).map(|n| &**n))
}

fn replacement(scene: &mut Scene<'_, '_>, service: &Service, old: &Task, lost: bool) -> Task {
    let now = scene.now();
    let mut new = task::new(service, old.slot, global_node(old), now, scene.ids);
    let wanted = new.desired;
    if is_over(old) && !lost {
        let policy = old.spec.restart_policy.clone().unwrap_or_default();
        let delay = policy.delay.map_or(DELAY, nanos);
        if !delay.is_zero() {
            new.desired = TaskState::Ready;
            new.start_after = Some(now.after(delay));
        }
        count(old, &mut new, now);
    } else {
        // The node is to blame, not the task: no delay, and no attempt of the policy is used up.
        new.restarts = old.restarts;
        new.restarts_since = old.restarts_since;
        new.start_after = old.start_after;
        if !lost {
            // It may still be running there for a while.
            new.desired = TaskState::Ready;
        } else if old.desired == TaskState::Ready && old.start_after.is_some_and(|at| at > now) {
            new.desired = TaskState::Ready;
        }
    }
    debug_assert!(new.desired <= wanted);
    new
}

/// The attempts within the window go with the slot, as a number.
fn count(old: &Task, new: &mut Task, now: Time) {
    if old.spec_version != new.spec_version || window_is_over(old, now) || old.restarts == 0 {
        new.restarts = 1;
        new.restarts_since = Some(now);
    } else {
        new.restarts = old.restarts.saturating_add(1);
        new.restarts_since = old.restarts_since;
    }
}

fn window_is_over(task: &Task, at: Time) -> bool {
    let window = task.spec.restart_policy.as_ref().and_then(|p| p.window);
    match (window.map(nanos), task.restarts_since) {
        (Some(window), Some(since)) if !window.is_zero() => at.since(since) > window,
        _ => false,
    }
}

/// When the task ended: its node's word, but never before or after what the managers know themselves.
fn ended_at(task: &Task) -> Time {
    task.status
        .timestamp
        .max(task.meta.created_at)
        .min(task.meta.updated_at.max(task.meta.created_at))
}

fn global_node(task: &Task) -> shoal_raft_objects::NodeId {
    if task.slot == 0 {
        task.node_id.clone()
    } else {
        Default::default()
    }
}

/// During a start-first update a slot has two tasks; each is replaced for itself. Two of one version are one too many.
fn is_same_version(a: &Task, b: &Task) -> bool {
    a.spec_version == b.spec_version
}

fn nanos(n: i64) -> Duration {
    Duration::from_nanos(u64::try_from(n).unwrap_or(0))
}
