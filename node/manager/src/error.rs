//! What goes wrong with a node's membership, and Docker's words for it.

use shoal_api_backend::{Class, Error};
use shoal_raft_consensus::{MembershipError, ProposeError, ReadError, StartError};
use shoal_raft_objects::Refusal;

pub(crate) const NOT_A_MANAGER: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to \
                                        connect this node to swarm and try again.";
pub(crate) const WORKER: &str = "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. \
                                 Please run this command on a manager node or promote the current node to a manager.";
pub(crate) const ALREADY: &str = "This node is already part of a swarm. Use \"docker swarm leave\" to leave this swarm and join another \
                                  one.";
pub(crate) const NOT_PART: &str = "This node is not part of a swarm";
pub(crate) const NO_LEADER: &str = "The swarm does not have a leader. It's possible that too few managers are online. Make sure more \
                                    than half of the managers are online.";
pub(crate) const BAD_TOKEN: &str = "A valid join token is necessary to join this cluster";

/// Why this node could not take up, or give up, its place in a cluster.
#[derive(Debug, thiserror::Error)]
pub enum SwarmError {
    #[error("{path}: {source}", path = path.display())]
    File {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
    #[error("state of the swarm in {path} cannot be read: {why}", path = path.display())]
    State { path: std::path::PathBuf, why: String },
    #[error(transparent)]
    Certificates(#[from] shoal_node_drivers_certs::Error),
    #[error("cannot start consensus: {0}")]
    Consensus(#[from] StartError),
    #[error("cannot listen on {addr}: {source}")]
    Listen { addr: String, source: std::io::Error },
    #[error("cannot start the agent: {0}")]
    Agent(std::io::Error),
    /// The managers' words, in the form in which Docker shows them.
    #[error("rpc error: code = PermissionDenied desc = {0}")]
    Removed(String),
    #[error(transparent)]
    Refused(#[from] Error),
}

impl From<SwarmError> for Error {
    fn from(error: SwarmError) -> Error {
        match error {
            SwarmError::Refused(error) => error,
            other => Error::system(other.to_string()),
        }
    }
}

/// Docker's daemon passes on the words of its cluster half with the code's name in front; tools match on that.
pub(crate) fn rpc(class: Class, code: &str, why: impl std::fmt::Display) -> Error {
    Error::new(class, format!("rpc error: code = {code} desc = {why}"))
}

pub(crate) fn no_leader() -> Error {
    Error::unavailable(format!("rpc error: code = Unknown desc = {NO_LEADER}"))
}

pub(crate) fn refusal(refusal: &Refusal) -> Error {
    match refusal {
        Refusal::NotFound { .. } => rpc(Class::NotFound, "NotFound", refusal),
        Refusal::Exists { .. } | Refusal::NameConflict { .. } => {
            rpc(Class::Conflict, "AlreadyExists", refusal)
        }
        // Docker answers 500 here; a conflict says what it is, and the text stays.
        Refusal::OutOfSequence { .. } => rpc(Class::Conflict, "Unknown", refusal),
        Refusal::Stale { .. } => rpc(Class::Conflict, "Unknown", "update out of sequence"),
        Refusal::Invalid(_) => rpc(Class::InvalidParameter, "InvalidArgument", refusal),
    }
}

pub(crate) fn propose(error: &ProposeError) -> Error {
    match error {
        ProposeError::Refused(refused) => refusal(refused),
        ProposeError::NotLeader { .. } | ProposeError::NoQuorum => no_leader(),
        ProposeError::TooLarge { .. } => rpc(Class::InvalidParameter, "InvalidArgument", error),
        ProposeError::Unknown { .. } | ProposeError::Stopped(_) => {
            rpc(Class::Unavailable, "Unavailable", error)
        }
    }
}

pub(crate) fn read(error: &ReadError) -> Error {
    match error {
        ReadError::NoQuorum => no_leader(),
        ReadError::Stopped(_) => rpc(Class::Unavailable, "Unavailable", error),
    }
}

pub(crate) fn membership(error: &MembershipError) -> Error {
    match error {
        MembershipError::WouldLoseQuorum => rpc(Class::InvalidParameter, "FailedPrecondition", error),
        MembershipError::NotLeader { .. } | MembershipError::NoQuorum => no_leader(),
        _ => rpc(Class::System, "Unknown", error),
    }
}

/// An answer of another manager, back in the terms of the API.
pub(crate) fn status(status: &tonic::Status) -> Error {
    use tonic::Code;
    let (class, code) = match status.code() {
        Code::InvalidArgument => (Class::InvalidParameter, "InvalidArgument"),
        Code::NotFound => (Class::NotFound, "NotFound"),
        Code::AlreadyExists => (Class::Conflict, "AlreadyExists"),
        Code::PermissionDenied => (Class::Forbidden, "PermissionDenied"),
        Code::Unauthenticated => (Class::Unauthorized, "Unauthenticated"),
        Code::FailedPrecondition => (Class::InvalidParameter, "FailedPrecondition"),
        Code::DeadlineExceeded => (Class::Unavailable, "DeadlineExceeded"),
        Code::Unavailable => (Class::Unavailable, "Unavailable"),
        _ => (Class::System, "Unknown"),
    };
    rpc(class, code, status.message())
}
