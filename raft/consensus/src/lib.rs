//! The managers' agreement: proposals in, one ordered history out.
//!
//! ```text
//! propose ─▶ openraft ─▶ raft/log (fsync) ─▶ peers (gRPC) ─▶ committed ─▶ raft/store apply ─▶ state, events, reply
//! ```
//! [`Consensus`] is the handle: propose, read (`state`, `barrier`), [`watch`](Consensus::watch), follow the leadership,
//! change the membership, hand over, shut down. [`Raft`](service) is the gRPC service that the caller mounts on its
//! own TLS listener; [`Dial`] is how the caller lends its connections.
//!
//! openraft's types stay inside, except in [`engine`], which simulations use to run the same code on another runtime,
//! network and disk. Nothing here decides what to write. Called by `node/manager` (and `tests/sim`).

mod config;
mod consensus;
pub mod engine;
mod error;
mod grpc;
mod leadership;
mod machine;
mod members;
mod node;
mod publish;

pub use config::{Config, Dial, Peer, Stream, Timing};
pub use consensus::Consensus;
pub use error::{MembershipError, ProposeError, ReadError, StartError};
pub use grpc::service;
pub use leadership::Leadership;
pub use members::Member;
pub use node::Applied;
pub use publish::{Change, Watcher};
pub use shoal_raft_store::State;

/// The Raft id of the manager that starts a cluster. Later ones get the log index of the write that admitted them,
/// and no such write can have this index: the first two entries are the membership and the first election.
pub const FIRST: shoal_raft_objects::RaftId = shoal_raft_objects::RaftId(1);
