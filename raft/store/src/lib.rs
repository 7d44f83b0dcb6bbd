//! The cluster's state as a value: tables, indexes, and the one function that changes them.
//!
//! [`State`] is persistent (a clone shares everything and costs a few pointers), so a reader keeps a consistent view
//! for as long as it likes while writes go on. [`State::apply`] takes one committed [`Proposal`] and either performs
//! all of its writes or none; it is deterministic, so every manager reaches the same state and the same refusals.
//! [`snapshot`] turns a state into bounded, checksummed chunks and back.
//!
//! Nothing here knows a clock, a disk, a socket, a thread or a random source, and nothing decides what *should* be
//! written. Called by `raft/consensus` (apply, snapshot), read by `node/core/cluster` and `node/manager`.
//!
//! [`Proposal`]: shoal_raft_objects::Proposal

mod apply;
mod read;
pub mod snapshot;
mod state;
mod table;

pub use apply::Outcome;
pub use state::State;
pub use table::{Row, Table};
