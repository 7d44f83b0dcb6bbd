//! Where tasks are found: by service, by node, by slot, by network.

use imbl::{OrdMap, OrdSet};
use shoal_raft_objects::{NetworkId, NodeId, ServiceId, Task, TaskId};

/// Kept beside the task table and changed only together with it.
#[derive(Clone, Debug, Default)]
pub struct TaskIndex {
    by_service: OrdMap<ServiceId, OrdSet<TaskId>>,
    by_node: OrdMap<NodeId, OrdSet<TaskId>>,
    by_slot: OrdMap<(ServiceId, u64), OrdSet<TaskId>>,
    by_network: OrdMap<NetworkId, OrdSet<TaskId>>,
}

impl TaskIndex {
    pub fn of_service(&self, id: &ServiceId) -> impl Iterator<Item = &TaskId> {
        self.by_service.get(id).into_iter().flat_map(|ids| ids.iter())
    }

    pub fn of_node(&self, id: &NodeId) -> impl Iterator<Item = &TaskId> {
        self.by_node.get(id).into_iter().flat_map(|ids| ids.iter())
    }

    pub fn of_slot(&self, id: &ServiceId, slot: u64) -> impl Iterator<Item = &TaskId> {
        self.by_slot
            .get(&(id.clone(), slot))
            .into_iter()
            .flat_map(|ids| ids.iter())
    }

    pub fn of_network(&self, id: &NetworkId) -> impl Iterator<Item = &TaskId> {
        self.by_network.get(id).into_iter().flat_map(|ids| ids.iter())
    }

    pub fn services(&self) -> impl Iterator<Item = &ServiceId> {
        self.by_service.keys()
    }

    pub fn put(&mut self, old: Option<&Task>, new: &Task) {
        if let Some(old) = old {
            if old.service_id == new.service_id
                && old.node_id == new.node_id
                && old.slot == new.slot
                && old.networks == new.networks
            {
                return;
            }
            self.take(old);
        }
        self.by_service
            .entry(new.service_id.clone())
            .or_default()
            .insert(new.id.clone());
        if !new.node_id.is_empty() {
            self.by_node
                .entry(new.node_id.clone())
                .or_default()
                .insert(new.id.clone());
        }
        if new.slot != 0 {
            self.by_slot
                .entry((new.service_id.clone(), new.slot))
                .or_default()
                .insert(new.id.clone());
        }
        for place in &new.networks {
            self.by_network
                .entry(place.network.clone())
                .or_default()
                .insert(new.id.clone());
        }
    }

    pub fn take(&mut self, task: &Task) {
        forget(&mut self.by_service, &task.service_id, &task.id);
        forget(&mut self.by_node, &task.node_id, &task.id);
        forget(&mut self.by_slot, &(task.service_id.clone(), task.slot), &task.id);
        for place in &task.networks {
            forget(&mut self.by_network, &place.network, &task.id);
        }
    }
}

fn forget<K: Ord + Clone>(index: &mut OrdMap<K, OrdSet<TaskId>>, key: &K, id: &TaskId) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}
