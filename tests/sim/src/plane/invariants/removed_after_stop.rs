//! A task leaves the state only after it has stopped, or if it never had a node or its node is no longer a member.

use super::Verdict;
use shoal_raft_objects::TaskState;
use shoal_raft_store::State;

pub fn check(before: &State, after: &State) -> Verdict {
    if before.tasks().len() == after.tasks().len()
        && after.tasks().iter().all(|t| before.task(&t.id).is_some())
    {
        return Ok(());
    }
    for old in before.tasks().iter().filter(|old| after.task(&old.id).is_none()) {
        let assigned = old.status.state >= TaskState::Assigned;
        let member = after.node(&old.node_id).is_some();
        if assigned && member && !old.status.state.is_terminal() {
            return Err(format!(
                "{} was forgotten while it was {}",
                old.id,
                old.status.state.name()
            ));
        }
    }
    Ok(())
}
