//! A cluster network, and places on it.

use crate::id::NetworkId;
use crate::meta::{Annotations, Meta};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The driver of networks that span nodes.
pub const OVERLAY: &str = "overlay";
/// What every node has of its own and services may name: no objects of the cluster.
pub const PREDEFINED: [&str; 3] = ["bridge", "host", "none"];

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkSpec {
    pub annotations: Annotations,
    pub driver: String,
    pub driver_options: BTreeMap<String, String>,
    pub internal: bool,
    pub attachable: bool,
    pub ingress: bool,
    pub ipv6: bool,
    /// Docker's `IPAM` member as it came.
    pub ipam: Option<Value>,
}

impl NetworkSpec {
    /// Asked for by the option's presence, as Docker has it; `encrypted=false` says no.
    pub fn encrypted(&self) -> bool {
        self.driver_options
            .get("encrypted")
            .is_some_and(|value| value != "false")
    }

    pub fn is_overlay(&self) -> bool {
        self.driver == OVERLAY
    }
}

/// A range of addresses of a network, as CIDR and plain addresses; empty is none.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Subnet {
    pub subnet: String,
    pub gateway: String,
    /// Where addresses for tasks come from, if not from all of the subnet.
    pub ip_range: String,
    /// Kept free by the user's wish.
    pub reserved: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    pub id: NetworkId,
    pub meta: Meta,
    pub spec: NetworkSpec,
    /// VXLAN network identifier, once allocated.
    pub vni: Option<u32>,
    /// In use, once allocated.
    pub subnets: Vec<Subnet>,
}

impl Network {
    /// Its IPv6 subnet, if it has one: address and prefix length.
    pub fn subnet6(&self) -> Option<(Ipv6Addr, u8)> {
        self.subnets.iter().find_map(|subnet| {
            let (address, length) = subnet.subnet.split_once('/')?;
            Some((address.parse().ok()?, length.parse().ok()?))
        })
    }

    /// The IPv6 address, with its prefix length, that goes with an IPv4 address of this network.
    pub fn six(&self, address: Ipv4Addr) -> Option<(Ipv6Addr, u8)> {
        let (subnet, length) = self.subnet6()?;
        Some((six(subnet, address), length))
    }

    /// The IPv6 address, with its prefix length, of a place on this network.
    pub fn six_of(&self, place: &Attachment) -> Option<(Ipv6Addr, u8)> {
        let (subnet, length) = self.subnet6()?;
        Some((place.six(subnet), length))
    }
}

/// The address in an IPv6 subnet whose last four bytes are an IPv4 address. So whoever has a place has it in both families,
/// and it is given and rests as one, unless a user asks for another IPv6 address. Subnets leave at least these 32 bits.
pub fn six(subnet: Ipv6Addr, address: Ipv4Addr) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(subnet) | u128::from(u32::from(address)))
}

/// One place on a network: an address with its prefix length, and the hardware address that goes with it. The hardware
/// address belongs to the one who holds the place, never to the IP address, so that whatever a node still remembers of
/// the last holder leads nowhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Attachment {
    pub network: NetworkId,
    pub address: Ipv4Addr,
    pub prefix_len: u8,
    /// The IPv6 address, where a user asked for another one than goes with `address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address6: Option<Ipv6Addr>,
    #[serde(default)]
    pub mac: [u8; 6],
    /// Names on that network besides the task's own.
    #[serde(default)]
    pub aliases: Vec<String>,
}

impl Attachment {
    /// Its IPv6 address, on a network with this IPv6 subnet.
    pub fn six(&self, subnet: Ipv6Addr) -> Ipv6Addr {
        self.address6.unwrap_or_else(|| six(subnet, self.address))
    }
}

/// A hardware address (locally administered, unicast) for `holder` on `network`.
pub fn mac_of(holder: &str, network: &str) -> [u8; 6] {
    // FNV-1a: nothing secret hangs on it, and every node comes to the same.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in holder.bytes().chain([0]).chain(network.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let [a, b, c, d, e, ..] = (hash ^ (hash >> 24)).to_be_bytes();
    [0x02, a ^ 0x42, b, c, d, e]
}
