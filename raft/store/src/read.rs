//! How the state is asked.

use crate::state::State;
use crate::table::Table;
use shoal_raft_objects::{
    Cluster, Config, ConfigId, Network, NetworkId, Node, NodeId, RaftId, Secret, SecretId, Service,
    ServiceId, Task, TaskId,
};
use std::sync::Arc;

macro_rules! tables {
    ($($one:ident, $all:ident: $kind:ident by $id:ident;)*) => {$(
        pub fn $one(&self, id: &$id) -> Option<&Arc<$kind>> {
            self.$all.get(id)
        }
        /// The table itself: in the order of ids, by name, by prefix of the id.
        pub fn $all(&self) -> &Table<$kind> {
            &self.$all
        }
    )*};
}

impl State {
    tables! {
        node, nodes: Node by NodeId;
        service, services: Service by ServiceId;
        task, tasks: Task by TaskId;
        network, networks: Network by NetworkId;
        secret, secrets: Secret by SecretId;
        config, configs: Config by ConfigId;
    }

    /// Index of the last log entry that this state has seen.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// The cluster object; absent until `swarm init` has written it.
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.clusters.iter().next()
    }

    pub fn service_named(&self, name: &str) -> Option<&Arc<Service>> {
        self.services.named(name).next()
    }

    /// The manager with that id inside Raft.
    pub fn node_of_raft(&self, id: RaftId) -> Option<&Arc<Node>> {
        self.nodes.get(self.raft_ids.get(&id)?)
    }

    /// Tasks of a service, in the order of their ids; also after the service itself is gone.
    pub fn tasks_of_service(&self, id: &ServiceId) -> impl Iterator<Item = &Arc<Task>> {
        self.task_index.of_service(id).filter_map(|id| self.tasks.get(id))
    }

    /// Tasks that were given to a node.
    pub fn tasks_of_node(&self, id: &NodeId) -> impl Iterator<Item = &Arc<Task>> {
        self.task_index.of_node(id).filter_map(|id| self.tasks.get(id))
    }

    /// Tasks, past and present, of one replica of a replicated service (`slot` from 1).
    pub fn tasks_of_slot(&self, id: &ServiceId, slot: u64) -> impl Iterator<Item = &Arc<Task>> {
        self.task_index
            .of_slot(id, slot)
            .filter_map(|id| self.tasks.get(id))
    }

    /// Tasks that have or had a place on a network.
    pub fn tasks_of_network(&self, id: &NetworkId) -> impl Iterator<Item = &Arc<Task>> {
        self.task_index.of_network(id).filter_map(|id| self.tasks.get(id))
    }

    /// Ids of all services that have tasks, including services that are gone.
    pub fn services_with_tasks(&self) -> impl Iterator<Item = &ServiceId> {
        self.task_index.services()
    }
}
