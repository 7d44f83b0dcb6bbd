//! The whole control plane from one seed.
//!
//! [`agents`] are nodes that run no containers but behave as if they did; [`control`] is one state with one leader and
//! such agents, without Raft, in which a minute of a cluster's life costs milliseconds; [`invariants`] say, one file
//! each, what must never be seen. All chance comes from a seed and all time from the simulation, so every failure is
//! a number that can be run again. Never a product's code path: only tests call this crate.

pub mod agents;
pub mod control;
pub mod dice;
pub mod invariants;
pub mod story;
