//! What is on the nodes: tasks, reservations, ports. Computed from the state, node by node, when first asked for after
//! a change.

use super::filter::resources::Claim;
use crate::draft::Draft;
use crate::task::{is_over, is_wanted, occupies};
use shoal_raft_objects::{Node, NodeId, ServiceId, Task};
use shoal_raft_store::State;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One node's load.
#[derive(Clone, Default, Debug)]
pub struct Load {
    tasks: u64,
    services: BTreeMap<ServiceId, u64>,
    /// Held until a task has really ended, whatever is wanted of it.
    pub(crate) claimed: Claim,
    /// `(protocol, port)` of host-mode ports.
    pub(crate) ports: BTreeSet<(String, u16)>,
}

impl Load {
    pub fn of_service(&self, service: &ServiceId) -> u64 {
        self.services.get(service).copied().unwrap_or(0)
    }

    pub fn total(&self) -> u64 {
        self.tasks
    }

    fn add(&mut self, task: &Task) {
        if is_wanted(task) && !is_over(task) {
            self.tasks += 1;
            *self.services.entry(task.service_id.clone()).or_default() += 1;
        }
        if occupies(task) {
            self.claimed.add(&Claim::of(&task.spec));
            for port in super::filter::host_ports::wanted(task) {
                self.ports.insert(port);
            }
        }
    }
}

/// Loads of all nodes. What a step decides is laid over them and taken off again: it counts for good once it is
/// applied and its events have been observed.
#[derive(Clone, Default, Debug)]
pub struct Fleet {
    loads: BTreeMap<NodeId, Load>,
    touched: BTreeSet<NodeId>,
    none: Load,
}

impl Fleet {
    pub(crate) fn forget(&mut self, node: &NodeId) {
        self.loads.remove(node);
    }

    pub(crate) fn load(&self, node: &NodeId) -> &Load {
        self.loads.get(node).unwrap_or(&self.none)
    }

    /// Computes the loads that are missing, from the state as the draft has it.
    pub(crate) fn refresh(&mut self, state: &State, nodes: &[Arc<Node>]) {
        for node in nodes {
            if !self.loads.contains_key(&node.id) {
                self.loads.insert(node.id.clone(), load_of(state, &node.id));
            }
        }
    }

    /// Nodes whose tasks this step has changed are counted as the draft has them.
    pub(crate) fn overlay(&mut self, draft: &Draft<'_>) {
        let changed: BTreeSet<_> = draft
            .changed_tasks()
            .filter(|task| !task.node_id.is_empty())
            .map(|task| task.node_id.clone())
            .collect();
        for node in changed {
            self.loads.insert(node.clone(), load_of(draft.state(), &node));
            self.touched.insert(node);
        }
    }

    pub(crate) fn occupy(&mut self, task: &Task) {
        self.loads.entry(task.node_id.clone()).or_default().add(task);
        self.touched.insert(task.node_id.clone());
    }

    pub(crate) fn drop_overlay(&mut self) {
        for node in std::mem::take(&mut self.touched) {
            self.loads.remove(&node);
        }
    }
}

/// A task that is bound to its node but not yet assigned does not count there: it is what is being placed.
fn load_of(state: &State, node: &NodeId) -> Load {
    let mut load = Load::default();
    for task in state
        .tasks_of_node(node)
        .filter(|task| crate::task::is_assigned(task) && task.attached.is_none())
    {
        load.add(task);
    }
    load
}
