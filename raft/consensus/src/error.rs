//! What can go wrong, in the caller's terms.

use crate::config::Peer;
use shoal_raft_log::rocks;
use shoal_raft_objects::{RaftId, Refusal};

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Log(#[from] rocks::Error),
    #[error("cannot read the snapshot: {0}")]
    Snapshot(std::io::Error),
    #[error("raft timing is not usable: {0}")]
    Timing(String),
    #[error("raft does not start: {0}")]
    Raft(String),
}

/// Docker's words for a cluster that cannot decide.
const NO_LEADER: &str = "The swarm does not have a leader. It's possible that too few managers are online. Make sure \
                         more than half of the managers are online.";

#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// `apply` refused it, on every manager alike. Nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// This manager does not lead. Nothing was proposed; ask the leader, if one is known.
    #[error("{}", .leader.as_ref().map_or(NO_LEADER.to_owned(), |l| format!("manager {} leads the swarm, not this one", l.addr)))]
    NotLeader { leader: Option<Peer> },
    /// No answer from a majority in time. It may still take effect.
    #[error("{NO_LEADER}")]
    NoQuorum,
    /// The leadership was lost while it was under way. It may have taken effect.
    #[error("the leader changed before it answered; whether the change was made is not known")]
    Unknown { leader: Option<Peer> },
    #[error("a proposal of {bytes} bytes is larger than {max} bytes")]
    TooLarge { bytes: usize, max: usize },
    /// The log failed or the manager is shutting down: it takes no more part.
    #[error("this manager has stopped: {0}")]
    Stopped(String),
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{NO_LEADER}")]
    NoQuorum,
    #[error("this manager has stopped: {0}")]
    Stopped(String),
}

#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    #[error("{}", .leader.as_ref().map_or(NO_LEADER.to_owned(), |l| format!("manager {} leads the swarm, not this one", l.addr)))]
    NotLeader { leader: Option<Peer> },
    /// SwarmKit's text.
    #[error("raft: member cannot be removed, because removing it may result in loss of quorum")]
    WouldLoseQuorum,
    /// The leader cannot take itself out: hand over first, then ask the new one.
    #[error("manager {0} leads the swarm; it must hand over before it can be removed")]
    Leads(RaftId),
    #[error("manager {0} did not catch up in time")]
    Behind(RaftId),
    #[error("{NO_LEADER}")]
    NoQuorum,
    #[error("cannot change the managers: {0}")]
    Refused(String),
    #[error("this manager has stopped: {0}")]
    Stopped(String),
}
