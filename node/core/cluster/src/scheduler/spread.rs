//! The order in which nodes are taken.
//!
//! With spread preferences the nodes hang in a tree, one level for each preference, a branch for each value of its
//! label; at every level the branch with the fewest tasks of the service is filled first. Without, the tree is one leaf.

use shoal_raft_objects::{Node, Task};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

/// What a node is judged by, the smaller the better, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Candidate {
    /// Recent failures of this service here, if there are so many that the node is avoided.
    pub failures: usize,
    pub of_service: u64,
    pub total: u64,
    /// The image would have to be brought to it.
    pub lacks_image: bool,
}

pub struct Tree {
    labels: Vec<Label>,
    root: Branch,
    nodes: Vec<Arc<Node>>,
}

enum Label {
    Node(String),
    Engine(String),
}

#[derive(Default)]
struct Branch {
    /// Tasks of the service on all nodes below, whether these can take more or not.
    tasks: u64,
    branches: BTreeMap<String, Branch>,
    leaf: BinaryHeap<Reverse<(Candidate, usize)>>,
}

impl Tree {
    pub fn new(task: &Task) -> Self {
        let preferences = task
            .spec
            .placement
            .as_ref()
            .map_or(&[][..], |p| &p.preferences[..]);
        let labels = preferences
            .iter()
            .filter_map(|p| p.spread.as_ref())
            .filter_map(|s| label(&s.spread_descriptor))
            .collect();
        Self {
            labels,
            root: Branch::default(),
            nodes: Vec::new(),
        }
    }

    /// A node that can take a task.
    pub fn add(&mut self, node: &Arc<Node>, candidate: Candidate) {
        let index = self.nodes.len();
        self.nodes.push(node.clone());
        let mut branch = &mut self.root;
        for label in &self.labels {
            branch = branch.branches.entry(label.value(node)).or_default();
        }
        branch.leaf.push(Reverse((candidate, index)));
    }

    /// Counts what a node already has.
    pub fn count(&mut self, node: &Node, tasks: u64) {
        let mut branch = &mut self.root;
        branch.tasks += tasks;
        for label in &self.labels {
            branch = branch.branches.entry(label.value(node)).or_default();
            branch.tasks += tasks;
        }
    }

    /// The node that the next task should go to.
    pub fn best(&mut self) -> Option<Arc<Node>> {
        let index = self.root.best()?;
        self.nodes.get(index).cloned()
    }

    /// The best node is full.
    pub fn drop_best(&mut self) {
        self.root.pop(0);
    }

    /// The best node has got a task.
    pub fn replace_best(&mut self, candidate: Candidate) {
        if let Some(index) = self.root.pop(1) {
            let node = self.nodes[index].clone();
            let mut branch = &mut self.root;
            for label in &self.labels {
                branch = branch.branches.entry(label.value(&node)).or_default();
            }
            branch.leaf.push(Reverse((candidate, index)));
        }
    }
}

impl Branch {
    fn best(&self) -> Option<usize> {
        if let Some(Reverse((_, index))) = self.leaf.peek() {
            return Some(*index);
        }
        self.emptiest()
            .and_then(|key| self.branches.get(key))
            .and_then(Branch::best)
    }

    /// Takes the best node out and adds `tasks` to the branches on the way to it.
    fn pop(&mut self, tasks: u64) -> Option<usize> {
        self.tasks += tasks;
        if let Some(Reverse((_, index))) = self.leaf.pop() {
            return Some(index);
        }
        let key = self.emptiest()?.clone();
        self.branches.get_mut(&key)?.pop(tasks)
    }

    fn emptiest(&self) -> Option<&String> {
        self.branches
            .iter()
            .filter(|(_, branch)| branch.has_room())
            .min_by_key(|(_, branch)| branch.tasks)
            .map(|(key, _)| key)
    }

    fn has_room(&self) -> bool {
        !self.leaf.is_empty() || self.branches.values().any(Branch::has_room)
    }
}

impl Label {
    fn value(&self, node: &Node) -> String {
        let value = match self {
            Label::Node(key) => node.spec.labels.get(key),
            Label::Engine(key) => node.description.engine_labels.get(key),
        };
        value.cloned().unwrap_or_default()
    }
}

/// Other descriptors are ignored, as in Docker.
fn label(descriptor: &str) -> Option<Label> {
    if let Some(key) = descriptor.strip_prefix("node.labels.") {
        return Some(Label::Node(key.to_owned()));
    }
    let key = descriptor.strip_prefix("engine.labels.")?;
    Some(Label::Engine(key.to_owned()))
}
