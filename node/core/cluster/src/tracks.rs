//! What one node has to know of the cluster's networks: those that its tasks are on and the one that published ports are
//! answered on, with every endpoint there, the services, and the nodes that they are on.

use crate::concern::Touched;
use crate::portoptions;
use crate::task::{is_assigned, is_over, is_wanted};
use shoal_raft_objects::track::{EndpointTrack, PeerTrack, ServiceTrack};
use shoal_raft_objects::{Attachment, NetworkId, Node, NodeId, Service, Task, TaskId, TaskState, Track};
use shoal_raft_store::State;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Docker's, where the cluster does not say.
const DATA_PATH_PORT: u16 = 4789;

/// By [`Track::key`].
pub type Tracks = BTreeMap<String, Arc<Track>>;

pub fn of_node(view: &State, node: &NodeId) -> Tracks {
    let look = Look::of(view, node);
    let mut tracks = BTreeMap::new();
    let mut add = |track: Track| {
        tracks.insert(track.key(), Arc::new(track));
    };
    let mut with_tasks: BTreeSet<&NodeId> = BTreeSet::new();
    let mut tasks = BTreeSet::new();
    for id in &look.networks {
        if let Some(network) = view.network(id) {
            add(Track::Network(shoal_raft_objects::Network::clone(network)));
        }
        for task in view.tasks_of_network(id).filter(|task| tasks.insert(&task.id)) {
            if let Some(track) = look.task(task) {
                with_tasks.insert(&task.node_id);
                add(track);
            }
        }
    }
    for service in view.services().iter() {
        look.service(service).map(&mut add);
    }
    for peer in view.nodes().iter() {
        look.peer(peer, || with_tasks.contains(&peer.id)).map(&mut add);
    }
    tracks
}

/// Brings what a node was told to the present when only these tasks and services may have changed. Answers what is new or
/// different and the keys of what is gone; nothing when all has to be looked at.
pub fn renew(
    view: &State,
    node: &NodeId,
    tracks: &mut Tracks,
    touched: &Touched,
) -> Option<(Vec<Arc<Track>>, Vec<String>)> {
    if touched.whole {
        return None;
    }
    let mut look = Look {
        networks: networks_told(tracks),
        port: port(view),
    };
    // Its own tasks alone can bring it to other networks.
    let is_own = |id: &TaskId| {
        let before = tracks.get(&endpoint_key(id)).map(Arc::as_ref);
        matches!(before, Some(Track::Endpoint(before)) if before.node == *node)
            || view.task(id).is_some_and(|task| task.node_id == *node)
    };
    if touched.tasks.iter().any(is_own) {
        let told = std::mem::replace(&mut look.networks, networks(view, node));
        let here = look.networks.iter().filter(|id| view.network(id).is_some());
        if !told.iter().eq(here) {
            return None;
        }
    }
    let mut now: BTreeMap<String, Option<Track>> = BTreeMap::new();
    let mut nodes: BTreeSet<NodeId> = BTreeSet::new();
    for id in &touched.tasks {
        let key = endpoint_key(id);
        if let Some(Track::Endpoint(before)) = tracks.get(&key).map(Arc::as_ref) {
            nodes.insert(before.node.clone());
        }
        let track = view.task(id).and_then(|task| look.task(task));
        if let Some(Track::Endpoint(endpoint)) = &track {
            nodes.insert(endpoint.node.clone());
        }
        now.insert(key, track);
    }
    for id in &touched.services {
        let track = view.service(id).and_then(|service| look.service(service));
        now.insert(format!("s/{id}"), track);
    }
    let (mut new, mut gone) = (Vec::new(), Vec::new());
    let mut settle = |tracks: &mut Tracks, now: BTreeMap<String, Option<Track>>| {
        for (key, track) in now {
            match track {
                None if tracks.remove(&key).is_some() => gone.push(key),
                None => {}
                Some(track) if tracks.get(&key).is_some_and(|told| **told == track) => {}
                Some(track) => {
                    let track = Arc::new(track);
                    tracks.insert(key, track.clone());
                    new.push(track);
                }
            }
        }
    };
    settle(tracks, now);
    // Nodes that tasks came to or went from.
    let mut peers = BTreeMap::new();
    for id in nodes {
        let has_tasks = || {
            let endpoints = tracks.range("e/".to_owned().."e0".to_owned());
            endpoints
                .into_iter()
                .any(|(_, track)| matches!(track.as_ref(), Track::Endpoint(e) if e.node == id))
        };
        let peer = view.node(&id).and_then(|peer| look.peer(peer, has_tasks));
        peers.insert(format!("p/{id}"), peer);
    }
    settle(tracks, peers);
    Some((new, gone))
}

/// The networks among the pieces.
pub(crate) fn networks_told(tracks: &Tracks) -> BTreeSet<NetworkId> {
    let pieces = tracks.range("n/".to_owned().."n0".to_owned());
    pieces.map(|(key, _)| NetworkId::from(&key[2..])).collect()
}

/// How one node sees the others.
struct Look {
    networks: BTreeSet<NetworkId>,
    port: u16,
}

impl Look {
    fn of(view: &State, node: &NodeId) -> Look {
        Look {
            networks: networks(view, node),
            port: port(view),
        }
    }

    fn task(&self, task: &Task) -> Option<Track> {
        let shown = is_assigned(task) && !is_over(task);
        let on = |place: &Attachment| self.networks.contains(&place.network);
        (shown && task.networks.iter().any(on))
            .then(|| Track::Endpoint(endpoint(task, |id| self.networks.contains(id))))
    }

    /// Also one without places of its own there, if it has tasks there.
    fn peer(&self, peer: &Node, has_tasks: impl FnOnce() -> bool) -> Option<Track> {
        let places = on(&self.networks, &peer.attachments);
        (!places.is_empty() || has_tasks()).then(|| {
            Track::Peer(PeerTrack {
                node: peer.id.clone(),
                name: peer.description.hostname.clone(),
                addr: peer.data_path().to_owned(),
                port: self.port,
                key: peer.description.data_path_key.clone(),
                places,
            })
        })
    }

    fn service(&self, service: &Service) -> Option<Track> {
        service_track(service, &self.networks)
    }
}

fn port(view: &State) -> u16 {
    let port = view.cluster().map_or(0, |c| c.data_path_port);
    let port = u16::try_from(port).ok().filter(|p| *p > 0);
    port.unwrap_or(DATA_PATH_PORT)
}

fn endpoint_key(task: &TaskId) -> String {
    format!("e/{task}")
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

fn service_track(service: &Service, networks: &BTreeSet<NetworkId>) -> Option<Track> {
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
        return None;
    }
    let aliases = named
        .iter()
        .map(|n| (NetworkId::from(n.target.as_str()), n.aliases.clone()))
        .filter(|(id, aliases)| on.contains(id) && !aliases.is_empty());
    let published = || endpoint.ports.iter().filter(|p| p.publish_mode == "ingress");
    let named = |label: &str| portoptions::named(&service.spec.labels, label, published());
    Some(Track::Service(ServiceTrack {
        local_first: named(portoptions::LOCAL_FIRST),
        proxied: named(portoptions::PROXY_PROTOCOL),
        service: service.id.clone(),
        name: service.spec.name.clone(),
        aliases: aliases.collect(),
        networks: on,
        virtual_ips,
        ports: published().cloned().collect(),
    }))
}
