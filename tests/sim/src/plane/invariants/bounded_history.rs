//! No slot collects ended tasks without end.

use super::{Verdict, changed};
use shoal_raft_store::State;

/// Ended tasks beyond the limit that one entry may leave for the next step to clean up.
const SLACK: usize = 3;

pub fn check(before: &State, after: &State) -> Verdict {
    let limit = after.cluster().map_or(5, |c| c.spec.task_history_limit);
    let Ok(limit) = usize::try_from(limit) else {
        return Ok(());
    };
    for (_, task) in changed(before, after) {
        let ended = after
            .tasks_of_service(&task.service_id)
            .filter(|other| other.slot == task.slot && (task.slot != 0 || other.node_id == task.node_id))
            .filter(|other| other.status.state.is_terminal())
            .count();
        if ended > limit + SLACK {
            return Err(format!(
                "slot {} of {} holds {ended} ended tasks, the limit is {limit}",
                task.slot, task.service_id
            ));
        }
    }
    Ok(())
}
