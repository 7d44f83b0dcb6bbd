//! What must hold of the managers together, one file each. What must hold of each entry stands in
//! [`crate::plane::invariants`].

pub mod acknowledged;
pub mod convergence;
pub mod election_safety;
pub mod leader_completeness;
pub mod log_matching;
pub mod state_machine;
