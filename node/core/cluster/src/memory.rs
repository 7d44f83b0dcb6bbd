//! What the leader's loop remembers between two steps, so that a step costs what has changed and not what exists.
//!
//! Nothing here is needed for correctness: a new leader starts with [`Memory::new`] and comes to the same decisions.

use crate::allocator::{Quarantine, is_draining};
use crate::liveness;
use crate::scheduler::{Failures, Fleet};
use shoal_raft_objects::{
    Attachment, Event, NetworkId, NodeId, NodeState, Object, ServiceId, Task, TaskId, TaskState, Time,
    VirtualIp,
};
use shoal_raft_store::State;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

#[derive(Clone, Debug)]
pub struct Memory {
    pub liveness: liveness::Memory,
    /// Everything is to be looked at again.
    pub(crate) all: bool,
    /// Services of which something has changed.
    pub(crate) services: BTreeSet<ServiceId>,
    /// Nodes that changed themselves (not only their tasks).
    pub(crate) nodes: BTreeSet<NodeId>,
    /// When a service is to be looked at again though nothing changes.
    pub(crate) timers: BTreeMap<ServiceId, Time>,
    /// Tasks that have no place yet.
    pub(crate) waiting: BTreeSet<TaskId>,
    pub(crate) fleet: Fleet,
    pub(crate) failures: Failures,
    /// When a rolling update's task was first seen running, by task.
    pub(crate) running: BTreeMap<TaskId, Time>,
    /// Tasks that are to be stopped and still get new connections somewhere.
    pub(crate) draining: BTreeSet<TaskId>,
    /// Addresses that were given up and must not be given yet.
    pub(crate) quarantine: Quarantine,
    /// The same, since the last step.
    released: Vec<(NetworkId, IpAddr)>,
    /// Up to which log index each node has laid its part of the networks.
    laid: BTreeMap<NodeId, u64>,
    writes_max: usize,
}

impl Memory {
    /// Of a leader that begins at `now`: every node gets one full grace before it is judged.
    pub fn new(now: Time) -> Self {
        Self {
            liveness: liveness::Memory::new(now),
            all: true,
            services: BTreeSet::new(),
            nodes: BTreeSet::new(),
            timers: BTreeMap::new(),
            waiting: BTreeSet::new(),
            fleet: Fleet::default(),
            failures: Failures::default(),
            running: BTreeMap::new(),
            draining: BTreeSet::new(),
            quarantine: Quarantine::default(),
            released: Vec::new(),
            laid: BTreeMap::new(),
            writes_max: crate::PROPOSAL_WRITES_MAX,
        }
    }

    /// Takes note of a change. Every event up to the view of the next step must be told, in order; if some were
    /// missed, [`Memory::rescan`].
    pub fn observe(&mut self, event: &Event, now: Time) {
        match event.object() {
            Object::Task(task) => self.observe_task(task, event, now),
            Object::Service(service) => {
                self.services.insert(service.id.clone());
                self.observe_endpoint(event);
            }
            Object::Node(node) => {
                self.nodes.insert(node.id.clone());
                self.fleet.forget(&node.id);
                if let Event::Deleted(Object::Node(node)) = event {
                    self.laid.remove(&node.id);
                    self.release(&node.attachments);
                }
            }
            // The history limit, the grace: settings of the cluster concern everything.
            Object::Cluster(_) => self.rescan(),
            // Services may have waited for it, or lose what they had on it.
            Object::Network(_) => self.rescan(),
            Object::Secret(_) | Object::Config(_) => {}
        }
    }

    /// The next step looks at everything, as a new leader's first one does.
    pub fn rescan(&mut self) {
        self.all = true;
    }

    /// One of the proposals was refused: the view was stale. Smaller proposals lose less when that happens again.
    pub fn refused(&mut self) {
        self.writes_max = (self.writes_max / 4).max(1);
        self.rescan();
    }

    pub fn applied(&mut self) {
        self.writes_max = (self.writes_max * 2).min(crate::PROPOSAL_WRITES_MAX);
    }

    pub(crate) fn writes_max(&self) -> usize {
        self.writes_max
    }

    /// `node` has laid its part of the networks as they are at log index `index`.
    pub fn laid(&mut self, node: &NodeId, index: u64) {
        let known = self.laid.entry(node.clone()).or_default();
        *known = (*known).max(index);
    }

    /// The log index up to which every node that is up knows the networks. A node that is down is not waited for: when it
    /// returns it is told everything before it does anything.
    pub fn acknowledged(&self, state: &State) -> u64 {
        let up = state
            .nodes()
            .iter()
            .filter(|n| n.status.state == NodeState::Ready);
        up.map(|n| self.laid.get(&n.id).copied().unwrap_or(0))
            .min()
            .unwrap_or(state.applied())
    }

    /// Nodes that are up and have not laid the networks as they are at log index `index`.
    pub fn unheard(&self, state: &State, index: u64) -> Vec<NodeId> {
        let behind = state.nodes().iter().filter(|n| {
            n.status.state == NodeState::Ready && self.laid.get(&n.id).copied().unwrap_or(0) < index
        });
        behind.map(|n| n.id.clone()).collect()
    }

    /// What was given up before this view rests until every node has seen the view.
    pub(crate) fn settle_releases(&mut self, applied: u64) {
        for (network, address) in std::mem::take(&mut self.released) {
            self.quarantine.rest(&network, address, applied);
        }
    }

    fn release(&mut self, places: &[Attachment]) {
        for place in places {
            let six = place.address6.map(IpAddr::V6);
            let both = std::iter::once(IpAddr::V4(place.address)).chain(six);
            self.released
                .extend(both.map(|address| (place.network.clone(), address)));
        }
    }

    fn observe_endpoint(&mut self, event: &Event) {
        let (old, new) = match event {
            Event::Updated {
                old: Object::Service(old),
                new: Object::Service(new),
            } => (old, Some(new)),
            Event::Deleted(Object::Service(old)) => (old, None),
            _ => return,
        };
        let kept = |vip: &&VirtualIp| new.is_some_and(|new| new.endpoint.virtual_ips.contains(vip));
        let gone = old.endpoint.virtual_ips.iter().filter(|vip| !kept(vip));
        self.released
            .extend(gone.map(|vip| (vip.network.clone(), IpAddr::V4(vip.address))));
    }

    fn observe_task(&mut self, task: &Task, event: &Event, now: Time) {
        self.services.insert(task.service_id.clone());
        if !task.node_id.is_empty() {
            self.fleet.forget(&task.node_id);
        }
        let gone = matches!(event, Event::Deleted(_));
        if gone || task.status.state >= TaskState::Assigned {
            self.waiting.remove(&task.id);
        } else {
            self.waiting.insert(task.id.clone());
        }
        if gone {
            self.running.remove(&task.id);
            self.release(&task.networks);
        }
        if !gone && is_draining(task) {
            self.draining.insert(task.id.clone());
        } else {
            self.draining.remove(&task.id);
        }
        if let Event::Updated {
            old: Object::Task(old),
            ..
        } = event
        {
            let failed = |t: &Task| matches!(t.status.state, TaskState::Failed | TaskState::Rejected);
            if failed(task) && !failed(old) && !task.node_id.is_empty() {
                self.failures.note(task, now);
            }
        }
    }
}
