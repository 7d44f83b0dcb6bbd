//! At most one task of a slot is wanted running, and two only while a start-first update replaces it.

use super::{Verdict, changed};
use shoal_raft_objects::{Service, Task, TaskState};
use shoal_raft_store::State;

pub fn check(before: &State, after: &State) -> Verdict {
    for (_, task) in changed(before, after) {
        // Of a service that is gone nothing says any more how it was updated; its tasks are on their way out.
        let Some(service) = after.service(&task.service_id).filter(|_| counts(task)) else {
            continue;
        };
        let others = after
            .tasks_of_service(&task.service_id)
            .filter(|other| other.slot == task.slot && (task.slot != 0 || other.node_id == task.node_id))
            .filter(|other| counts(other))
            .count();
        if others > if may_overlap(service) { 2 } else { 1 } {
            return Err(format!(
                "{others} tasks are wanted running in slot {} of {} (node {})",
                task.slot, task.service_id, task.node_id
            ));
        }
    }
    Ok(())
}

fn counts(task: &Task) -> bool {
    (TaskState::Running..=TaskState::Complete).contains(&task.desired) && !task.status.state.is_terminal()
}

fn may_overlap(service: &Service) -> bool {
    let spec = &service.spec;
    let previous = service.previous_spec.as_ref();
    [Some(spec), previous]
        .into_iter()
        .flatten()
        .flat_map(|spec| [&spec.update_config, &spec.rollback_config])
        .flatten()
        .any(|config| config.order == "start-first")
}
