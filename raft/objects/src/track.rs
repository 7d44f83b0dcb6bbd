//! What a node has to know of the cluster's networks to lay its part of the track: derived from the other objects, never
//! stored. A session sends a complete set first and then what differs.

use crate::id::{NetworkId, NodeId, ServiceId, TaskId};
use crate::network::{Attachment, Network};
use crate::service::{PortConfig, VirtualIp};
use serde::{Deserialize, Serialize};

/// One piece. Pieces are compared as values: an equal one is not sent again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Track {
    Network(Network),
    Endpoint(EndpointTrack),
    Service(ServiceTrack),
    Peer(PeerTrack),
}

/// A task on networks.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointTrack {
    pub task: TaskId,
    pub service: ServiceId,
    pub node: NodeId,
    /// The container's name.
    pub name: String,
    /// Once it is known.
    pub container: String,
    pub places: Vec<Attachment>,
    /// It runs, is healthy and wanted: names and virtual addresses lead to it. One that is not may still answer what
    /// was begun before.
    pub live: bool,
}

/// A service on networks.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceTrack {
    pub service: ServiceId,
    pub name: String,
    pub networks: Vec<NetworkId>,
    pub virtual_ips: Vec<VirtualIp>,
    /// Other names, by network.
    pub aliases: Vec<(NetworkId, Vec<String>)>,
    /// What every node answers for it.
    pub ports: Vec<PortConfig>,
    /// Protocol and published port of those that lead to tasks of the same node while there are any.
    pub local_first: Vec<(String, u16)>,
    /// The same of those whose tasks are told of the client by the PROXY protocol.
    pub proxied: Vec<(String, u16)>,
}

/// Another node, or this one.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerTrack {
    pub node: NodeId,
    pub name: String,
    /// Where frames for its tasks are sent.
    pub addr: String,
    /// The UDP port that they are sent to.
    pub port: u16,
    pub key: String,
    pub places: Vec<Attachment>,
}

impl Track {
    /// What it is known by; a newer piece of the same key replaces an older one.
    pub fn key(&self) -> String {
        match self {
            Track::Network(network) => format!("n/{}", network.id),
            Track::Endpoint(endpoint) => format!("e/{}", endpoint.task),
            Track::Service(service) => format!("s/{}", service.service),
            Track::Peer(peer) => format!("p/{}", peer.node),
        }
    }
}
