//! Any object of the cluster, for the places that treat all kinds alike: the log, events, the wire.

use crate::meta::Meta;
use crate::{Cluster, Config, Network, Node, Secret, Service, Task};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Kind {
    Cluster,
    Node,
    Service,
    Task,
    Network,
    Secret,
    Config,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Object {
    Cluster(Box<Cluster>),
    Node(Box<Node>),
    Service(Box<Service>),
    Task(Box<Task>),
    Network(Box<Network>),
    Secret(Box<Secret>),
    Config(Box<Config>),
}

macro_rules! each {
    ($self:expr, $o:ident => $body:expr) => {
        match $self {
            Object::Cluster($o) => $body,
            Object::Node($o) => $body,
            Object::Service($o) => $body,
            Object::Task($o) => $body,
            Object::Network($o) => $body,
            Object::Secret($o) => $body,
            Object::Config($o) => $body,
        }
    };
}

impl Object {
    pub fn kind(&self) -> Kind {
        match self {
            Object::Cluster(_) => Kind::Cluster,
            Object::Node(_) => Kind::Node,
            Object::Service(_) => Kind::Service,
            Object::Task(_) => Kind::Task,
            Object::Network(_) => Kind::Network,
            Object::Secret(_) => Kind::Secret,
            Object::Config(_) => Kind::Config,
        }
    }

    pub fn id(&self) -> &str {
        each!(self, o => o.id.as_str())
    }

    pub fn meta(&self) -> &Meta {
        each!(self, o => &o.meta)
    }

    pub fn meta_mut(&mut self) -> &mut Meta {
        each!(self, o => &mut o.meta)
    }

    /// The user's name for it; a task's is made from its service, slot and id.
    pub fn name(&self) -> String {
        match self {
            Object::Cluster(o) => o.spec.annotations.name.clone(),
            Object::Node(o) => o.spec.name.clone(),
            Object::Service(o) => o.spec.name.clone(),
            Object::Task(o) => o.name(),
            Object::Network(o) => o.spec.annotations.name.clone(),
            Object::Secret(o) => o.spec.annotations.name.clone(),
            Object::Config(o) => o.spec.annotations.name.clone(),
        }
    }
}

macro_rules! from {
    ($($kind:ident),*) => {$(
        impl From<$kind> for Object {
            fn from(o: $kind) -> Object {
                Object::$kind(Box::new(o))
            }
        }
    )*};
}
from!(Cluster, Node, Service, Task, Network, Secret, Config);
