//! Neither what is observed of a task nor what is wanted of it ever goes back.

use super::{Verdict, changed};
use shoal_raft_store::State;

pub fn check(before: &State, after: &State) -> Verdict {
    for (old, new) in changed(before, after) {
        let Some(old) = old else { continue };
        if new.status.state < old.status.state || new.desired < old.desired {
            return Err(format!("{} went back: {old:?} then {new:?}", new.id));
        }
    }
    Ok(())
}
