//! A new network's identifier and subnets.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use shoal_raft_objects::{Network, NetworkId, NetworkSpec, Subnet};
use shoal_raft_store::State;
use std::net::{IpAddr, Ipv6Addr};

/// Docker's name for the network over which published ports are answered.
pub const INGRESS: &str = "ingress";
/// Docker's first; lower ones are left to others.
const VNI_FIRST: u32 = 4096;
const VNI_MAX: u32 = (1 << 24) - 1;
/// The largest ingress network: 16 bits of its addresses are in marks of connections.
const INGRESS_PREFIX_LEN: u8 = 16;

/// A subnet as a user asks for it; empty members are the cluster's choice.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Wish {
    pub subnet: String,
    pub gateway: String,
    pub ip_range: String,
    pub reserved: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Invalid(String),
    /// Docker's text.
    #[error("invalid pool request: Pool overlaps with other one on this address space")]
    Overlap,
    #[error(
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"
    )]
    Exhausted,
    #[error("no VXLAN network identifier is left")]
    NoVni,
}

/// The network with identifier and subnets. `avoid`: subnets that nodes use for themselves.
pub fn network(
    state: &State,
    id: NetworkId,
    mut spec: NetworkSpec,
    wishes: &[Wish],
    avoid: &[Ipv4Net],
) -> Result<Network, Error> {
    let used: Vec<IpNet> = state
        .networks()
        .iter()
        .flat_map(|n| &n.subnets)
        .filter_map(|s| s.subnet.parse().ok())
        .collect();
    let (pools, size) = match state.cluster() {
        Some(cluster) => (cluster.default_addr_pool.clone(), cluster.subnet_size),
        None => (Vec::new(), 0),
    };
    let vni = vni(state, &spec)?;
    let (six, four): (Vec<&Wish>, Vec<&Wish>) = wishes.iter().partition(|wish| wish.subnet.contains(':'));
    spec.ipv6 |= !six.is_empty();
    let unnamed = Wish::default();
    let four = if four.is_empty() { vec![&unnamed] } else { four };
    let six = if six.is_empty() && spec.ipv6 {
        vec![&unnamed]
    } else {
        six
    };
    if six.len() > 1 {
        return Err(Error::Invalid(
            "a network of the cluster has one IPv6 subnet at most".into(),
        ));
    }
    let mut own: Vec<IpNet> = Vec::new();
    let mut subnets = Vec::new();
    let taken = |net: &IpNet, own: &[IpNet]| used.iter().chain(own).any(|other| overlaps(net, other));
    for (wish, v6) in four
        .into_iter()
        .map(|w| (w, false))
        .chain(six.into_iter().map(|w| (w, true)))
    {
        let net: IpNet = match (wish.subnet.as_str(), v6) {
            ("", true) => local(state, vni).into(),
            ("", false) => {
                let free = |net: &Ipv4Net| {
                    !taken(&IpNet::V4(*net), &own)
                        && !avoid.iter().any(|o| overlaps(&IpNet::V4(*net), &IpNet::V4(*o)))
                };
                let picked = match spec.ingress {
                    true => pick_ingress(&pools, size, free),
                    false => pick(&pools, size, free),
                };
                picked.ok_or(Error::Exhausted)?.into()
            }
            (text, _) => {
                let net = parse_subnet(text)?;
                if taken(&net, &own) {
                    return Err(Error::Overlap);
                }
                net
            }
        };
        subnets.push(subnet(net, wish)?);
        own.push(net);
    }
    Ok(Network {
        vni: Some(vni),
        id,
        spec,
        subnets,
        ..Default::default()
    })
}

/// A subnet of the cluster's own IPv6 prefix, by the network's identifier: no other network has it.
fn local(state: &State, vni: u32) -> Ipv6Net {
    const UNIQUE_LOCAL: u128 = 0xfd;
    let cluster = state.cluster().map(|c| c.id.to_string()).unwrap_or_default();
    // FNV-1a: two clusters that come to the same are two that never meet.
    let hash = cluster.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let bits = UNIQUE_LOCAL << 120 | u128::from(hash) << 88 | u128::from(vni & VNI_MAX) << 64;
    Ipv6Net::new_assert(Ipv6Addr::from(bits), 64)
}

/// The first part of the pools that is free.
fn pick(pools: &[String], size: u32, free: impl Fn(&Ipv4Net) -> bool) -> Option<Ipv4Net> {
    let size = prefix_len(size);
    parsed(pools)
        .filter_map(|pool| pool.subnets(size.max(pool.prefix_len())).ok())
        .flatten()
        .find(|net| free(net))
}

/// The last free part of the pools, large enough for every task of the cluster that publishes a port: a sixteenth of a
/// pool, or the 65,533 addresses that marks of connections tell apart. In the default pool that is 10.255.0.0/16, where
/// Docker had this network while it was that large.
fn pick_ingress(pools: &[String], size: u32, free: impl Fn(&Ipv4Net) -> bool) -> Option<Ipv4Net> {
    let size = prefix_len(size);
    let parts = |pool: Ipv4Net| {
        let len = (pool.prefix_len() + 4).min(size).max(INGRESS_PREFIX_LEN);
        let parts = pool.subnets(len.max(pool.prefix_len())).ok()?;
        parts.filter(|net| free(net)).last()
    };
    parsed(pools).find_map(parts)
}

fn parsed(pools: &[String]) -> impl Iterator<Item = Ipv4Net> {
    let pools = pools.iter().filter_map(|pool| pool.parse::<Ipv4Net>().ok());
    pools.map(|pool| pool.trunc())
}

fn prefix_len(size: u32) -> u8 {
    let size = u8::try_from(size).ok();
    size.filter(|s| (1..=30).contains(s)).unwrap_or(24)
}

fn subnet(net: IpNet, wish: &Wish) -> Result<Subnet, Error> {
    let inside = |what: &str, text: &str| -> Result<IpAddr, Error> {
        let address: IpAddr = text
            .parse()
            .map_err(|_| Error::Invalid(format!("invalid {what} address: {text}")))?;
        if net.contains(&address) {
            return Ok(address);
        }
        Err(Error::Invalid(format!("no matching subnet for {what} {text}")))
    };
    let gateway = match wish.gateway.as_str() {
        "" => first(net),
        given => inside("gateway", given)?,
    };
    if !wish.ip_range.is_empty() {
        let range: IpNet = wish
            .ip_range
            .parse()
            .map_err(|_| Error::Invalid(format!("invalid CIDR address: {}", wish.ip_range)))?;
        if !net.contains(&range) {
            return Err(Error::Invalid(format!("no matching subnet for range {range}")));
        }
    }
    for reserved in &wish.reserved {
        inside("aux-address", reserved)?;
    }
    Ok(Subnet {
        subnet: net.to_string(),
        gateway: gateway.to_string(),
        ip_range: wish.ip_range.clone(),
        reserved: wish.reserved.clone(),
    })
}

fn first(net: IpNet) -> IpAddr {
    match net {
        IpNet::V4(net) => IpAddr::V4((u32::from(net.network()) + 1).into()),
        IpNet::V6(net) => IpAddr::V6((u128::from(net.network()) + 1).into()),
    }
}

fn parse_subnet(text: &str) -> Result<IpNet, Error> {
    let net: IpNet = text
        .parse()
        .map_err(|_| Error::Invalid(format!("invalid CIDR address: {text}")))?;
    if net.trunc() != net {
        return Err(Error::Invalid(format!(
            "invalid subnet {text}: it should be {}",
            net.trunc()
        )));
    }
    // An IPv6 address ends in the four bytes of the IPv4 address that it goes with.
    let lengths = if net.addr().is_ipv6() { 8..=96 } else { 4..=29 };
    if !lengths.contains(&net.prefix_len()) {
        return Err(Error::Invalid(format!(
            "invalid subnet {text}: a prefix length of {} to {} is needed",
            lengths.start(),
            lengths.end()
        )));
    }
    Ok(net)
}

fn overlaps(a: &IpNet, b: &IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

/// Behind the greatest in use: an identifier that was given up is not soon given again.
fn vni(state: &State, spec: &NetworkSpec) -> Result<u32, Error> {
    const LIST: &str = "com.docker.network.driver.overlay.vxlanid_list";
    let taken = |vni: u32| state.networks().iter().any(|n| n.vni == Some(vni));
    if let Some(asked) = spec.driver_options.get(LIST) {
        let first = asked.split(',').next().unwrap_or_default().trim();
        let vni: u32 = first
            .parse()
            .ok()
            .filter(|vni| (1..=VNI_MAX).contains(vni))
            .ok_or_else(|| Error::Invalid(format!("invalid vxlan id value {first:?}")))?;
        return if taken(vni) {
            Err(Error::Invalid(format!(
                "requested vxlan id {vni} is already allocated"
            )))
        } else {
            Ok(vni)
        };
    }
    let greatest = state.networks().iter().filter_map(|n| n.vni).max().unwrap_or(0);
    let next = greatest.saturating_add(1).max(VNI_FIRST);
    if next <= VNI_MAX {
        return Ok(next);
    }
    (VNI_FIRST..=VNI_MAX).find(|vni| !taken(*vni)).ok_or(Error::NoVni)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(pools: &[&str], size: u32, used: &[&str]) -> Option<String> {
        let pools: Vec<String> = pools.iter().map(|p| (*p).to_owned()).collect();
        let used: Vec<IpNet> = used.iter().map(|net| net.parse().unwrap()).collect();
        let free = |net: &Ipv4Net| !used.iter().any(|other| overlaps(&IpNet::V4(*net), other));
        pick_ingress(&pools, size, free).map(|net| net.to_string())
    }

    #[test]
    fn the_ingress_network_is_the_last_free_part_and_a_large_one() {
        let default = ["10.0.0.0/8"];
        assert_eq!(picked(&default, 24, &[]).unwrap(), "10.255.0.0/16");
        assert_eq!(picked(&default, 24, &["10.255.7.0/24"]).unwrap(), "10.254.0.0/16");
        // Never more than a sixteenth of a small pool, nor less than other networks get.
        assert_eq!(picked(&["10.20.0.0/16"], 24, &[]).unwrap(), "10.20.240.0/20");
        assert_eq!(picked(&["10.20.0.0/22"], 24, &[]).unwrap(), "10.20.3.0/24");
        assert_eq!(picked(&["10.20.0.0/24"], 24, &[]).unwrap(), "10.20.0.0/24");
        // Nor more than marks tell apart.
        assert_eq!(picked(&default, 12, &[]).unwrap(), "10.255.0.0/16");
        let full = ["10.20.0.0/24", "10.30.0.0/16"];
        assert_eq!(picked(&full, 24, &["10.20.0.0/24"]).unwrap(), "10.30.240.0/20");
        assert_eq!(picked(&["10.20.0.0/24"], 24, &["10.20.0.0/24"]), None);
    }
}
