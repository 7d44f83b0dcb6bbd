//! What may never happen to a task, whoever asks for it.

use shoal_raft_objects::{Refusal, Task};

/// A task is assigned once, keeps its spec, and only moves forward. A loop that says otherwise has a bug, and the
/// state must not take part in it.
pub fn check(old: &Task, new: &mut Task) -> Result<(), Refusal> {
    let refuse = |what: String| Err(Refusal::Invalid(format!("task {} {what}", old.id)));
    if !old.node_id.is_empty() && new.node_id != old.node_id {
        return refuse(format!(
            "is on node {} and cannot move to {}",
            old.node_id, new.node_id
        ));
    }
    if new.service_id != old.service_id || new.slot != old.slot {
        return refuse("cannot change its service or slot".into());
    }
    if new.spec != old.spec {
        return refuse("cannot change its spec".into());
    }
    if new.desired < old.desired {
        return refuse(format!(
            "is wanted {} and cannot go back to {}",
            old.desired.name(),
            new.desired.name()
        ));
    }
    if new.status.state < old.status.state {
        return refuse(format!(
            "is {} and cannot go back to {}",
            old.status.state.name(),
            new.status.state.name()
        ));
    }
    Ok(())
}
