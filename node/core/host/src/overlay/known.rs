//! The pieces that managers told, looked up by what they are about.

use super::plan::Segment;
use super::tunnel::read_key;
use shoal_raft_objects::track::{EndpointTrack, PeerTrack, ServiceTrack};
use shoal_raft_objects::{Network, NetworkId, NodeId, ServiceId, TaskId, Track};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// By [`Track::key`].
pub type Tracks = BTreeMap<String, Arc<Track>>;

#[derive(Clone, Copy)]
pub(super) struct Known<'t>(pub &'t Tracks);

impl<'t> Known<'t> {
    fn piece(self, kind: char, id: &str) -> Option<&'t Track> {
        self.0.get(&format!("{kind}/{id}")).map(Arc::as_ref)
    }

    fn all(self, kind: char) -> impl Iterator<Item = &'t Track> {
        // '0' is what comes after '/'.
        let range = self.0.range(format!("{kind}/")..format!("{kind}0"));
        range.map(|(_, track)| track.as_ref())
    }

    pub fn networks(self) -> impl Iterator<Item = &'t Network> {
        self.all('n').filter_map(|track| match track {
            Track::Network(network) => Some(network),
            _ => None,
        })
    }

    pub fn peers(self) -> impl Iterator<Item = &'t PeerTrack> {
        self.all('p').filter_map(|track| match track {
            Track::Peer(peer) => Some(peer),
            _ => None,
        })
    }

    pub fn endpoints(self) -> impl Iterator<Item = &'t EndpointTrack> {
        self.all('e').filter_map(|track| match track {
            Track::Endpoint(endpoint) => Some(endpoint),
            _ => None,
        })
    }

    pub fn services(self) -> impl Iterator<Item = &'t ServiceTrack> {
        self.all('s').filter_map(|track| match track {
            Track::Service(service) => Some(service),
            _ => None,
        })
    }

    pub fn network(self, id: &NetworkId) -> Option<&'t Network> {
        match self.piece('n', id.as_str())? {
            Track::Network(network) => Some(network),
            _ => None,
        }
    }

    pub fn peer(self, id: &NodeId) -> Option<&'t PeerTrack> {
        match self.piece('p', id.as_str())? {
            Track::Peer(peer) => Some(peer),
            _ => None,
        }
    }

    pub fn service(self, id: &ServiceId) -> Option<&'t ServiceTrack> {
        match self.piece('s', id.as_str())? {
            Track::Service(service) => Some(service),
            _ => None,
        }
    }

    pub fn endpoint(self, id: &TaskId) -> Option<&'t EndpointTrack> {
        match self.piece('e', id.as_str())? {
            Track::Endpoint(endpoint) => Some(endpoint),
            _ => None,
        }
    }

    pub fn addr(self, node: &NodeId) -> Option<Ipv4Addr> {
        self.peer(node)?.addr.parse().ok()
    }

    /// Where frames of the network for tasks of that node are sent; nothing where they would have to be encrypted and cannot.
    pub fn addr_on(self, segment: &Segment, node: &NodeId) -> Option<Ipv4Addr> {
        let peer = self.peer(node)?;
        if segment.tunnel.is_some() {
            read_key(&peer.key)?;
        }
        peer.addr.parse().ok()
    }
}
