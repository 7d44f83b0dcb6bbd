//! Tells sessions, and the engine's event stream, what has changed.

use super::Sessions;
use crate::control::convert::node::{availability, role, state};
use crate::host::Events;
use crate::ids::now;
use shoal_node_core_cluster::concern;
use shoal_raft_consensus::{Change, Watcher};
use shoal_raft_objects::{Event, Node, Object, Service};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Follows `watcher` until this manager stops.
pub(crate) async fn run(
    mut watcher: Watcher,
    sessions: Arc<Sessions>,
    events: Arc<dyn Events>,
    stop: CancellationToken,
) {
    loop {
        let change = tokio::select! {
            () = stop.cancelled() => return,
            change = watcher.next() => change,
        };
        match change {
            None => return,
            Some(Change::Lagged(_)) => sessions.wake_all(),
            Some(Change::Events {
                index,
                events: happened,
            }) => {
                let concerns: Vec<_> = happened.iter().map(concern::of).collect();
                sessions.happened(index, &concerns);
                for event in happened.iter() {
                    emit(events.as_ref(), event);
                }
            }
        }
    }
}

fn emit(events: &dyn Events, event: &Event) {
    let action = match event {
        Event::Created(_) => "create",
        Event::Updated { .. } => "update",
        Event::Deleted(_) => "remove",
    };
    let (kind, attributes) = match (event, event.object()) {
        (
            Event::Updated {
                old: Object::Node(old),
                ..
            },
            Object::Node(new),
        ) => match node_change(old, new) {
            Some(attributes) => ("node", attributes),
            None => return,
        },
        (_, Object::Node(node)) => ("node", named(&node_name(node))),
        (
            Event::Updated {
                old: Object::Service(old),
                ..
            },
            Object::Service(new),
        ) => match service_change(old, new) {
            Some(attributes) => ("service", attributes),
            None => return,
        },
        (_, Object::Service(service)) => ("service", named(&service.spec.name)),
        (_, Object::Secret(secret)) => ("secret", named(&secret.spec.annotations.name)),
        (_, Object::Config(config)) => ("config", named(&config.spec.annotations.name)),
        (_, Object::Network(network)) => {
            let mut attributes = named(&network.spec.annotations.name);
            attributes.insert("type".to_owned(), network.spec.driver.clone());
            ("network", attributes)
        }
        (_, Object::Task(_) | Object::Cluster(_)) => return,
    };
    events.emit(kind, action, event.object().id(), attributes, now());
}

fn named(name: &str) -> BTreeMap<String, String> {
    [("name".to_owned(), name.to_owned())].into()
}

fn node_name(node: &Node) -> String {
    if node.spec.name.is_empty() {
        node.description.hostname.clone()
    } else {
        node.spec.name.clone()
    }
}

/// What of a node's change a user would call one; nothing for a new certificate or description.
fn node_change(old: &Node, new: &Node) -> Option<BTreeMap<String, String>> {
    let mut attributes = named(&node_name(new));
    let mut changed = old.spec != new.spec;
    let pairs = [
        (
            "availability",
            availability(old.spec.availability),
            availability(new.spec.availability),
        ),
        ("role", role(old.spec.role), role(new.spec.role)),
        ("state", state(old.status.state), state(new.status.state)),
    ];
    for (key, old, new) in pairs {
        if old != new {
            attributes.insert(format!("{key}.old"), old.to_owned());
            attributes.insert(format!("{key}.new"), new.to_owned());
            changed = true;
        }
    }
    changed.then_some(attributes)
}

fn service_change(old: &Service, new: &Service) -> Option<BTreeMap<String, String>> {
    let mut attributes = named(&new.spec.name);
    let mut changed = old.spec != new.spec;
    if let (Some(old), Some(new)) = (replicas(old), replicas(new))
        && old != new
    {
        attributes.insert("replicas.old".into(), old.to_string());
        attributes.insert("replicas.new".into(), new.to_string());
    }
    let progress = |s: &Service| s.update_status.as_ref().map(|u| u.state);
    if progress(old) != progress(new)
        && let Some(now) = crate::control::convert::service::update_state(new)
    {
        if let Some(before) = crate::control::convert::service::update_state(old) {
            attributes.insert("updatestate.old".into(), before.to_owned());
        }
        attributes.insert("updatestate.new".into(), now.to_owned());
        changed = true;
    }
    changed.then_some(attributes)
}

fn replicas(service: &Service) -> Option<u64> {
    service.spec.mode.replicated.as_ref().and_then(|r| r.replicas)
}
