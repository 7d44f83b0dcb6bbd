//! The deciders alone: one state, one leader, no Raft.
//!
//! [`agents`] are nodes that run no containers but behave as if they did; [`world`] drives the leader's step over one
//! state with them, so that a minute of a cluster's life costs milliseconds; [`invariants`] say, one file each, what
//! no log entry may ever lead to; a [`story`] is commands in and text out.

pub mod agents;
pub mod dice;
pub mod invariants;
pub mod story;
mod trace;
pub mod world;
