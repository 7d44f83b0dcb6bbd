//! Placement constraints.

use super::{Filter, Load, on_nodes};
use crate::constraint::{self, Constraint};
use shoal_raft_objects::{Node, Task};

/// `None` inside: a constraint that this version does not understand, which no node satisfies.
struct Constraints(Option<Vec<Constraint>>);

pub fn filter(task: &Task) -> Option<Box<dyn Filter>> {
    let placement = task.spec.placement.as_ref()?;
    if placement.constraints.is_empty() {
        return None;
    }
    Some(Box::new(Constraints(
        constraint::parse_all(&placement.constraints).ok(),
    )))
}

impl Filter for Constraints {
    fn admits(&self, node: &Node, _: &Load) -> bool {
        let Constraints(constraints) = self;
        constraints
            .as_ref()
            .is_some_and(|all| all.iter().all(|c| c.matches(node)))
    }

    fn explain(&self, nodes: u64) -> String {
        on_nodes("scheduling constraints not satisfied", nodes)
    }
}
