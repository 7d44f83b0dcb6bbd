//! What services and nodes hold: ports, virtual addresses, places on the ingress network.

use super::addresses::Pools;
use super::ports;
use crate::draft::Draft;
use shoal_raft_objects::network::PREDEFINED;
use shoal_raft_objects::node::Membership;
use shoal_raft_objects::service::NetworkAttachment;
use shoal_raft_objects::{Attachment, Endpoint, Network, NetworkId, Node, Service, ServiceId, VirtualIp};
use shoal_raft_store::State;
use std::sync::Arc;

/// The cluster networks that the service's tasks are on, each with the names that they have there besides their own.
/// The error names one that is not there.
pub(super) fn networks(state: &State, service: &Service) -> Result<Vec<(Arc<Network>, Vec<String>)>, String> {
    let mut found: Vec<(Arc<Network>, Vec<String>)> = Vec::new();
    for wanted in named(service) {
        let network = state
            .network(&NetworkId::from(wanted.target.as_str()))
            .ok_or_else(|| format!("network {} not found", wanted.target))?;
        if network.spec.is_overlay() && !found.iter().any(|(n, _)| n.id == network.id) {
            found.push((network.clone(), wanted.aliases.clone()));
        }
    }
    let published = service
        .spec
        .endpoint_spec
        .as_ref()
        .is_some_and(|e| e.has_ingress());
    if published {
        let ingress = ingress(state).ok_or("the cluster has no ingress network to publish ports on")?;
        found.push((ingress.clone(), Vec::new()));
    }
    Ok(found)
}

/// Networks of the cluster that the service names; those that each node has of its own are left out.
pub(super) fn named(service: &Service) -> impl Iterator<Item = &NetworkAttachment> {
    let networks = service.spec.task_template.networks.iter();
    networks.filter(|n| !PREDEFINED.contains(&n.target.as_str()))
}

pub(super) fn ingress(state: &State) -> Option<&Arc<Network>> {
    state.networks().iter().find(|n| n.spec.ingress)
}

/// Gives a service what its spec asks for. Impossible wishes were refused when they were made; if one got through in a
/// race, the service keeps what it had and says why.
pub(crate) fn allocate(draft: &mut Draft<'_>, pools: &mut Pools<'_>, id: &ServiceId) {
    let Some(service) = draft.state().service(id).cloned() else {
        return;
    };
    let endpoint = endpoint(draft.state(), pools, &service);
    if endpoint != service.endpoint {
        let mut service = Service::clone(&service);
        service.endpoint = endpoint;
        draft.update_service(service);
    }
}

fn endpoint(state: &State, pools: &mut Pools<'_>, service: &Service) -> Endpoint {
    let wanted = service.spec.endpoint_spec.clone().unwrap_or_default();
    let mut endpoint = service.endpoint.clone();
    endpoint.err.clear();
    if endpoint.spec != wanted {
        match ports::endpoint(state, &service.id, Some(&wanted), &service.endpoint) {
            Ok(given) => endpoint = given,
            Err(error) => endpoint.err = error.to_string(),
        }
    }
    if wanted.mode == "dnsrr" {
        endpoint.virtual_ips.clear();
        return endpoint;
    }
    match networks(state, service) {
        Ok(networks) => {
            let has = |id: &NetworkId| networks.iter().any(|(n, _)| n.id == *id);
            endpoint.virtual_ips.retain(|vip| has(&vip.network));
            for (network, _) in &networks {
                if endpoint.virtual_ips.iter().any(|vip| vip.network == network.id) {
                    continue;
                }
                match pools.take(state, network, service.id.as_str()) {
                    Ok(place) => endpoint.virtual_ips.push(VirtualIp {
                        network: place.network,
                        address: place.address,
                        prefix_len: place.prefix_len,
                    }),
                    Err(error) => endpoint.err = error,
                }
            }
        }
        Err(error) => endpoint.err = error,
    }
    endpoint
}

/// Every node has a place on the ingress network: published ports are answered everywhere.
pub(crate) fn nodes(draft: &mut Draft<'_>, pools: &mut Pools<'_>) {
    let ingress = ingress(draft.state()).cloned();
    let wanted = ingress.as_ref().map(|n| &n.id);
    let fits = |node: &Node| match wanted {
        Some(id) => node.attachments.len() == 1 && node.attachments[0].network == *id,
        None => node.attachments.is_empty(),
    };
    let accepted = |node: &&Arc<Node>| node.membership == Membership::Accepted && !fits(node);
    let due: Vec<Arc<Node>> = draft.state().nodes().iter().filter(accepted).cloned().collect();
    for node in due {
        let place: Option<Attachment> = ingress
            .as_ref()
            .and_then(|network| pools.take(draft.state(), network, node.id.as_str()).ok());
        if place.is_none() && node.attachments.is_empty() {
            continue;
        }
        let mut node = Node::clone(&node);
        node.attachments = place.into_iter().collect();
        draft.update_node(node);
    }
}
