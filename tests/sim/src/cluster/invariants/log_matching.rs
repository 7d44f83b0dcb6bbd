//! Two logs that agree on one entry agree on all before it.

use crate::cluster::oracle::bytes;
use crate::cluster::world::Inside;
use shoal_raft_log::types::Entry;
use std::collections::BTreeMap;

pub fn check(inside: &Inside) -> Result<(), String> {
    let logs: Vec<(u64, BTreeMap<u64, Entry>)> = inside
        .managers
        .iter()
        .map(|(id, m)| {
            let entries = m.disk.entries();
            (*id, entries.into_iter().map(|e| (e.log_id.index, e)).collect())
        })
        .collect();
    for (n, (a, left)) in logs.iter().enumerate() {
        for (b, right) in &logs[n + 1..] {
            let mut agree = false;
            for (index, entry) in left.iter().rev() {
                let Some(other) = right.get(index) else { continue };
                let same_term = entry.log_id == other.log_id;
                if agree && !same_term {
                    return Err(format!("logs of {a} and {b} agree above {index} but not there"));
                }
                if same_term && bytes(entry) != bytes(other) {
                    return Err(format!(
                        "logs of {a} and {b} hold different entries under one id at {index}"
                    ));
                }
                agree |= same_term;
            }
        }
    }
    Ok(())
}
