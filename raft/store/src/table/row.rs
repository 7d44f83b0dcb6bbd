//! What every kind of object has in common, as far as a table cares.

use shoal_raft_objects::{
    Cluster, ClusterId, Config, ConfigId, Kind, Meta, Network, NetworkId, Node, NodeId, Object, Secret,
    SecretId, Service, ServiceId, Task, TaskId,
};

/// An object that lives in a table.
pub trait Row: Clone + PartialEq + std::fmt::Debug + 'static {
    type Id: Clone + Ord + std::fmt::Debug;
    const KIND: Kind;
    /// Whether two objects of this kind may not share a (non-empty) name.
    const NAMES_ARE_UNIQUE: bool;

    fn id(&self) -> &Self::Id;
    fn id_from(id: &str) -> Self::Id;
    fn id_str(id: &Self::Id) -> &str;
    fn meta(&self) -> &Meta;
    fn meta_mut(&mut self) -> &mut Meta;
    /// The name that it is looked up by; empty for kinds or objects without one.
    fn name(&self) -> &str;
    /// Whether the part that a user writes is the same.
    fn same_spec(&self, other: &Self) -> bool;
    fn into_object(self) -> Object;
}

macro_rules! row {
    ($kind:ident, $id:ident, unique: $unique:expr, name: $($name:ident).+, spec: $spec:ident) => {
        impl Row for $kind {
            type Id = $id;
            const KIND: Kind = Kind::$kind;
            const NAMES_ARE_UNIQUE: bool = $unique;

            fn id(&self) -> &$id {
                &self.id
            }
            fn id_from(id: &str) -> $id {
                $id::new(id)
            }
            fn id_str(id: &$id) -> &str {
                id.as_str()
            }
            fn meta(&self) -> &Meta {
                &self.meta
            }
            fn meta_mut(&mut self) -> &mut Meta {
                &mut self.meta
            }
            fn name(&self) -> &str {
                &self.$($name).+
            }
            fn same_spec(&self, other: &Self) -> bool {
                self.$spec == other.$spec
            }
            fn into_object(self) -> Object {
                Object::from(self)
            }
        }
    };
}

row!(Cluster, ClusterId, unique: true, name: spec.annotations.name, spec: spec);
// Hosts may share a host name, but a name that a user gives to a node is his handle for it.
row!(Node, NodeId, unique: true, name: spec.name, spec: spec);
row!(Service, ServiceId, unique: true, name: spec.name, spec: spec);
row!(Network, NetworkId, unique: true, name: spec.annotations.name, spec: spec);
row!(Secret, SecretId, unique: true, name: spec.annotations.name, spec: spec);
row!(Config, ConfigId, unique: true, name: spec.annotations.name, spec: spec);
// A task's own name is derived from its service, slot and id; the annotations are empty unless a user set them.
row!(Task, TaskId, unique: false, name: annotations.name, spec: spec);
