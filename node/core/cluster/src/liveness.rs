//! Who lives: heartbeats come in as values, nodes turn ready or down.

use crate::draft::Draft;
use crate::step::earliest;
use shoal_raft_objects::{Node, NodeId, NodeState, Time};
use shoal_raft_store::State;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What Docker says of a node that stopped answering.
const SILENT: &str = "heartbeat failure";

/// When each node was last heard of, by the leader's clock. Heartbeats are not written to the log; only what follows
/// from them is.
#[derive(Clone, Debug)]
pub struct Memory {
    since: Time,
    heard: BTreeMap<NodeId, Time>,
    left: BTreeSet<NodeId>,
}

impl Memory {
    /// Nothing was heard before `now`, and nobody is blamed for that: every node has a full grace from here.
    pub fn new(now: Time) -> Self {
        Self {
            since: now,
            heard: BTreeMap::new(),
            left: BTreeSet::new(),
        }
    }

    /// The node was heard of at `at`, directly or through another manager.
    pub fn heard(&mut self, node: &NodeId, at: Time) {
        self.left.remove(node);
        let last = self.heard.entry(node.clone()).or_insert(at);
        *last = at.max(*last);
    }

    /// The node said that it goes: it is down without any grace.
    pub fn left(&mut self, node: &NodeId) {
        self.heard.remove(node);
        self.left.insert(node.clone());
    }

    pub fn last_heard(&self, node: &NodeId) -> Option<Time> {
        self.heard.get(node).copied()
    }

    /// Down unless heard of until then; none for a node that left or was removed.
    fn deadline(&self, node: &Node, grace: Duration) -> Option<Time> {
        if self.left.contains(&node.id) {
            return None;
        }
        let heard = self.heard.get(&node.id).copied().unwrap_or_default();
        // Whoever wrote that the node is ready had heard of it; a node that just joined has not had time to speak.
        let written = match node.status.state {
            NodeState::Down => Time::ZERO,
            _ => node.meta.created_at.max(node.status.since),
        };
        Some(heard.max(self.since).max(written).after(grace))
    }
}

/// The cluster's grace; the default of a cluster that has none.
pub fn grace(state: &State) -> Duration {
    let nanos = state.cluster().map_or(0, |c| c.spec.heartbeat_grace);
    match u64::try_from(nanos) {
        Ok(nanos) if nanos > 0 => Duration::from_nanos(nanos),
        _ => Duration::from_secs(4),
    }
}

/// Turns nodes ready or down and says when the next of them is due.
pub(crate) fn judge(draft: &mut Draft<'_>, memory: &mut Memory) -> Option<Time> {
    let now = draft.now;
    let grace = grace(draft.state());
    let mut wake_at = None;
    let mut changes: Vec<Node> = Vec::new();
    let state = draft.state();
    memory.heard.retain(|id, _| state.node(id).is_some());
    memory.left.retain(|id| state.node(id).is_some());
    for node in draft.state().nodes().iter() {
        let deadline = memory.deadline(node, grace);
        let alive = deadline.is_some_and(|at| now < at);
        if alive && node.status.state != NodeState::Down {
            wake_at = earliest(wake_at, deadline);
        }
        let become_ready = node.status.state != NodeState::Ready
            && alive
            && memory
                .heard
                .get(&node.id)
                .is_some_and(|heard| *heard > node.status.since || node.status.state != NodeState::Down);
        let become_down = !alive && node.status.state != NodeState::Down;
        if become_ready || become_down {
            let mut node = Node::clone(node);
            node.status.state = if become_ready {
                NodeState::Ready
            } else {
                NodeState::Down
            };
            node.status.message = if become_ready { "" } else { SILENT }.into();
            node.status.since = now;
            changes.push(node);
        }
    }
    for node in changes {
        draft.update_node(node);
    }
    wake_at
}
