//! A task is assigned once; its spec, service and slot never change.

use super::{Verdict, changed};
use shoal_raft_store::State;

pub fn check(before: &State, after: &State) -> Verdict {
    for (old, new) in changed(before, after) {
        let Some(old) = old else { continue };
        let moved = !old.node_id.is_empty() && old.node_id != new.node_id;
        if moved || old.spec != new.spec || old.service_id != new.service_id || old.slot != new.slot {
            return Err(format!("{} changed: {old:?} then {new:?}", new.id));
        }
    }
    Ok(())
}
