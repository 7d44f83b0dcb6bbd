//! What really happened: the committed entries, applied once more and apart from everybody.

use crate::cluster::trace::Trace;
use openraft::EntryPayload;
use shoal_raft_log::types::Entry;
use shoal_raft_objects::{Proposal, Task, codec};
use shoal_raft_store::{Outcome, State};
use std::collections::{BTreeMap, VecDeque};

/// States kept to compare managers with that are a little behind.
const HISTORY: usize = 400;

#[derive(Default)]
pub struct Oracle {
    pub trace: Trace,
    /// After the last committed entry that was seen.
    pub state: State,
    pub next: u64,
    history: VecDeque<(u64, State)>,
    /// `(term, payload)` of every committed entry.
    pub committed: Vec<(u64, Vec<u8>)>,
    /// What a proposer was told took effect, by index.
    pub acknowledged: BTreeMap<u64, Vec<u8>>,
    /// Who led which term.
    pub leaders: BTreeMap<u64, u64>,
    pub refused: u64,
}

/// The bytes of an entry, whatever kind it is.
pub fn bytes(entry: &Entry) -> Vec<u8> {
    match &entry.payload {
        EntryPayload::Normal(payload) => payload.0.to_vec(),
        other => format!("{other}").into_bytes(),
    }
}

impl Oracle {
    /// The next committed entry.
    pub fn commit(&mut self, entry: &Entry) -> Result<(), String> {
        let index = entry.log_id.index;
        let payload = bytes(entry);
        self.trace.entry(index, entry.log_id.leader_id.term, &payload);
        let before = self.state.clone();
        if let EntryPayload::Normal(payload) = &entry.payload {
            let proposal: Proposal = codec::decode(&payload.0).map_err(|e| e.to_string())?;
            match self.state.apply(index, &proposal) {
                Outcome::Applied(_) => {}
                Outcome::Refused(_) => self.refused += 1,
            }
        } else {
            self.state.skip(index);
        }
        self.committed.push((entry.log_id.leader_id.term, payload));
        self.next = index + 1;
        self.history.push_back((index, self.state.clone()));
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
        for (name, check) in crate::plane::invariants::ALL {
            check(&before, &self.state)
                .map_err(|why| format!("{name}, entry {index}: {why}\n{}", tell(&before, &self.state)))?;
        }
        Ok(())
    }

    pub fn state_at(&self, index: u64) -> Option<&State> {
        let first = self.history.front()?.0;
        let at = usize::try_from(index.checked_sub(first)?).ok()?;
        self.history.get(at).map(|(_, state)| state)
    }
}

/// What the last entry did to tasks, and what else is in their slots; for whoever has to find out why.
fn tell(before: &State, after: &State) -> String {
    let line = |task: &Task| {
        let (state, desired) = (task.status.state.name(), task.desired.name());
        let (id, version, node, by) = (&task.id, task.spec_version, &task.node_id, task.by_update);
        format!(
            "{id} v{version} on {node}: {state}, wanted {desired}, by update {by}, {:?}",
            task.meta
        )
    };
    let touched = after.tasks().iter().filter(|t| t.meta.touched == after.applied());
    let mut out = String::new();
    for task in touched {
        let service = after.service(&task.service_id);
        let name = service.map(|s| (&s.spec.name, s.spec_version, &s.update_status));
        out += &format!("changed in slot {} of {name:?}: {}\n", task.slot, line(task));
        for other in before.tasks_of_slot(&task.service_id, task.slot) {
            out += &format!("  before: {}\n", line(other));
        }
    }
    out
}
