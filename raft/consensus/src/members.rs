//! Who the managers are: one change at a time, on the leader, a learner before a voter.

use crate::config::Peer;
use crate::error::MembershipError;
use crate::node::Node;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::metrics::RaftMetrics;
use openraft::raft::Precondition;
use openraft::type_config::AsyncRuntime;
use openraft::{ChangeMembers, Instant};
use shoal_raft_log::types::{self, TypeConfig};
use shoal_raft_objects::RaftId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A candidate is let in when it lacks no more than this many entries.
const CAUGHT_UP: u64 = 16;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    pub peer: Peer,
    /// Counts for majorities; a member that does not is still catching up.
    pub votes: bool,
    pub leads: bool,
    /// Answered within the last two election timeouts. Only the leader knows of others; elsewhere it is `None`.
    pub reachable: Option<bool>,
}

type Metrics<RT> = RaftMetrics<TypeConfig<RT>>;

pub fn list<RT: AsyncRuntime>(node: &Node<RT>) -> Vec<Member> {
    let metrics = node.raft.metrics().borrow_watched().clone();
    let voters: BTreeSet<u64> = metrics.membership_config.voter_ids().collect();
    metrics
        .membership_config
        .nodes()
        .map(|(id, member)| Member {
            peer: Peer {
                id: RaftId(*id),
                node: member.node.clone(),
                addr: member.addr.clone(),
            },
            votes: voters.contains(id),
            leads: metrics.current_leader == Some(*id),
            reachable: reachable(node, &metrics, *id),
        })
        .collect()
}

fn reachable<RT: AsyncRuntime>(node: &Node<RT>, metrics: &Metrics<RT>, id: u64) -> Option<bool> {
    if id == metrics.id {
        return Some(true);
    }
    let heartbeats = metrics.heartbeat.as_ref()?;
    let heard = heartbeats.get(&id).copied().flatten();
    Some(heard.is_some_and(|at| at.elapsed() < node.timing.election_max * 2))
}

pub async fn add<RT: AsyncRuntime>(node: &Node<RT>, peer: &Peer) -> Result<(), MembershipError> {
    let _one = node.changing.lock().await;
    let metrics = node.raft.metrics().borrow_watched().clone();
    if metrics
        .membership_config
        .get_node(&peer.id.0)
        .is_some_and(|m| m.addr == peer.addr)
    {
        return Ok(());
    }
    let member = types::Member {
        node: peer.node.clone(),
        addr: peer.addr.clone(),
    };
    change(
        node,
        &metrics,
        ChangeMembers::AddNodes(BTreeMap::from([(peer.id.0, member)])),
    )
    .await
}

pub async fn promote<RT: AsyncRuntime>(
    node: &Node<RT>,
    id: RaftId,
    within: Duration,
) -> Result<(), MembershipError> {
    let mut watch = node.raft.metrics();
    let caught_up = async {
        loop {
            let metrics = watch.borrow_and_update().clone();
            if !metrics.state.is_leader() {
                return Err(MembershipError::NotLeader { leader: None });
            }
            let matched = metrics
                .replication
                .as_ref()
                .and_then(|r| r.get(&id.0))
                .cloned()
                .flatten();
            if matched.is_some_and(|at| at.index + CAUGHT_UP >= metrics.last_log_index.unwrap_or(0)) {
                return Ok(());
            }
            if watch.changed().await.is_err() {
                return Err(MembershipError::Stopped("raft stopped".into()));
            }
        }
    };
    match RT::timeout(within, caught_up).await {
        Ok(done) => done?,
        Err(_) => return Err(MembershipError::Behind(id)),
    }
    let _one = node.changing.lock().await;
    let metrics = node.raft.metrics().borrow_watched().clone();
    if metrics.membership_config.voter_ids().any(|voter| voter == id.0) {
        return Ok(());
    }
    change(node, &metrics, ChangeMembers::AddVoterIds(BTreeSet::from([id.0]))).await
}

pub async fn remove<RT: AsyncRuntime>(node: &Node<RT>, id: RaftId) -> Result<(), MembershipError> {
    let _one = node.changing.lock().await;
    let metrics = node.raft.metrics().borrow_watched().clone();
    if metrics.membership_config.get_node(&id.0).is_none() {
        return Ok(());
    }
    if !metrics.state.is_leader() {
        return Err(MembershipError::NotLeader { leader: None });
    }
    if id == node.me.id {
        return Err(MembershipError::Leads(id));
    }
    let voters: BTreeSet<u64> = metrics.membership_config.voter_ids().collect();
    if !voters.contains(&id.0) {
        return change(node, &metrics, ChangeMembers::RemoveNodes(BTreeSet::from([id.0]))).await;
    }
    let remaining = voters.iter().filter(|voter| **voter != id.0);
    let majority = (voters.len() - 1) / 2 + 1;
    let reachable = remaining
        .filter(|voter| reachable(node, &metrics, **voter) == Some(true))
        .count();
    if reachable < majority {
        return Err(MembershipError::WouldLoseQuorum);
    }
    change(
        node,
        &metrics,
        ChangeMembers::RemoveVoters(BTreeSet::from([id.0])),
    )
    .await
}

pub async fn transfer<RT: AsyncRuntime>(
    node: &Node<RT>,
    to: Option<RaftId>,
    within: Duration,
) -> Result<(), MembershipError> {
    let mut watch = node.raft.metrics();
    let metrics = watch.borrow_and_update().clone();
    if !metrics.state.is_leader() {
        return Err(MembershipError::NotLeader { leader: None });
    }
    let furthest = || {
        let replication = metrics.replication.as_ref()?;
        metrics
            .membership_config
            .voter_ids()
            .filter(|id| *id != metrics.id && reachable(node, &metrics, *id) == Some(true))
            .max_by_key(|id| replication.get(id).copied().flatten().map(|at| at.index))
    };
    let Some(to) = to.map(|id| id.0).or_else(furthest) else {
        return Err(MembershipError::WouldLoseQuorum);
    };
    node.raft
        .trigger()
        .transfer_leader(to)
        .await
        .map_err(|e| MembershipError::Stopped(e.to_string()))?;
    let handed_over = async {
        loop {
            let leader = watch.borrow_and_update().current_leader;
            if leader.is_some() && leader != Some(metrics.id) {
                return Ok(());
            }
            if watch.changed().await.is_err() {
                return Err(MembershipError::Stopped("raft stopped".into()));
            }
        }
    };
    match RT::timeout(within, handed_over).await {
        Ok(done) => done,
        Err(_) => Err(MembershipError::NoQuorum),
    }
}

/// Makes the change if nobody changed the membership since `metrics` were read.
async fn change<RT: AsyncRuntime>(
    node: &Node<RT>,
    metrics: &Metrics<RT>,
    members: ChangeMembers<u64, types::Member>,
) -> Result<(), MembershipError> {
    let unchanged = Precondition::LastMembershipLogId {
        last_membership_log_id: *metrics.membership_config.log_id(),
    };
    let change = node.raft.change_membership_if(members, false, [unchanged]);
    match RT::timeout(node.timing.propose, change).await {
        Err(_) => Err(MembershipError::NoQuorum),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(RaftError::Fatal(fatal))) => Err(MembershipError::Stopped(fatal.to_string())),
        Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))) => {
            Err(MembershipError::NotLeader {
                leader: node.peer(&forward),
            })
        }
        Ok(Err(RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)))) => {
            Err(MembershipError::NoQuorum)
        }
        Ok(Err(RaftError::APIError(other))) => Err(MembershipError::Refused(other.to_string())),
    }
}
