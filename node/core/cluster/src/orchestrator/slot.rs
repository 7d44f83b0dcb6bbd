//! One replica: a slot of a replicated service or a node of a global one, with its tasks past and present.

use super::restart;
use crate::task::{by_age, is_over, is_wanted};
use shoal_raft_objects::service::UpdateState;
use shoal_raft_objects::{NodeId, Service, Task, TaskState};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Slot {
    /// 0 for a global service.
    pub number: u64,
    /// Empty for a replicated service.
    pub node: NodeId,
    /// Oldest first.
    pub tasks: Vec<Arc<Task>>,
}

/// Tasks by slot (or node), in the order of slots.
pub(crate) fn group(tasks: Vec<Arc<Task>>) -> Vec<Slot> {
    let mut slots: BTreeMap<(u64, NodeId), Vec<Arc<Task>>> = BTreeMap::new();
    for task in tasks {
        let node = if task.slot == 0 {
            task.node_id.clone()
        } else {
            NodeId::default()
        };
        slots.entry((task.slot, node)).or_default().push(task);
    }
    slots
        .into_iter()
        .map(|((number, node), mut tasks)| {
            tasks.sort_by(|a, b| by_age(a, b));
            Slot { number, node, tasks }
        })
        .collect()
}

impl Slot {
    pub fn wanted(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.iter().filter(|task| is_wanted(task))
    }

    pub fn newest(&self) -> Option<&Arc<Task>> {
        self.tasks.last()
    }

    pub fn is_running(&self) -> bool {
        self.wanted().any(|task| task.status.state == TaskState::Running)
    }

    /// It counts as one of the replicas: something is wanted in it, or it has ended and, by its restart policy, is
    /// meant to stay ended. During a rollback the latter do not count, so that a rollback ends with the old spec
    /// running everywhere.
    pub(crate) fn counts(&self, service: &Service) -> bool {
        if self.wanted().next().is_some() {
            return true;
        }
        let rolling_back = service
            .update_status
            .as_ref()
            .is_some_and(|status| status.state == UpdateState::RollbackStarted);
        !rolling_back && self.rested().is_some_and(|task| !restart::allowed(task))
    }

    /// The newest task, if it has ended by itself and nothing is wanted in this slot any more.
    pub(crate) fn rested(&self) -> Option<&Arc<Task>> {
        self.newest()
            .filter(|task| !is_wanted(task) && is_over(task) && task.desired < TaskState::Remove)
    }
}
