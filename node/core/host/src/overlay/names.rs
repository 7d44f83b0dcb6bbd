//! What names mean on a network.

use super::plan::Known;
use shoal_raft_objects::{NetworkId, Track};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a name leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    pub addresses: BTreeSet<IpAddr>,
}

/// By network and name.
pub type Names = BTreeMap<String, BTreeMap<String, Name>>;

/// Every name of every network, in lower case, by network and name. A service is its virtual address (or, without one,
/// its live tasks), `tasks.` before its name always its live tasks.
pub fn names(tracks: &BTreeMap<String, Track>) -> Names {
    let known = Known::of(tracks);
    let mut all = Names::new();
    let mut add = |network: &NetworkId, name: &str, addresses: &[IpAddr]| {
        if name.is_empty() {
            return;
        }
        let names = all.entry(network.to_string()).or_default();
        names
            .entry(name.to_lowercase())
            .or_default()
            .addresses
            .extend(addresses);
    };
    let both = |four: Ipv4Addr, six: Option<(Ipv6Addr, u8)>| -> Vec<IpAddr> {
        let six = six.map(|(address, _)| IpAddr::V6(address));
        std::iter::once(IpAddr::V4(four)).chain(six).collect()
    };
    for service in known.services.values() {
        for vip in &service.virtual_ips {
            let network = known.networks.get(&vip.network);
            let vip_both = both(vip.address, network.and_then(|n| n.six(vip.address)));
            add(&vip.network, &service.name, &vip_both);
            let aliases = service.aliases.iter().filter(|(id, _)| *id == vip.network);
            for alias in aliases.flat_map(|(_, aliases)| aliases) {
                add(&vip.network, alias, &vip_both);
            }
        }
    }
    for (endpoint, place) in known.places().filter(|(endpoint, _)| endpoint.live) {
        let network = known.networks.get(&place.network);
        let addresses = both(place.address, network.and_then(|n| n.six_of(place)));
        add(&place.network, &endpoint.name, &addresses);
        if let Some(short) = endpoint.container.get(..12) {
            add(&place.network, short, &addresses);
        }
        let Some(service) = known.services.get(&endpoint.service) else {
            // A plain container: its aliases are its own.
            for alias in &place.aliases {
                add(&place.network, alias, &addresses);
            }
            continue;
        };
        add(&place.network, &format!("tasks.{}", service.name), &addresses);
        if !service.virtual_ips.iter().any(|v| v.network == place.network) {
            add(&place.network, &service.name, &addresses);
            for alias in &place.aliases {
                add(&place.network, alias, &addresses);
            }
        }
    }
    all
}
