//! What the leader's loop remembers between two steps, so that a step costs what has changed and not what exists.
//!
//! Nothing here is needed for correctness: a new leader starts with [`Memory::new`] and comes to the same decisions.

use crate::liveness;
use crate::scheduler::{Failures, Fleet};
use shoal_raft_objects::{Event, NodeId, Object, ServiceId, Task, TaskId, TaskState, Time};
use std::collections::{BTreeMap, BTreeSet};

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
            }
            Object::Node(node) => {
                self.nodes.insert(node.id.clone());
                self.fleet.forget(&node.id);
            }
            // The history limit, the grace: settings of the cluster concern everything.
            Object::Cluster(_) => self.rescan(),
            Object::Network(_) | Object::Secret(_) | Object::Config(_) => {}
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
