//! The encrypted path between nodes: one WireGuard interface, over which the frames of encrypted networks go and nothing
//! else does.
//!
//! It needs no routes, and no address but a dummy. A VXLAN interface that is bound to it sends by it whatever the routes say; the
//! other node's own address chooses the key there, and is the only one that this key may come from.

use super::known::Known;
use super::plan::Segment;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use shoal_raft_objects::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// A public key of Curve25519.
pub type Key = [u8; 32];

/// What WireGuard adds: outer IPv4 and UDP headers, its own header and the authenticator.
pub const WIREGUARD_BYTES: u32 = 60;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    pub link: String,
    pub mtu: u32,
    /// The UDP port that all nodes use for it.
    pub port: u16,
    /// Who is reached by it, at which address.
    pub peers: BTreeMap<Key, Ipv4Addr>,
    /// The UDP port of VXLAN, and the networks whose frames are taken from the tunnel and given to it only.
    pub vxlan_port: u16,
    pub vnis: BTreeSet<u32>,
}

/// This daemon's encrypted path.
pub fn tunnel_name(sid: &str) -> String {
    format!("ow{}", sid.get(..6).unwrap_or(sid))
}

/// As nodes announce it.
pub fn write_key(key: &Key) -> String {
    BASE64_STANDARD.encode(key)
}

pub(super) fn read_key(text: &str) -> Option<Key> {
    BASE64_STANDARD.decode(text).ok()?.try_into().ok()
}

/// The UDP port of the encrypted path: the one behind VXLAN's.
pub(super) fn port(vxlan_port: u16) -> u16 {
    vxlan_port.checked_add(1).unwrap_or(vxlan_port - 1)
}

/// What node `me` needs for the encrypted ones among `segments`.
pub(super) fn of<'s>(
    sid: &str,
    me: &NodeId,
    segments: impl Iterator<Item = &'s Segment>,
    known: Known<'_>,
) -> Option<Tunnel> {
    let sealed: Vec<&Segment> = segments.filter(|s| s.tunnel.is_some()).collect();
    let first = sealed.first()?;
    let others = known.peers().filter(|peer| peer.node != *me);
    Some(Tunnel {
        link: tunnel_name(sid),
        mtu: super::UNDERLAY_MTU - WIREGUARD_BYTES,
        port: port(first.port),
        peers: others
            .filter_map(|peer| Some((read_key(&peer.key)?, known.addr(&peer.node)?)))
            .collect(),
        vxlan_port: first.port,
        vnis: sealed.iter().map(|segment| segment.vni).collect(),
    })
}
