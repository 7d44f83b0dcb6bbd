//! At most one manager leads in a term.

use crate::cluster::world::Inside;
use openraft::async_runtime::watch::WatchReceiver;

pub fn check(inside: &mut Inside) -> Result<(), String> {
    let mut seen = Vec::new();
    for (manager, up) in inside.ups() {
        let metrics = up.node.raft().server_metrics();
        let metrics = metrics.borrow_watched();
        if metrics.state.is_leader() {
            seen.push((metrics.vote.leader_id.term, manager.peer.id.0));
        }
    }
    for (term, id) in seen {
        match inside.oracle.leaders.insert(term, id) {
            Some(other) if other != id => {
                return Err(format!("both {other} and {id} lead term {term}"));
            }
            _ => {}
        }
    }
    Ok(())
}
