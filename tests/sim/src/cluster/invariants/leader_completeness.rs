//! Whoever leads has every entry that was committed before.

use crate::cluster::oracle::bytes;
use crate::cluster::world::Inside;
use openraft::async_runtime::watch::WatchReceiver;

pub fn check(inside: &Inside) -> Result<(), String> {
    for (manager, up) in inside.ups() {
        let metrics = up.node.raft().metrics();
        let (leads, term, last) = {
            let metrics = metrics.borrow_watched();
            (
                metrics.state.is_leader(),
                metrics.current_term,
                metrics.last_log_index,
            )
        };
        let id = manager.peer.id.0;
        // A deposed leader that does not know it yet leads an old term; what came later it need not have.
        let newest = inside.oracle.leaders.keys().next_back().copied();
        if !leads || newest != Some(term) {
            continue;
        }
        let committed = inside.oracle.next;
        if last.map_or(0, |last| last + 1) < committed {
            return Err(format!(
                "leader {id} of term {term} ends at {last:?}, {committed} entries are committed"
            ));
        }
        let first = manager.disk.purged().map_or(0, |id| id.index + 1);
        for index in first..committed {
            // What is not on its disk yet is in its memory and will be looked at again.
            let Some(entry) = manager.disk.entry(index) else {
                continue;
            };
            let (term_committed, payload) = &inside.oracle.committed[index as usize];
            if entry.log_id.leader_id.term != *term_committed || bytes(&entry) != *payload {
                return Err(format!(
                    "leader {id} has another entry at {index} than was committed"
                ));
            }
        }
    }
    Ok(())
}
