//! What one node has to know of the cluster's networks: those that its tasks are on and the one that published ports are
//! answered on, with every endpoint there, the services, and the nodes that they are on.

use crate::task::{is_assigned, is_over, is_wanted};
use shoal_raft_objects::track::{EndpointTrack, PeerTrack, ServiceTrack};
use shoal_raft_objects::{Attachment, NetworkId, NodeId, Service, Task, TaskState, Track};
use shoal_raft_store::State;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Docker's, where the cluster does not say.
const DATA_PATH_PORT: u16 = 4789;

pub fn of_node(view: &State, node: &NodeId) -> BTreeMap<String, Arc<Track>> {
    let mut tracks = BTreeMap::new();
    let mut add = |track: Track| {
        tracks.insert(track.key(), Arc::new(track));
    };
    let networks = networks(view, node);
    let mut peers: BTreeSet<&NodeId> = BTreeSet::new();
    let mut tasks = BTreeSet::new();
    for id in &networks {
        if let Some(network) = view.network(id) {
            add(Track::Network(shoal_raft_objects::Network::clone(network)));
        }
        for task in view.tasks_of_network(id) {
            if is_assigned(task) && !is_over(task) && tasks.insert(&task.id) {
                peers.insert(&task.node_id);
                add(Track::Endpoint(endpoint(task, |id| networks.contains(id))));
            }
        }
    }
    for service in view.services().iter() {
        add_service(service, &networks, &mut add);
    }
    let port = view.cluster().map_or(0, |c| c.data_path_port);
    let port = u16::try_from(port)
        .ok()
        .filter(|p| *p > 0)
        .unwrap_or(DATA_PATH_PORT);
    for peer in view.nodes().iter() {
        let places = on(&networks, &peer.attachments);
        if places.is_empty() && !peers.contains(&peer.id) {
            continue;
        }
        add(Track::Peer(PeerTrack {
            node: peer.id.clone(),
            name: peer.description.hostname.clone(),
            addr: peer.data_path().to_owned(),
            port,
            key: peer.description.data_path_key.clone(),
            places,
        }));
    }
    tracks
}

fn networks(view: &State, node: &NodeId) -> BTreeSet<NetworkId> {
    let own = view.node(node).into_iter().flat_map(|n| &n.attachments);
    let of_tasks = view
        .tasks_of_node(node)
        .filter(|task| is_assigned(task) && !is_over(task))
        .flat_map(|task| &task.networks);
    own.chain(of_tasks).map(|place| place.network.clone()).collect()
}

/// As nodes see it that are `on` some of its networks.
pub(crate) fn endpoint(task: &Task, on: impl Fn(&NetworkId) -> bool) -> EndpointTrack {
    EndpointTrack {
        task: task.id.clone(),
        service: task.service_id.clone(),
        node: task.node_id.clone(),
        name: task.name(),
        container: task
            .status
            .container
            .as_ref()
            .map(|c| c.container_id.clone())
            .unwrap_or_default(),
        places: task
            .networks
            .iter()
            .filter(|place| on(&place.network))
            .cloned()
            .collect(),
        live: task.status.state == TaskState::Running && is_wanted(task),
    }
}

fn on(networks: &BTreeSet<NetworkId>, places: &[Attachment]) -> Vec<Attachment> {
    places
        .iter()
        .filter(|p| networks.contains(&p.network))
        .cloned()
        .collect()
}

fn add_service(service: &Service, networks: &BTreeSet<NetworkId>, add: &mut impl FnMut(Track)) {
    let endpoint = &service.endpoint;
    let virtual_ips: Vec<_> = endpoint
        .virtual_ips
        .iter()
        .filter(|vip| networks.contains(&vip.network))
        .cloned()
        .collect();
    let named = &service.spec.task_template.networks;
    let mut on: Vec<NetworkId> = named.iter().map(|n| NetworkId::from(n.target.as_str())).collect();
    on.extend(virtual_ips.iter().map(|vip| vip.network.clone()));
    on.retain(|id| networks.contains(id));
    on.sort();
    on.dedup();
    if on.is_empty() {
        return;
    }
    let aliases = named
        .iter()
        .map(|n| (NetworkId::from(n.target.as_str()), n.aliases.clone()))
        .filter(|(id, aliases)| on.contains(id) && !aliases.is_empty());
    add(Track::Service(ServiceTrack {
        service: service.id.clone(),
        name: service.spec.name.clone(),
        aliases: aliases.collect(),
        networks: on,
        virtual_ips,
        ports: endpoint
            .ports
            .iter()
            .filter(|p| p.publish_mode == "ingress")
            .cloned()
            .collect(),
    }));
}
