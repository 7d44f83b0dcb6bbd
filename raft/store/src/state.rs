//! All tables together.

use crate::table::{Row, Table, TaskIndex};
use imbl::OrdMap;
use shoal_raft_objects::{
    Cluster, Config, Kind, Network, Node, NodeId, Object, RaftId, Secret, Service, Task,
};
use std::sync::Arc;

/// The whole cluster at one log index.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Index of the last log entry that this state has seen, writes or not.
    pub(crate) applied: u64,
    pub(crate) clusters: Table<Cluster>,
    pub(crate) nodes: Table<Node>,
    pub(crate) services: Table<Service>,
    pub(crate) tasks: Table<Task>,
    pub(crate) networks: Table<Network>,
    pub(crate) secrets: Table<Secret>,
    pub(crate) configs: Table<Config>,
    pub(crate) task_index: TaskIndex,
    pub(crate) raft_ids: OrdMap<RaftId, NodeId>,
}

/// A kind's table, for code that treats all kinds alike.
pub(crate) trait Holds<T: Row> {
    fn table(&self) -> &Table<T>;
    /// Inserts or replaces and keeps every index in step.
    fn put(&mut self, row: Arc<T>);
    fn take(&mut self, id: &T::Id) -> Option<Arc<T>>;
}

macro_rules! plain {
    ($($kind:ident in $table:ident),*) => {$(
        impl Holds<$kind> for State {
            fn table(&self) -> &Table<$kind> {
                &self.$table
            }
            fn put(&mut self, row: Arc<$kind>) {
                self.$table.put(row);
            }
            fn take(&mut self, id: &<$kind as Row>::Id) -> Option<Arc<$kind>> {
                self.$table.take(id)
            }
        }
    )*};
}
plain!(Cluster in clusters, Service in services, Network in networks, Secret in secrets, Config in configs);

impl Holds<Task> for State {
    fn table(&self) -> &Table<Task> {
        &self.tasks
    }
    fn put(&mut self, row: Arc<Task>) {
        let old = self.tasks.get(&row.id).cloned();
        self.task_index.put(old.as_deref(), &row);
        self.tasks.put(row);
    }
    fn take(&mut self, id: &<Task as Row>::Id) -> Option<Arc<Task>> {
        let row = self.tasks.take(id)?;
        self.task_index.take(&row);
        Some(row)
    }
}

impl Holds<Node> for State {
    fn table(&self) -> &Table<Node> {
        &self.nodes
    }
    fn put(&mut self, row: Arc<Node>) {
        self.forget_raft_id(&row.id);
        if let Some(manager) = &row.manager {
            self.raft_ids.insert(manager.raft_id, row.id.clone());
        }
        self.nodes.put(row);
    }
    fn take(&mut self, id: &NodeId) -> Option<Arc<Node>> {
        self.forget_raft_id(id);
        self.nodes.take(id)
    }
}

impl State {
    fn forget_raft_id(&mut self, id: &NodeId) {
        if let Some(manager) = self.nodes.get(id).and_then(|n| n.manager.as_ref()) {
            self.raft_ids.remove(&manager.raft_id);
        }
    }

    /// Puts an object without any check; for snapshots, whose objects were checked when they were first written.
    pub(crate) fn restore(&mut self, object: Object) {
        match object {
            Object::Cluster(o) => Holds::<Cluster>::put(self, Arc::from(o)),
            Object::Node(o) => Holds::<Node>::put(self, Arc::from(o)),
            Object::Service(o) => Holds::<Service>::put(self, Arc::from(o)),
            Object::Task(o) => Holds::<Task>::put(self, Arc::from(o)),
            Object::Network(o) => Holds::<Network>::put(self, Arc::from(o)),
            Object::Secret(o) => Holds::<Secret>::put(self, Arc::from(o)),
            Object::Config(o) => Holds::<Config>::put(self, Arc::from(o)),
        }
    }

    /// All objects of all kinds, one table after the other, in the order of their ids.
    pub fn objects(&self) -> impl Iterator<Item = Object> + '_ {
        fn all<T: Row>(table: &Table<T>) -> impl Iterator<Item = Object> + '_ {
            table.iter().map(|row| T::clone(row).into_object())
        }
        all(&self.clusters)
            .chain(all(&self.nodes))
            .chain(all(&self.services))
            .chain(all(&self.tasks))
            .chain(all(&self.networks))
            .chain(all(&self.secrets))
            .chain(all(&self.configs))
    }

    /// One object of any kind.
    pub fn object(&self, kind: Kind, id: &str) -> Option<Object> {
        fn one<T: Row>(table: &Table<T>, id: &str) -> Option<Object> {
            table.get(&T::id_from(id)).map(|row| T::clone(row).into_object())
        }
        match kind {
            Kind::Cluster => one(&self.clusters, id),
            Kind::Node => one(&self.nodes, id),
            Kind::Service => one(&self.services, id),
            Kind::Task => one(&self.tasks, id),
            Kind::Network => one(&self.networks, id),
            Kind::Secret => one(&self.secrets, id),
            Kind::Config => one(&self.configs, id),
        }
    }
}

/// Equal when they hold the same objects at the same index; indexes follow from the objects.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        fn same<T: Row>(a: &Table<T>, b: &Table<T>) -> bool {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| Arc::ptr_eq(a, b) || a == b)
        }
        self.applied == other.applied
            && same(&self.clusters, &other.clusters)
            && same(&self.nodes, &other.nodes)
            && same(&self.services, &other.services)
            && same(&self.tasks, &other.tasks)
            && same(&self.networks, &other.networks)
            && same(&self.secrets, &other.secrets)
            && same(&self.configs, &other.configs)
    }
}
