//! The view as it will be once the decisions so far are applied.
//!
//! Deciders run one after the other on one draft, each seeing what the others decided. The draft applies every change
//! to its own copy of the state (which costs a few pointers) and in the end says the difference between that copy and
//! the view: one write per object, based on the version in the view.

use crate::decision::Packer;
use shoal_raft_objects::{
    Kind, Node, NodeId, Object, Proposal, Refusal, Service, ServiceId, Task, TaskId, TaskState, Time, Write,
};
use shoal_raft_store::{Outcome, State};
use std::collections::BTreeSet;

/// Writes of one key go into one proposal: a slot's old and new task change together or not at all. The order is that
/// of the proposals: nodes, then each service with its slots.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Group {
    Node(NodeId),
    Slot(ServiceId, u64, NodeId),
}

pub(crate) struct Draft<'a> {
    base: &'a State,
    state: State,
    pub now: Time,
    changed: BTreeSet<(Group, Kind, String)>,
}

impl<'a> Draft<'a> {
    pub fn new(base: &'a State, now: Time) -> Self {
        Self {
            base,
            state: base.clone(),
            now,
            changed: BTreeSet::new(),
        }
    }

    /// The view with all decisions so far.
    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn create_task(&mut self, task: Task) {
        let key = task_key(&task);
        self.write(key, Write::Create(task.into()));
    }

    pub fn update_task(&mut self, task: Task) {
        let key = task_key(&task);
        let touched = self.state.task(&task.id).map_or(0, |t| t.meta.touched);
        self.write(
            key,
            Write::Update {
                object: task.into(),
                touched,
            },
        );
    }

    pub fn desire(&mut self, task: &Task, desired: TaskState) {
        self.write(
            task_key(task),
            Write::Desired {
                task: task.id.clone(),
                desired,
            },
        );
    }

    pub fn drained(&mut self, task: &Task, unheard: Vec<NodeId>) {
        self.write(
            task_key(task),
            Write::Drained {
                task: task.id.clone(),
                unheard,
            },
        );
    }

    pub fn delete_task(&mut self, task: &Task) {
        self.write(
            task_key(task),
            Write::Delete {
                kind: Kind::Task,
                id: task.id.as_str().to_owned(),
                touched: None,
            },
        );
    }

    pub fn update_node(&mut self, node: Node) {
        let key = (
            Group::Node(node.id.clone()),
            Kind::Node,
            node.id.as_str().to_owned(),
        );
        let touched = self.state.node(&node.id).map_or(0, |n| n.meta.touched);
        self.write(
            key,
            Write::Update {
                object: node.into(),
                touched,
            },
        );
    }

    pub fn update_service(&mut self, service: Service) {
        let group = Group::Slot(service.id.clone(), 0, NodeId::default());
        let key = (group, Kind::Service, service.id.as_str().to_owned());
        let touched = self.state.service(&service.id).map_or(0, |s| s.meta.touched);
        self.write(
            key,
            Write::Update {
                object: service.into(),
                touched,
            },
        );
    }

    pub fn changed_nodes(&self) -> impl Iterator<Item = NodeId> {
        self.changed
            .iter()
            .filter(|(_, kind, _)| *kind == Kind::Node)
            .map(|(_, _, id)| NodeId::from(id.as_str()))
    }

    /// Tasks that were created or changed, as they are now.
    pub fn changed_tasks(&self) -> impl Iterator<Item = &Task> {
        self.changed
            .iter()
            .filter(|(_, kind, _)| *kind == Kind::Task)
            .filter_map(|(_, _, id)| self.state.task(&TaskId::from(id.as_str())).map(|task| &**task))
    }

    /// The difference to the view as proposals of at most `writes_max` writes.
    pub fn finish(self, writes_max: usize) -> Vec<Proposal> {
        let mut packer = Packer::new(self.now, writes_max);
        let mut group: Vec<Write> = Vec::new();
        let mut of: Option<&Group> = None;
        for (key, kind, id) in &self.changed {
            if of != Some(key) {
                if !group.is_empty() {
                    packer.add(std::mem::take(&mut group));
                }
                of = Some(key);
            }
            group.extend(self.difference(*kind, id));
        }
        if !group.is_empty() {
            packer.add(group);
        }
        packer.finish()
    }

    fn write(&mut self, key: (Group, Kind, String), write: Write) {
        let index = self.state.applied() + 1;
        let proposal = Proposal {
            at: self.now,
            writes: vec![write],
        };
        match self.state.apply(index, &proposal) {
            Outcome::Applied(events) if events.is_empty() => {}
            Outcome::Applied(_) => {
                self.changed.insert(key);
            }
            // Only a bug here could ask for the impossible; the state refuses it, and so would the cluster.
            Outcome::Refused(refusal) => debug_assert!(false, "{}", explain(&key, &refusal)),
        }
    }

    fn difference(&self, kind: Kind, id: &str) -> Option<Write> {
        let old = self.base.object(kind, id);
        let new = self.state.object(kind, id);
        match (old, new) {
            (None, None) => None,
            (None, Some(new)) => Some(Write::Create(new)),
            (Some(_), None) => Some(Write::Delete {
                kind,
                id: id.to_owned(),
                touched: None,
            }),
            (Some(Object::Task(old)), Some(Object::Task(new))) if only_desired_differs(&old, &new) => {
                Some(Write::Desired {
                    task: new.id,
                    desired: new.desired,
                })
            }
            (Some(Object::Task(old)), Some(Object::Task(new))) if only_drained_differs(&old, &new) => {
                Some(Write::Drained {
                    task: new.id,
                    unheard: new.unheard,
                })
            }
            (Some(old), Some(object)) => Some(Write::Update {
                touched: old.meta().touched,
                object,
            }),
        }
    }
}

fn task_key(task: &Task) -> (Group, Kind, String) {
    // A global service's replica is told by its node; one with a slot keeps its key when it is scheduled.
    let node = if task.slot == 0 {
        task.node_id.clone()
    } else {
        NodeId::default()
    };
    (
        Group::Slot(task.service_id.clone(), task.slot, node),
        Kind::Task,
        task.id.as_str().to_owned(),
    )
}

fn only_desired_differs(old: &Task, new: &Task) -> bool {
    let mut same = old.clone();
    same.desired = new.desired;
    same.meta = new.meta;
    same == *new
}

fn only_drained_differs(old: &Task, new: &Task) -> bool {
    let mut same = old.clone();
    same.drained = new.drained;
    same.unheard.clone_from(&new.unheard);
    same.meta = new.meta;
    same == *new
}

fn explain(key: &(Group, Kind, String), refusal: &Refusal) -> String {
    format!("a decision about {:?} {} is impossible: {refusal}", key.1, key.2)
}
