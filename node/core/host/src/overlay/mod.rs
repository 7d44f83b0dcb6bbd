//! This host's part of the cluster's networks: what its kernel should have, from what managers say of them.
//!
//! ```text
//! container ═ eth1 ── bridge ob… ── ov… (VXLAN) ──▶ other nodes
//!                       └ of the ingress network only: the node's own address, routes, marks, published ports
//! container ═ eth1 ── bridge ob… ── ov… (VXLAN) ── ow… (WireGuard) ──▶ other nodes, of encrypted networks
//! ```
//! Frames that are for a container's hardware address go past the bridge, but on the ingress network
//! (`drivers/network::overlay::short`).
//!
//! Nothing is learned from traffic: every hardware address of another node's task stands in the forwarding table, every
//! IP address is answered by the VXLAN interface itself. The host has no address on an overlay, so an overlay may have
//! addresses that the host uses; the ingress network alone is routed.
//!
//! Pure. `node/drivers/network` brings the kernel there; `node/engine` asks both.

mod balance;
mod entries;
mod ingress;
mod known;
mod layout;
mod names;
mod plan;
mod tunnel;

pub use balance::{Balance, Target, Vip};
pub use ingress::{Ingress, Peer};
pub use known::Tracks;
pub use layout::{Changes, Layout, News};
pub use names::{Name, Names};
pub use plan::{Plan, Problem, Segment};
pub use shoal_raft_objects::Attachment;
pub use shoal_raft_objects::track::EndpointTrack;
pub use tunnel::{Key, Tunnel, WIREGUARD_BYTES, tunnel_name, write_key};

use crate::netplan::LINK_NAME_BYTES_MAX;

/// What a packet costs on its way between nodes: outer Ethernet, IPv4, UDP and VXLAN headers.
pub const VXLAN_BYTES: u32 = 50;
const UNDERLAY_MTU: u32 = 1500;
const MTU: u32 = UNDERLAY_MTU - VXLAN_BYTES;

/// What the names of this daemon's overlay interfaces begin with.
pub fn link_prefixes(sid: &str) -> [String; 2] {
    let sid = sid.get(..6).unwrap_or(sid);
    [format!("ob{sid}"), format!("ov{sid}")]
}

/// The bridge and the VXLAN interface of the network with this identifier.
pub fn link_names(sid: &str, vni: u32) -> (String, String) {
    let [bridge, vxlan] = link_prefixes(sid).map(|prefix| format!("{prefix}{vni:x}"));
    debug_assert!(bridge.len() <= LINK_NAME_BYTES_MAX && vxlan.len() <= LINK_NAME_BYTES_MAX);
    (bridge, vxlan)
}

#[cfg(test)]
mod renewed;
#[cfg(test)]
mod tests;
