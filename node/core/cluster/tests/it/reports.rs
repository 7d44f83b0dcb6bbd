//! Which reports are written, and when.

use crate::fixture::{START, cluster, create, task};
use shoal_node_core_cluster::reports::Batch;
use shoal_raft_objects::{TaskState, TaskStatus};
use std::time::Duration;

fn status(state: TaskState) -> TaskStatus {
    TaskStatus {
        state,
        ..Default::default()
    }
}

#[test]
fn decisive_states_are_written_at_once_and_passing_ones_only_if_they_last() {
    let mut state = cluster();
    create(&mut state, task("t1", "n1", TaskState::Assigned));
    create(&mut state, task("t2", "n1", TaskState::Assigned));
    let (node, t1, t2) = ("n1".into(), "t1".into(), "t2".into());
    let mut batch = Batch::default();
    assert!(batch.offer(&state, &node, &t1, status(TaskState::Preparing), START));
    assert!(batch.offer(&state, &node, &t2, status(TaskState::Preparing), START));
    let first = batch.take(START);
    assert!(first.proposals.is_empty());
    let later = START.after(Duration::from_secs(1));
    assert_eq!(first.wake_at, Some(later));
    assert!(batch.offer(&state, &node, &t1, status(TaskState::Running), START));
    assert_eq!(batch.take(START).proposals[0].writes.len(), 1);
    assert_eq!(batch.take(later).proposals[0].writes.len(), 1);
    assert!(batch.is_empty());
}

#[test]
fn what_is_stale_repeated_or_not_the_nodes_business_is_dropped() {
    let mut state = cluster();
    create(&mut state, task("t1", "n1", TaskState::Running));
    create(&mut state, task("t2", "n2", TaskState::Running));
    let mut batch = Batch::default();
    let mut offer = |node: &str, task: &str, state_of: TaskState| {
        batch.offer(&state, &node.into(), &task.into(), status(state_of), START)
    };
    assert!(!offer("n1", "t1", TaskState::Running), "repeated");
    assert!(!offer("n1", "t1", TaskState::Starting), "stale");
    assert!(!offer("n1", "t2", TaskState::Failed), "another node's");
    assert!(!offer("n1", "t9", TaskState::Failed), "gone");
    assert!(!offer("n1", "t1", TaskState::Orphaned), "the managers' word");
    assert!(offer("n1", "t1", TaskState::Failed));
    assert!(offer("n1", "t1", TaskState::Running) || batch.take(START).proposals.len() == 1);
}
