//! The simulation: scripts and random runs without Raft, fixed seeds with it.

mod plane;
mod runtime;
mod seeds;
