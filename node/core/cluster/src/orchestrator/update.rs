//! A rolling update: slots whose task is not what the service now says are replaced, a few at a time.
//!
//! There is no updater that could be lost: how far an update has come is read off the tasks each time. A slot that the
//! update has taken in hand holds a task marked `by_update`; until that task runs (and for the configured delay
//! after), it occupies one of `parallelism` lanes. Scaling during an update changes the set of slots and nothing else.

use super::slot::Slot;
use super::{Scene, current, is_dirty, restart};
use crate::step::earliest;
use crate::task::{self, is_over, is_wanted, shut_down};
use shoal_raft_objects::service::UpdateState;
use shoal_raft_objects::{NodeId, Service, Task, TaskState, Time, UpdateConfig, UpdateStatus};
use std::time::Duration;

/// Docker's default time that a new task is watched for failure.
const MONITOR: Duration = Duration::from_secs(5);

struct Plan {
    lanes: usize,
    delay: Duration,
    monitor: Duration,
    start_first: bool,
    action: Action,
    ratio_max: f32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Pause,
    Continue,
    Rollback,
}

/// Tasks of the update that ended while they were watched count against it; past the ratio the update stops or turns
/// back. To be asked before anything replaces those tasks.
pub(crate) fn count_failures(scene: &mut Scene<'_, '_>, service: &Service) {
    let tasks = scene.tasks(&service.id);
    let under_way = is_under_way(service);
    let plan = plan(service);
    let mut failed = Vec::new();
    for task in tasks.iter().filter(|task| task.by_update && is_wanted(task)) {
        if task.status.state == TaskState::Running {
            let since = task.meta.updated_at;
            scene.memory.running.entry(task.id.clone()).or_insert(since);
        } else if is_over(task) && task.status.state < TaskState::Orphaned {
            // Not seen running, perhaps by another leader: the doubt counts against the update.
            let ran = scene
                .memory
                .running
                .remove(&task.id)
                .map_or(Duration::ZERO, |since| task.meta.updated_at.since(since));
            if ran <= plan.monitor {
                failed.push(task.clone());
            }
        }
    }
    if failed.is_empty() || !under_way {
        return;
    }
    let mut service = service.clone();
    let mut status = service.update_status.take().unwrap_or_default();
    status.failures += failed.len() as u64;
    let culprit = failed[0].id.clone();
    for task in &failed {
        let mut task = Task::clone(task);
        task.by_update = false;
        scene.draft.update_task(task);
    }
    let ratio = status.failures as f32 / status.slots.max(1) as f32;
    if ratio > plan.ratio_max {
        stop_or_turn_back(
            &mut service,
            &mut status,
            plan.action,
            culprit.as_str(),
            scene.now(),
        );
    }
    service.update_status = Some(status);
    scene.draft.update_service(service);
}

/// Takes the next slots in hand, finishes those that have come up, and says when to look again.
pub(crate) fn advance(scene: &mut Scene<'_, '_>, service: &Service, slots: &[Slot]) -> Option<Time> {
    let service = &*current(scene, service);
    if is_paused(service) {
        return None;
    }
    let plan = plan(service);
    let mut dirty = Vec::new();
    let mut busy = 0;
    let mut wake_at = None;
    let mut watched_until = Time::ZERO;
    for slot in slots {
        match look(scene, service, slot) {
            Look::Dirty => dirty.push(slot),
            Look::Clean => {}
            Look::Taken(new) => {
                if new.status.state == TaskState::Running {
                    retire_others(scene, slot, &new);
                    let since = new.meta.updated_at;
                    watched_until = watched_until.max(since.after(plan.monitor));
                    let next = since.after(plan.delay);
                    if next > scene.now() {
                        busy += 1;
                        wake_at = earliest(wake_at, Some(next));
                    }
                } else {
                    busy += 1;
                    watched_until = Time(i64::MAX);
                }
            }
        }
    }
    if dirty.is_empty() {
        return if watched_until <= scene.now() {
            complete(scene, service);
            None
        } else if watched_until == Time(i64::MAX) {
            // A report will come, and wake us.
            wake_at
        } else {
            earliest(wake_at, Some(watched_until)).filter(|_| is_under_way(service))
        };
    }
    begin(scene, service, dirty.len() as u64);
    let lanes = if plan.lanes == 0 { usize::MAX } else { plan.lanes };
    // What does not run loses nothing by being replaced first.
    dirty.sort_by_key(|slot| (slot.is_running(), slot.number));
    for slot in dirty.into_iter().take(lanes.saturating_sub(busy)) {
        replace(scene, service, slot, &plan);
    }
    wake_at
}

enum Look {
    Clean,
    /// Waits for its turn.
    Dirty,
    /// Replaced by this task, which may not run yet.
    Taken(std::sync::Arc<Task>),
}

fn look(scene: &Scene<'_, '_>, service: &Service, slot: &Slot) -> Look {
    let state = scene.draft.state();
    let dirty = |task: &Task| is_dirty(service, task, state.node(&task.node_id).map(|n| &**n));
    let mut wanted = slot.wanted().peekable();
    if wanted.peek().is_none() {
        return match slot.rested() {
            Some(task) if dirty(task) => Look::Dirty,
            _ => Look::Clean,
        };
    }
    let clean: Vec<_> = slot.wanted().filter(|task| !dirty(task)).collect();
    let several = slot.wanted().count() > 1;
    // Several clean tasks: the one that is furthest, the older of equals.
    let best = clean
        .into_iter()
        .rev()
        .max_by_key(|task| (!is_over(task), task.status.state))
        .cloned();
    match best {
        None => Look::Dirty,
        Some(task) if task.by_update || several => Look::Taken(task),
        Some(_) => Look::Clean,
    }
}

/// The new task runs: what it was made for may go.
fn retire_others(scene: &mut Scene<'_, '_>, slot: &Slot, new: &Task) {
    for old in slot.wanted().filter(|task| task.id != new.id) {
        shut_down(scene.draft, old, TaskState::Shutdown);
    }
}

fn replace(scene: &mut Scene<'_, '_>, service: &Service, slot: &Slot, plan: &Plan) {
    let node = if slot.number == 0 {
        slot.node.clone()
    } else {
        NodeId::default()
    };
    let mut new = task::new(service, slot.number, node, scene.now(), scene.ids);
    new.by_update = true;
    // Only what runs can be left running meanwhile.
    let running = slot.wanted().find(|task| task.status.state == TaskState::Running);
    if let Some(running) = running.filter(|_| plan.start_first) {
        // What an update before this one had begun is not waited for: two at a time, never three.
        for old in slot.wanted().filter(|old| old.id != running.id) {
            shut_down(scene.draft, old, TaskState::Shutdown);
        }
    } else {
        for old in slot.wanted() {
            shut_down(scene.draft, old, TaskState::Shutdown);
        }
        let in_the_way = |old: &std::sync::Arc<Task>| restart::is_in_the_way(scene, &new, old);
        if scene.tasks_of(slot, &service.id).iter().any(in_the_way) {
            new.desired = TaskState::Ready;
        }
    }
    scene.draft.create_task(new);
}

fn begin(scene: &mut Scene<'_, '_>, service: &Service, slots: u64) {
    let mut status = service.update_status.clone().unwrap_or_default();
    let rollback = matches!(status.state, UpdateState::RollbackStarted);
    if rollback && status.slots > 0 {
        return;
    }
    if !rollback {
        if service.update_status.is_some() && status.state == UpdateState::Updating {
            return;
        }
        status = UpdateStatus {
            message: "update in progress".into(),
            started_at: Some(scene.now()),
            ..Default::default()
        };
    }
    status.started_at.get_or_insert(scene.now());
    status.slots = slots;
    status.failures = 0;
    let mut service = service.clone();
    service.update_status = Some(status);
    scene.draft.update_service(service);
}

fn complete(scene: &mut Scene<'_, '_>, service: &Service) {
    if !is_under_way(service) {
        return;
    }
    let mut service = service.clone();
    if let Some(status) = &mut service.update_status {
        let rollback = status.state == UpdateState::RollbackStarted;
        status.state = if rollback {
            UpdateState::RollbackCompleted
        } else {
            UpdateState::Completed
        };
        status.message = if rollback {
            "rollback completed"
        } else {
            "update completed"
        }
        .into();
        status.completed_at = Some(scene.now());
    }
    scene.draft.update_service(service);
}

/// Texts are Docker's.
fn stop_or_turn_back(
    service: &mut Service,
    status: &mut UpdateStatus,
    action: Action,
    culprit: &str,
    now: Time,
) {
    let rolling_back = status.state == UpdateState::RollbackStarted;
    let of = format!("due to failure or early termination of task {culprit}");
    match action {
        Action::Continue => {}
        // A rollback is never rolled back, and without a previous spec there is nothing to go back to.
        Action::Rollback if !rolling_back && service.previous_spec.is_some() => {
            if let Some(spec) = service.previous_spec.take() {
                service.spec = spec;
            }
            if let Some(version) = service.previous_spec_version.take() {
                service.spec_version = version;
            }
            *status = UpdateStatus {
                state: UpdateState::RollbackStarted,
                started_at: Some(now),
                message: format!("update rolled back {of}"),
                ..Default::default()
            };
        }
        Action::Pause | Action::Rollback if rolling_back => {
            status.state = UpdateState::RollbackPaused;
            status.message = format!("rollback paused {of}");
        }
        Action::Pause | Action::Rollback => {
            status.state = UpdateState::Paused;
            status.message = format!("update paused {of}");
        }
    }
}

fn is_under_way(service: &Service) -> bool {
    service
        .update_status
        .as_ref()
        .is_some_and(|s| matches!(s.state, UpdateState::Updating | UpdateState::RollbackStarted))
}

fn is_paused(service: &Service) -> bool {
    service
        .update_status
        .as_ref()
        .is_some_and(|s| matches!(s.state, UpdateState::Paused | UpdateState::RollbackPaused))
}

fn plan(service: &Service) -> Plan {
    let rolling_back = service
        .update_status
        .as_ref()
        .is_some_and(|s| s.state == UpdateState::RollbackStarted);
    let config = if rolling_back {
        &service.spec.rollback_config
    } else {
        &service.spec.update_config
    };
    // Absent, Docker's default is one at a time; present, 0 means all at once.
    let config = config.clone().unwrap_or(UpdateConfig {
        parallelism: 1,
        ..Default::default()
    });
    let delay = nanos(config.delay);
    let monitor = if config.monitor > 0 {
        nanos(config.monitor)
    } else {
        MONITOR
    };
    Plan {
        lanes: usize::try_from(config.parallelism).unwrap_or(usize::MAX),
        delay,
        // Watched at least until the next batch begins, or a batch could not be stopped by the one before it.
        monitor: if delay > monitor {
            delay + Duration::from_secs(1)
        } else {
            monitor
        },
        start_first: config.order == "start-first",
        action: match config.failure_action.as_str() {
            "continue" => Action::Continue,
            "rollback" => Action::Rollback,
            _ => Action::Pause,
        },
        ratio_max: config.max_failure_ratio,
    }
}

fn nanos(n: i64) -> Duration {
    Duration::from_nanos(u64::try_from(n).unwrap_or(0))
}
