//! What must never be seen, one file each. Every check looks at the state before and after one log entry.

pub mod bounded_history;
pub mod forward_only;
pub mod immutable_task;
pub mod one_holder;
pub mod one_per_slot;
pub mod removed_after_stop;
pub mod scheduler_obeys;

use shoal_raft_store::State;

/// A violation in words.
pub type Verdict = Result<(), String>;

type Check = fn(&State, &State) -> Verdict;

/// All of them, with their names.
pub const ALL: [(&str, Check); 7] = [
    ("bounded_history", bounded_history::check),
    ("forward_only", forward_only::check),
    ("immutable_task", immutable_task::check),
    ("one_holder", one_holder::check),
    ("one_per_slot", one_per_slot::check),
    ("removed_after_stop", removed_after_stop::check),
    ("scheduler_obeys", scheduler_obeys::check),
];

/// Panics with the name of the first invariant that the entry violates.
pub fn check(before: &State, after: &State) {
    for (name, check) in ALL {
        if let Err(violation) = check(before, after) {
            panic!(
                "invariant {name} violated at index {}: {violation}",
                after.applied()
            );
        }
    }
}

/// Tasks that the entry created or changed, each with what it was before.
fn changed<'a>(
    before: &'a State,
    after: &'a State,
) -> impl Iterator<Item = (Option<&'a shoal_raft_objects::Task>, &'a shoal_raft_objects::Task)> {
    let index = after.applied();
    after
        .tasks()
        .iter()
        .filter(move |task| task.meta.touched == index)
        .map(|task| {
            let old = before.task(&task.id).map(|old| &**old);
            (old, &**task)
        })
}
