//! Ready, down, and who is given the benefit of the doubt.

use crate::fixture::{Ids, START, cluster, create, node};
use shoal_node_core_cluster::{Memory, step};
use shoal_raft_objects::{NodeState, Time};
use shoal_raft_store::State;
use std::time::Duration;

fn judge(state: &mut State, memory: &mut Memory, now: Time) -> Option<Time> {
    let decision = step(state, now, memory, &mut Ids::default());
    for proposal in &decision.proposals {
        state.apply(state.applied() + 1, proposal);
    }
    decision.wake_at
}

fn state_of(state: &State) -> (NodeState, String) {
    let status = &state.node(&"n".into()).unwrap().status;
    (status.state, status.message.clone())
}

fn at(seconds: u64) -> Time {
    START.after(Duration::from_secs(seconds))
}

#[test]
fn a_silent_node_is_down_after_the_grace_and_ready_when_it_speaks() {
    let mut state = cluster();
    create(&mut state, node("n"));
    let mut memory = Memory::new(at(0));
    memory.liveness.heard(&"n".into(), at(1));
    assert_eq!(judge(&mut state, &mut memory, at(1)), Some(at(5)));
    judge(&mut state, &mut memory, at(4));
    assert_eq!(state_of(&state).0, NodeState::Ready);
    assert_eq!(judge(&mut state, &mut memory, at(5)), None);
    assert_eq!(state_of(&state), (NodeState::Down, "heartbeat failure".into()));
    memory.liveness.heard(&"n".into(), at(9));
    judge(&mut state, &mut memory, at(9));
    assert_eq!(state_of(&state), (NodeState::Ready, String::new()));
}

#[test]
fn a_new_leader_gives_every_node_a_full_grace() {
    let mut state = cluster();
    create(&mut state, node("n"));
    let mut memory = Memory::new(at(100));
    assert_eq!(judge(&mut state, &mut memory, at(100)), Some(at(104)));
    judge(&mut state, &mut memory, at(103));
    assert_eq!(state_of(&state).0, NodeState::Ready);
    judge(&mut state, &mut memory, at(104));
    assert_eq!(state_of(&state).0, NodeState::Down);
}

#[test]
fn a_node_that_says_it_goes_is_down_at_once_and_one_that_joins_late_is_not() {
    let mut state = cluster();
    create(&mut state, node("n"));
    let mut memory = Memory::new(at(0));
    memory.liveness.heard(&"n".into(), at(1));
    memory.liveness.left(&"n".into());
    let mut late = node("late");
    late.status.since = at(100);
    create(&mut state, late);
    judge(&mut state, &mut memory, at(101));
    assert_eq!(state_of(&state).0, NodeState::Down);
    assert_eq!(state.node(&"late".into()).unwrap().status.state, NodeState::Ready);
}
