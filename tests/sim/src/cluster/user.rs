//! What users do: create, scale, update, remove, drain. Whatever is acknowledged to them is written down.

use crate::cluster::runtime;
use crate::cluster::world::{Ids, World, time};
use rand::RngExt;
use shoal_raft_objects::service::{Empty, Replicated, Reservations, Resources, RestartPolicy, UpdateConfig};
use shoal_raft_objects::{
    Availability, ContainerSpec, Kind, Node, Object, Proposal, Service, ServiceId, ServiceMode, ServiceSpec,
    TaskSpec, Write, codec,
};
use shoal_raft_store::State;

const SERVICES_MAX: usize = 6;

/// One user does one thing, through the leader.
pub fn act(world: &World) {
    let mut ids = Ids(runtime::rng());
    let Some((consensus, state)) = ({
        let inside = world.borrow();
        inside
            .leader()
            .and_then(|m| m.up.as_ref())
            .map(|up| (up.consensus.clone(), up.consensus.state()))
    }) else {
        return;
    };
    let Some((what, write)) = choose(&state, &mut ids) else {
        return;
    };
    let world = world.clone();
    runtime::spawn_for(0, async move {
        let proposal = Proposal {
            at: time(),
            writes: vec![write],
        };
        if let Ok(applied) = consensus.propose(&proposal).await {
            let mut inside = world.borrow_mut();
            let bytes = codec::encode(&proposal).unwrap_or_default();
            inside.oracle.acknowledged.insert(applied.index, bytes);
            inside.count(what);
        }
    });
}

fn choose(state: &State, ids: &mut Ids) -> Option<(&'static str, Write)> {
    let services: Vec<_> = state.services().iter().cloned().collect();
    let roll = ids.0.random_range(0..10);
    if services.len() < 2 || (roll < 2 && services.len() < SERVICES_MAX) {
        return Some(("services created", create(ids)));
    }
    let service = &services[ids.0.random_range(0..services.len())];
    let mut changed = Service::clone(service);
    let spec = |object: Service| Write::Spec {
        version: object.meta.version,
        object: object.into(),
    };
    match roll {
        0..=4 => {
            if let Some(replicated) = &mut changed.spec.mode.replicated {
                replicated.replicas = Some(ids.0.random_range(0..8));
            }
            Some(("services scaled", spec(changed)))
        }
        5 | 6 => {
            changed.spec.task_template.force_update += 1;
            Some(("services updated", spec(changed)))
        }
        7 => Some((
            "services removed",
            Write::Delete {
                kind: Kind::Service,
                id: service.id.to_string(),
                touched: None,
            },
        )),
        _ => {
            let nodes: Vec<_> = state.nodes().iter().cloned().collect();
            let node = nodes.get(ids.0.random_range(0..nodes.len().max(1)))?;
            Some(("nodes drained or activated", available(node, ids)))
        }
    }
}

fn available(node: &Node, ids: &mut Ids) -> Write {
    let mut changed = node.clone();
    changed.spec.availability = if ids.0.random_bool(0.3) {
        Availability::Drain
    } else {
        Availability::Active
    };
    Write::Spec {
        version: node.meta.version,
        object: changed.into(),
    }
}

fn create(ids: &mut Ids) -> Write {
    let id = ServiceId::draw(ids);
    let global = ids.0.random_bool(0.2);
    let mode = if global {
        ServiceMode {
            global: Some(Empty {}),
            ..Default::default()
        }
    } else {
        ServiceMode {
            replicated: Some(Replicated {
                replicas: Some(ids.0.random_range(1..8)),
            }),
            ..Default::default()
        }
    };
    let second = 1_000_000_000;
    let update = UpdateConfig {
        parallelism: ids.0.random_range(0..3),
        monitor: second / 5,
        order: if ids.0.random_bool(0.3) {
            "start-first"
        } else {
            "stop-first"
        }
        .into(),
        failure_action: "continue".into(),
        ..Default::default()
    };
    Write::Create(Object::from(Service {
        spec: ServiceSpec {
            name: format!("service-{}", &id.as_str()[15..]),
            mode,
            update_config: Some(update),
            task_template: TaskSpec {
                container_spec: Some(ContainerSpec {
                    image: "busybox".into(),
                    ..Default::default()
                }),
                restart_policy: Some(RestartPolicy {
                    delay: Some(second / 5),
                    ..Default::default()
                }),
                resources: ids.0.random_bool(0.5).then(|| Resources {
                    reservations: Some(Reservations {
                        nano_cpus: ids.0.random_range(1..=4) * second / 4,
                        ..Default::default()
                    }),
                    ..Default::default()
                }),
                ..Default::default()
            },
            ..Default::default()
        },
        id,
        ..Default::default()
    }))
}

/// Lets a calm cluster be judged: everything may run somewhere.
pub fn activate_all(state: &State) -> Proposal {
    let drained = state
        .nodes()
        .iter()
        .filter(|n| n.spec.availability != Availability::Active);
    Proposal {
        at: time(),
        writes: drained
            .map(|node| {
                let mut changed = Node::clone(node);
                changed.spec.availability = Availability::Active;
                Write::Spec {
                    version: node.meta.version,
                    object: changed.into(),
                }
            })
            .collect(),
    }
}
