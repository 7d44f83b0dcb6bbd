//! Managers that come and go.

use crate::fixture::{cluster, create, node};
use shoal_node_core_cluster::roles::{Action, Members, actions, may_demote, may_remove};
use shoal_raft_objects::node::{ManagerStatus, Role};
use shoal_raft_objects::{NodeState, RaftId};
use shoal_raft_store::State;

struct Raft {
    members: Vec<u64>,
    unreachable: Vec<u64>,
}

impl Members for Raft {
    fn contains(&self, id: RaftId) -> bool {
        self.members.contains(&id.0)
    }
    fn is_reachable(&self, id: RaftId) -> bool {
        !self.unreachable.contains(&id.0)
    }
    fn count(&self) -> usize {
        self.members.len()
    }
}

fn managers(raft: &Raft) -> State {
    let mut state = cluster();
    for id in &raft.members {
        let mut node = node(&format!("m{id}"));
        node.role = Role::Manager;
        node.spec.role = Role::Manager;
        node.manager = Some(ManagerStatus {
            raft_id: RaftId(*id),
            addr: String::new(),
        });
        create(&mut state, node);
    }
    state
}

#[test]
fn the_last_manager_and_the_quorum_are_kept() {
    let raft = Raft {
        members: vec![1],
        unreachable: vec![],
    };
    let state = managers(&raft);
    let refusal = may_demote(&state, &raft, state.node(&"m1".into()).unwrap()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "attempting to demote the last manager of the swarm"
    );

    let raft = Raft {
        members: vec![1, 2, 3],
        unreachable: vec![3],
    };
    let state = managers(&raft);
    let may = |id: &str| may_demote(&state, &raft, state.node(&id.into()).unwrap());
    assert_eq!(may("m3"), Ok(()));
    assert_eq!(
        may("m2").unwrap_err().to_string(),
        "can't remove member from the raft: this would result in a loss of quorum"
    );
}

#[test]
fn removal_asks_for_a_demotion_and_a_node_that_is_down() {
    let raft = Raft {
        members: vec![1, 2, 3],
        unreachable: vec![],
    };
    let state = managers(&raft);
    let manager = state.node(&"m1".into()).unwrap();
    assert!(
        may_remove(&raft, manager, true)
            .unwrap_err()
            .to_string()
            .contains("must be demoted")
    );
    let mut worker = node("w");
    let refusal = may_remove(&raft, &worker, false).unwrap_err();
    assert_eq!(refusal.to_string(), "node w is not down and can't be removed");
    assert_eq!(may_remove(&raft, &worker, true), Ok(()));
    worker.status.state = NodeState::Down;
    assert_eq!(may_remove(&raft, &worker, false), Ok(()));
}

#[test]
fn a_demoted_member_leaves_raft_before_its_role_changes() {
    let mut raft = Raft {
        members: vec![1, 2, 3],
        unreachable: vec![],
    };
    let mut state = managers(&raft);
    for id in ["m1", "m2"] {
        let mut node = (**state.node(&id.into()).unwrap()).clone();
        node.spec.role = Role::Worker;
        let version = node.meta.version;
        let object = node.into();
        crate::fixture::write(
            &mut state,
            vec![shoal_raft_objects::Write::Spec { object, version }],
        );
    }
    let mut late = node("w");
    late.spec.role = Role::Manager;
    create(&mut state, late);
    let leader = "m1".into();
    assert_eq!(
        actions(&state, &raft, &leader),
        [
            Action::TransferLeadership,
            Action::RemoveMember("m2".into(), RaftId(2)),
            Action::Promote("w".into())
        ]
    );
    raft.members = vec![1, 3];
    let next = actions(&state, &raft, &"m3".into());
    // Two members can lose none without a majority of what is left: one of one.
    assert_eq!(
        next,
        [
            Action::RemoveMember("m1".into(), RaftId(1)),
            Action::Demote("m2".into()),
            Action::Promote("w".into())
        ]
    );
}
