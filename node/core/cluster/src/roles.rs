//! Managers and workers: what a user may ask for, and the next step towards what was asked.

use shoal_raft_objects::node::Role;
use shoal_raft_objects::{Node, NodeId, NodeState, RaftId};
use shoal_raft_store::State;

/// What Raft says of its members at this moment.
pub trait Members {
    fn contains(&self, id: RaftId) -> bool;
    /// It is a voter: one that is still catching up counts for no majority, and its going costs none.
    fn votes(&self, id: RaftId) -> bool {
        self.contains(id)
    }
    /// Answers the leader now.
    fn is_reachable(&self, id: RaftId) -> bool;
    fn count(&self) -> usize;
}

/// Texts are Docker's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    #[error("attempting to demote the last manager of the swarm")]
    LastManager,
    #[error("can't remove member from the raft: this would result in a loss of quorum")]
    Quorum,
    #[error(
        "node {0} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal"
    )]
    IsManager(NodeId),
    #[error("node {0} is not down and can't be removed")]
    NotDown(NodeId),
}

/// Whether the user may turn this node into a worker.
pub fn may_demote(view: &State, members: &dyn Members, node: &Node) -> Result<(), Refusal> {
    if node.spec.role == Role::Worker {
        return Ok(());
    }
    let managers = view
        .nodes()
        .iter()
        .filter(|n| n.spec.role == Role::Manager)
        .count();
    if managers <= 1 {
        return Err(Refusal::LastManager);
    }
    match &node.manager {
        Some(manager)
            if members.contains(manager.raft_id) && !keeps_quorum(view, members, manager.raft_id) =>
        {
            Err(Refusal::Quorum)
        }
        _ => Ok(()),
    }
}

/// Whether the user may take this node out of the cluster.
pub fn may_remove(members: &dyn Members, node: &Node, force: bool) -> Result<(), Refusal> {
    let member = node
        .manager
        .as_ref()
        .is_some_and(|manager| members.contains(manager.raft_id));
    if member || node.spec.role == Role::Manager {
        return Err(Refusal::IsManager(node.id.clone()));
    }
    if !force && node.status.state == NodeState::Ready {
        return Err(Refusal::NotDown(node.id.clone()));
    }
    Ok(())
}

/// The members that remain have a majority that can be reached.
pub fn keeps_quorum(view: &State, members: &dyn Members, removed: RaftId) -> bool {
    let reachable = view
        .nodes()
        .iter()
        .filter_map(|n| n.manager.as_ref())
        .filter(|m| m.raft_id != removed && members.votes(m.raft_id) && members.is_reachable(m.raft_id))
        .count();
    let remaining = members
        .count()
        .saturating_sub(usize::from(members.votes(removed)));
    remaining > 0 && reachable > remaining / 2
}

/// The next thing to do for a node whose role is not the one that its user wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Write `role = Manager`, so that it may fetch a manager's certificate and join Raft.
    Promote(NodeId),
    /// Write `role = Worker` and forget its place in Raft; it has none any more, so a worker's certificate is safe.
    Demote(NodeId),
    /// Take it out of Raft first.
    RemoveMember(NodeId, RaftId),
    /// It leads: somebody else must, before it can be removed.
    TransferLeadership,
}

/// One action for each node that needs one, in the order of node ids. `leader` is the node that asks.
pub fn actions(view: &State, members: &dyn Members, leader: &NodeId) -> Vec<Action> {
    let mut actions = Vec::new();
    for node in view.nodes().iter().filter(|node| node.role != node.spec.role) {
        let action = match (node.spec.role, &node.manager) {
            (Role::Manager, _) => Action::Promote(node.id.clone()),
            (Role::Worker, Some(manager)) if members.contains(manager.raft_id) => {
                if !keeps_quorum(view, members, manager.raft_id) {
                    // It was safe when the user asked. Waits until it is again.
                    continue;
                }
                if node.id == *leader {
                    Action::TransferLeadership
                } else {
                    Action::RemoveMember(node.id.clone(), manager.raft_id)
                }
            }
            (Role::Worker, _) => Action::Demote(node.id.clone()),
        };
        actions.push(action);
    }
    actions
}
