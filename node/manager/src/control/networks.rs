//! The cluster's networks.

use super::convert::network as convert;
use super::convert::service::invalid_argument;
use super::{Control, label, only};
use crate::error;
use crate::ids::Ids;
use crate::ledger::WriteError;
use shoal_api_backend::{Class, Error, Result};
use shoal_api_types::network::{
    Network as Shown, NetworkCreateRequest, NetworkCreateResponse, NetworkTask, PeerInfo, ServiceInfo,
};
use shoal_api_types::{Dict, Filters, Slice};
use shoal_node_core_cluster::allocator::networks::{self as allocate, Error as Impossible};
use shoal_node_core_cluster::{is_over, validate};
use shoal_raft_consensus::State;
use shoal_raft_objects::network::PREDEFINED;
use shoal_raft_objects::{Kind, Network, NetworkId, Refusal, ServiceSpec, TaskState, Write};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Somebody else's network may take what was chosen; so often another choice is made.
const ATTEMPTS: usize = 16;

impl Control {
    pub async fn networks(&self, filters: Filters) -> Result<Vec<Shown>> {
        let dangling = filters
            .get_bool("dangling")
            .map_err(|v| Error::invalid(format!("invalid value for 'dangling': {v:?}")))?;
        let state = self.manager.ledger.current().await?;
        let listed = state.networks().iter().filter(|network| {
            wanted(network, &filters) && dangling.is_none_or(|d| d != is_used(&state, network))
        });
        Ok(listed.map(|network| convert::network(network)).collect())
    }

    /// `verbose` adds the services and tasks on it.
    pub async fn network(&self, id: &str, verbose: bool) -> Result<Shown> {
        let state = self.manager.ledger.current().await?;
        if PREDEFINED.contains(&id) {
            // Every node has one of its own; a service names it.
            return Ok(Shown {
                id: id.to_owned(),
                name: id.to_owned(),
                scope: "swarm".into(),
                driver: if id == "none" { "null" } else { id }.into(),
                ..Shown::default()
            });
        }
        let network = find_network(&state, id)?;
        let mut shown = convert::network(&network);
        shown.peers = peers(&state, &network);
        if verbose {
            shown.services = services(&state, &network);
        }
        Ok(shown)
    }

    pub async fn create_network(&self, request: NetworkCreateRequest) -> Result<NetworkCreateResponse> {
        let (spec, wishes) = convert::spec_from(&request)?;
        let name = spec.annotations.name.clone();
        if PREDEFINED.contains(&name.as_str()) {
            return Err(Error::forbidden(format!(
                "operation is not permitted on predefined {name} network"
            )));
        }
        validate::network(&spec).map_err(|e| invalid_argument(&e.to_string()))?;
        let id = NetworkId::draw(&mut Ids);
        for _ in 0..ATTEMPTS {
            let state = self.manager.ledger.current().await?;
            if state.networks().named(&name).next().is_some() {
                return Err(Error::conflict(format!(
                    "network with name {name} already exists"
                )));
            }
            if spec.ingress
                && let Some(other) = state.networks().iter().find(|n| n.spec.ingress)
            {
                return Err(error::rpc(
                    Class::Conflict,
                    "AlreadyExists",
                    format!(
                        "ingress network ({}) is already present",
                        other.spec.annotations.name
                    ),
                ));
            }
            let network =
                allocate::network(&state, id.clone(), spec.clone(), &wishes, &[]).map_err(impossible)?;
            match self
                .manager
                .ledger
                .write(vec![Write::Create(network.into())])
                .await
            {
                Ok(_) => {
                    return Ok(NetworkCreateResponse {
                        id: id.to_string(),
                        warning: String::new(),
                    });
                }
                Err(WriteError::Refused(Refusal::Stale { .. })) => {}
                Err(WriteError::Refused(Refusal::NameConflict { .. })) => {
                    return Err(Error::conflict(format!(
                        "network with name {name} already exists"
                    )));
                }
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::system(format!(
            "network {name}: others took every identifier or subnet that was chosen for it"
        )))
    }

    pub async fn remove_network(&self, id: &str) -> Result<()> {
        let state = self.manager.ledger.current().await?;
        let network = find_network(&state, id)?;
        if let Some(user) = user(&state, &network) {
            return Err(error::rpc(
                Class::InvalidParameter,
                "FailedPrecondition",
                format!("network {} is in use by {user}", network.id),
            ));
        }
        let write = Write::Delete {
            kind: Kind::Network,
            id: network.id.to_string(),
            touched: None,
        };
        self.manager.ledger.write(vec![write]).await?;
        Ok(())
    }
}

fn impossible(error: Impossible) -> Error {
    match error {
        Impossible::Overlap => Error::forbidden(error.to_string()),
        Impossible::Invalid(_) => invalid_argument(&error.to_string()),
        Impossible::Exhausted | Impossible::NoVni => error::rpc(Class::System, "ResourceExhausted", error),
    }
}

/// By id, by name, or by an unambiguous prefix of the id.
pub(super) fn find_network(state: &State, asked: &str) -> Result<Arc<Network>> {
    if let Some(network) = state.network(&NetworkId::from(asked)) {
        return Ok(network.clone());
    }
    if let Some(network) = state.networks().named(asked).next() {
        return Ok(network.clone());
    }
    let prefixed = state
        .networks()
        .iter()
        .filter(|n| !asked.is_empty() && n.id.as_str().starts_with(asked));
    only("network", asked, prefixed.cloned().collect())
}

/// Puts ids where a service's spec names networks, as Docker does.
pub(super) fn resolve(state: &State, spec: &mut ServiceSpec) -> Result<()> {
    for wanted in &mut spec.task_template.networks {
        if PREDEFINED.contains(&wanted.target.as_str()) {
            continue;
        }
        let network = find_network(state, &wanted.target)?;
        if network.spec.ingress {
            return Err(invalid_argument(&format!(
                "Service cannot be explicitly attached to the ingress network {:?}",
                network.spec.annotations.name
            )));
        }
        wanted.target = network.id.to_string();
    }
    Ok(())
}

fn wanted(network: &Network, filters: &Filters) -> bool {
    let spec = &network.spec;
    let name = &spec.annotations.name;
    filters.matches_prefix("id", network.id.as_str())
        && (!filters.contains("name") || filters.get("name").any(|n| name.contains(n)))
        && filters.matches("driver", &spec.driver)
        && filters.matches("scope", "swarm")
        && filters.get("type").all(|kind| kind == "custom")
        && filters.matches_labels("label", label(&spec.annotations.labels))
}

fn is_used(state: &State, network: &Network) -> bool {
    network.spec.ingress || user(state, network).is_some()
}

/// What keeps the network: a service that names it, or a task that is not over.
fn user(state: &State, network: &Network) -> Option<String> {
    let id = network.id.as_str();
    let service = state.services().iter().find(|service| {
        let named = service.spec.task_template.networks.iter().any(|n| n.target == id);
        let published = service
            .spec
            .endpoint_spec
            .as_ref()
            .is_some_and(|e| e.has_ingress());
        named || (network.spec.ingress && published)
    });
    if let Some(service) = service {
        return Some(format!("service {}", service.id));
    }
    let task = state.tasks_of_network(&network.id).find(|task| !is_over(task));
    task.map(|task| format!("task {}", task.id))
}

/// The nodes that have something on it.
fn peers(state: &State, network: &Network) -> Slice<PeerInfo> {
    let mut nodes: BTreeSet<_> = state
        .tasks_of_network(&network.id)
        .filter(|task| !is_over(task))
        .map(|task| &task.node_id)
        .collect();
    let own = state.nodes().iter();
    nodes.extend(
        own.filter(|n| n.attachments.iter().any(|p| p.network == network.id))
            .map(|n| &n.id),
    );
    let peers: Vec<PeerInfo> = nodes
        .into_iter()
        .filter_map(|id| state.node(id))
        .map(|node| PeerInfo {
            name: node.description.hostname.clone(),
            ip: node.data_path().to_owned(),
        })
        .collect();
    if peers.is_empty() {
        return Slice::nil();
    }
    Slice(Some(peers))
}

fn services(state: &State, network: &Network) -> Dict<ServiceInfo> {
    let mut services: BTreeMap<String, ServiceInfo> = BTreeMap::new();
    for service in state.services().iter() {
        let vip = service
            .endpoint
            .virtual_ips
            .iter()
            .find(|v| v.network == network.id);
        if let Some(vip) = vip {
            let info = services.entry(service.spec.name.clone()).or_default();
            info.vip = vip.address.to_string();
            if network.spec.ingress {
                let ports = service.endpoint.ports.iter();
                let ports =
                    ports.map(|p| format!("Target: {}, Publish: {}", p.target_port, p.published_port));
                info.ports = Slice(Some(ports.collect()));
            }
        }
    }
    let tasks = state.tasks_of_network(&network.id);
    for task in tasks.filter(|task| task.status.state == TaskState::Running && !is_over(task)) {
        let Some(place) = task.networks.iter().find(|p| p.network == network.id) else {
            continue;
        };
        let host = state.node(&task.node_id).map(|n| n.data_path().to_owned());
        let shown = NetworkTask {
            name: task.name(),
            endpoint_id: task.id.to_string(),
            endpoint_ip: place.address.to_string(),
            info: [("Host IP".to_owned(), host.unwrap_or_default())].into(),
        };
        let info = services.entry(task.service.name.clone()).or_default();
        let mut tasks = std::mem::take(&mut info.tasks).0.unwrap_or_default();
        tasks.push(shown);
        info.tasks = Slice(Some(tasks));
    }
    Dict(Some(services))
}
