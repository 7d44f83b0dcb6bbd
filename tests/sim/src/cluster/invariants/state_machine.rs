//! Managers that have applied the same entries are in the same state, and it is the one that the entries lead to.

use crate::cluster::world::Inside;

pub fn check(inside: &Inside) -> Result<(), String> {
    for (manager, up) in inside.ups() {
        let state = up.consensus.state();
        let Some(expected) = inside.oracle.state_at(state.applied()) else {
            continue;
        };
        if *expected != state {
            return Err(format!(
                "manager {} is in another state after entry {} than the others",
                manager.peer.id.0,
                state.applied()
            ));
        }
    }
    Ok(())
}
