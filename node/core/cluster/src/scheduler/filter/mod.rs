//! What a node must have to take a task. One filter, one file; each can say what it refused.

pub mod constraints;
pub mod host_ports;
pub mod max_replicas;
pub mod platform;
pub mod ready;
pub mod resources;

use super::fleet::Load;
use shoal_raft_objects::{Node, Task};

/// A question to one node about one kind of task. Made for the task once, asked for every node.
pub trait Filter {
    fn admits(&self, node: &Node, load: &Load) -> bool;
    /// Why `nodes` nodes were refused, in Docker's words.
    fn explain(&self, nodes: u64) -> String;
}

/// All filters that have something to say about a task, asked in order; the first refusal counts.
pub struct Pipeline {
    filters: Vec<(Box<dyn Filter>, u64)>,
}

impl Pipeline {
    pub fn new(task: &Task) -> Self {
        let filters = [
            Some(Box::new(ready::Ready) as Box<dyn Filter>),
            resources::filter(task),
            constraints::filter(task),
            platform::filter(task),
            host_ports::filter(task),
            max_replicas::filter(task),
        ];
        Self {
            filters: filters.into_iter().flatten().map(|filter| (filter, 0)).collect(),
        }
    }

    /// Whether the node can take one more; a refusal is remembered for the explanation.
    pub fn admits(&mut self, node: &Node, load: &Load) -> bool {
        for (filter, refused) in &mut self.filters {
            if !filter.admits(node, load) {
                *refused += 1;
                return false;
            }
        }
        true
    }

    /// The reasons of all refusals so far, the commonest first; empty if there were none (or no nodes).
    pub fn explain(&self) -> String {
        let mut refusals: Vec<_> = self.filters.iter().filter(|(_, refused)| *refused > 0).collect();
        refusals.sort_by_key(|(_, refused)| std::cmp::Reverse(*refused));
        let texts: Vec<_> = refusals
            .into_iter()
            .map(|(filter, refused)| filter.explain(*refused))
            .collect();
        texts.join("; ")
    }
}

fn on_nodes(what: &str, nodes: u64) -> String {
    match nodes {
        1 => format!("{what} on 1 node"),
        n => format!("{what} on {n} nodes"),
    }
}
