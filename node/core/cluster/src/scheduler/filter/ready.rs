//! Ready and active nodes only.

use super::{Filter, Load};
use shoal_raft_objects::Node;

pub struct Ready;

impl Filter for Ready {
    fn admits(&self, node: &Node, _: &Load) -> bool {
        node.is_schedulable()
    }

    fn explain(&self, nodes: u64) -> String {
        match nodes {
            1 => "1 node not available for new tasks".into(),
            n => format!("{n} nodes not available for new tasks"),
        }
    }
}
