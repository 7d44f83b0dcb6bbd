//! Whose assignments a change may touch, so that a manager looks again for those nodes only.

use crate::task::{is_assigned, is_over};
use crate::tracks::endpoint;
use shoal_raft_objects::{Event, NetworkId, NodeId, Object, Service, ServiceId, Task, TaskId};
use std::collections::BTreeSet;

/// Nodes that are named, and nodes that have something on one of these networks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Concern {
    All,
    Some {
        node: Option<NodeId>,
        networks: BTreeSet<NetworkId>,
        /// What changed, where that is all that has to be looked at.
        piece: Piece,
    },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    Task(TaskId),
    Service(ServiceId),
    /// Nothing of the networks.
    Nothing,
    Anything,
}

/// What has to be looked at again for a node: what its session has heard of since it looked last.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Touched {
    /// Everything.
    pub whole: bool,
    pub tasks: BTreeSet<TaskId>,
    pub services: BTreeSet<ServiceId>,
}

impl Touched {
    pub fn everything() -> Self {
        Touched {
            whole: true,
            ..Touched::default()
        }
    }

    pub fn add(&mut self, concern: &Concern) {
        match concern {
            Concern::All => self.whole = true,
            Concern::Some { piece, .. } => match piece {
                Piece::Task(id) => drop(self.tasks.insert(id.clone())),
                Piece::Service(id) => drop(self.services.insert(id.clone())),
                Piece::Nothing => {}
                Piece::Anything => self.whole = true,
            },
        }
        // As much to remember as to look at.
        if self.whole {
            self.tasks.clear();
            self.services.clear();
        }
    }
}

impl Concern {
    /// `on` are the networks that `node` was told of.
    pub fn is_of(&self, node: &NodeId, on: &BTreeSet<NetworkId>) -> bool {
        match self {
            Concern::All => true,
            Concern::Some {
                node: named,
                networks,
                ..
            } => named.as_ref() == Some(node) || !networks.is_disjoint(on),
        }
    }

    fn some(node: &NodeId, networks: BTreeSet<NetworkId>, piece: Piece) -> Self {
        Concern::Some {
            node: (!node.is_empty()).then(|| node.clone()),
            networks,
            piece,
        }
    }
}

pub fn of(event: &Event) -> Concern {
    let old = match event {
        Event::Updated { old, .. } => Some(old),
        _ => None,
    };
    match (old, event.object()) {
        (Some(Object::Node(old)), Object::Node(new))
            if old.manager == new.manager
                && old.attachments == new.attachments
                && old.data_path() == new.data_path()
                && old.description.hostname == new.description.hostname
                && old.description.data_path_key == new.description.data_path_key
                && old.images_peer() == new.images_peer() =>
        {
            Concern::some(&new.id, BTreeSet::new(), Piece::Nothing)
        }
        (Some(Object::Task(old)), Object::Task(new)) => {
            let networks = match same_track(old, new) {
                true => BTreeSet::new(),
                false => places(old).chain(places(new)).collect(),
            };
            Concern::some(&new.node_id, networks, Piece::Task(new.id.clone()))
        }
        (_, Object::Task(task)) => Concern::some(
            &task.node_id,
            places(task).collect(),
            Piece::Task(task.id.clone()),
        ),
        (old, Object::Service(new)) => {
            let old = match old {
                Some(Object::Service(old)) => Some(old),
                _ => None,
            };
            let all = old.into_iter().chain([new]).flat_map(|service| networks(service));
            Concern::some(&NodeId::default(), all.collect(), Piece::Service(new.id.clone()))
        }
        (_, Object::Network(network)) => {
            let networks = [network.id.clone()].into();
            Concern::some(&NodeId::default(), networks, Piece::Anything)
        }
        // The list of managers, settings, secrets in use: may concern anybody.
        (_, Object::Node(_) | Object::Cluster(_) | Object::Secret(_) | Object::Config(_)) => Concern::All,
    }
}

/// Other nodes know the task as they did.
fn same_track(old: &Task, new: &Task) -> bool {
    let shown = |task: &Task| is_assigned(task) && !is_over(task);
    shown(old) == shown(new) && endpoint(old, |_| true) == endpoint(new, |_| true)
}

fn places(task: &Task) -> impl Iterator<Item = NetworkId> + '_ {
    task.networks.iter().map(|place| place.network.clone())
}

fn networks(service: &Service) -> impl Iterator<Item = NetworkId> + '_ {
    let named = service.spec.task_template.networks.iter();
    let virtual_ips = service.endpoint.virtual_ips.iter();
    named
        .map(|n| NetworkId::from(n.target.as_str()))
        .chain(virtual_ips.map(|vip| vip.network.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_raft_objects::{Attachment, TaskState};

    fn task(state: TaskState) -> Task {
        let mut task = Task {
            id: "t".into(),
            node_id: "a".into(),
            desired: TaskState::Running,
            networks: vec![Attachment {
                network: "mesh".into(),
                address: [10, 0, 0, 2].into(),
                prefix_len: 24,
                address6: None,
                mac: [2; 6],
                aliases: Vec::new(),
            }],
            ..Task::default()
        };
        task.status.state = state;
        task
    }

    fn update(old: Task, new: Task) -> Concern {
        of(&Event::Updated {
            old: old.into(),
            new: new.into(),
        })
    }

    #[test]
    fn what_peers_do_not_see_of_a_task_concerns_its_node_alone() {
        let (peers, nothing) = (BTreeSet::from([NetworkId::from("mesh")]), BTreeSet::new());
        let quiet = update(task(TaskState::Preparing), task(TaskState::Starting));
        assert!(quiet.is_of(&"a".into(), &nothing));
        assert!(!quiet.is_of(&"b".into(), &peers));
        for (old, new) in [
            (TaskState::Pending, TaskState::Assigned),
            (TaskState::Starting, TaskState::Running),
            (TaskState::Running, TaskState::Failed),
        ] {
            let seen = update(task(old), task(new));
            assert!(seen.is_of(&"b".into(), &peers), "{old:?} to {new:?}");
            assert!(!seen.is_of(&"b".into(), &nothing));
        }
    }

    #[test]
    fn a_service_concerns_who_is_on_its_networks_before_or_after() {
        let mut old = Service::default();
        old.spec
            .task_template
            .networks
            .push(shoal_raft_objects::service::NetworkAttachment {
                target: "mesh".into(),
                ..Default::default()
            });
        let concern = of(&Event::Updated {
            old: old.into(),
            new: Service::default().into(),
        });
        assert!(concern.is_of(&"b".into(), &[NetworkId::from("mesh")].into()));
        assert!(!concern.is_of(&"b".into(), &[NetworkId::from("other")].into()));
    }
}
