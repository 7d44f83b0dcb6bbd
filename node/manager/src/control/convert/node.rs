//! `/nodes`.

use super::{cluster, meta};
use shoal_api_backend::{Error, Result};
use shoal_api_types::swarm as api;
use shoal_api_types::{Dict, Slice};
use shoal_raft_objects::node::{GenericResource, ManagerStatus};
use shoal_raft_objects::{Availability, Node, NodeDescription, NodeSpec, NodeState, Role};

/// What of a manager only its peers can tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    pub leader: bool,
    pub reachable: bool,
}

pub fn node(node: &Node, standing: Option<Standing>) -> api::Node {
    api::Node {
        id: node.id.to_string(),
        meta: meta(&node.meta),
        spec: spec(&node.spec),
        description: description(&node.description),
        status: api::NodeStatus {
            state: state(node.status.state).to_owned(),
            message: node.status.message.clone(),
            addr: node.status.addr.clone(),
        },
        manager_status: node.manager.as_ref().map(|m| manager(m, standing)),
    }
}

fn manager(status: &ManagerStatus, standing: Option<Standing>) -> api::ManagerStatus {
    let reachability = match standing {
        Some(Standing { reachable: true, .. }) => "reachable",
        Some(_) => "unreachable",
        None => "unknown",
    };
    api::ManagerStatus {
        leader: standing.is_some_and(|s| s.leader),
        reachability: reachability.to_owned(),
        addr: status.addr.clone(),
    }
}

pub fn spec(spec: &NodeSpec) -> api::NodeSpec {
    api::NodeSpec {
        annotations: api::Annotations {
            name: spec.name.clone(),
            labels: Dict(Some(spec.labels.clone())),
        },
        role: role(spec.role).to_owned(),
        availability: availability(spec.availability).to_owned(),
    }
}

pub fn spec_from(given: &api::NodeSpec) -> Result<NodeSpec> {
    Ok(NodeSpec {
        name: given.annotations.name.clone(),
        labels: given.annotations.labels.clone().into_map(),
        role: match given.role.as_str() {
            "worker" => Role::Worker,
            "manager" => Role::Manager,
            other => return Err(Error::invalid(format!("invalid Role: {other:?}"))),
        },
        availability: availability_from(&given.availability)?,
    })
}

pub fn availability_from(text: &str) -> Result<Availability> {
    match text {
        "" | "active" => Ok(Availability::Active),
        "pause" => Ok(Availability::Pause),
        "drain" => Ok(Availability::Drain),
        other => Err(Error::invalid(format!("invalid Availability: {other:?}"))),
    }
}

pub fn availability(availability: Availability) -> &'static str {
    match availability {
        Availability::Active => "active",
        Availability::Pause => "pause",
        Availability::Drain => "drain",
    }
}

pub fn role(role: Role) -> &'static str {
    match role {
        Role::Worker => "worker",
        Role::Manager => "manager",
    }
}

pub fn state(state: NodeState) -> &'static str {
    match state {
        NodeState::Unknown => "unknown",
        NodeState::Down => "down",
        NodeState::Ready => "ready",
        NodeState::Disconnected => "disconnected",
    }
}

fn description(description: &NodeDescription) -> api::NodeDescription {
    let generic: Vec<_> = description.generic.iter().map(generic).collect();
    let plugins = description
        .plugins
        .iter()
        .map(|(kind, name)| api::PluginDescription {
            kind: kind.clone(),
            name: name.clone(),
        });
    api::NodeDescription {
        hostname: description.hostname.clone(),
        platform: api::Platform {
            architecture: description.architecture.clone(),
            os: description.os.clone(),
        },
        resources: api::NodeResources {
            nano_cpus: description.nano_cpus,
            memory_bytes: description.memory_bytes,
            generic_resources: Slice(Some(generic)),
        },
        engine: api::EngineDescription {
            engine_version: description.engine_version.clone(),
            labels: Dict(Some(description.engine_labels.clone())),
            plugins: Slice(Some(plugins.collect())),
        },
        tls_info: cluster::tls_info(&description.trust_root),
    }
}

fn generic(resource: &GenericResource) -> api::GenericResource {
    match resource {
        GenericResource::Discrete { kind, value } => api::GenericResource {
            discrete_resource_spec: Some(api::DiscreteResource {
                kind: kind.clone(),
                value: *value,
            }),
            ..Default::default()
        },
        GenericResource::Named { kind, value } => api::GenericResource {
            named_resource_spec: Some(api::NamedResource {
                kind: kind.clone(),
                value: value.clone(),
            }),
            ..Default::default()
        },
    }
}
