//! A new network's identifier and subnets.

use ipnet::Ipv4Net;
use shoal_raft_objects::{Network, NetworkId, NetworkSpec, Subnet};
use shoal_raft_store::State;
use std::net::Ipv4Addr;

/// Docker's name for the network over which published ports are answered.
pub const INGRESS: &str = "ingress";
/// Docker's first; lower ones are left to others.
const VNI_FIRST: u32 = 4096;
const VNI_MAX: u32 = (1 << 24) - 1;

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
    spec: NetworkSpec,
    wishes: &[Wish],
    avoid: &[Ipv4Net],
) -> Result<Network, Error> {
    let used: Vec<Ipv4Net> = state
        .networks()
        .iter()
        .flat_map(|n| &n.subnets)
        .filter_map(|s| s.subnet.parse().ok())
        .collect();
    let (pools, size) = match state.cluster() {
        Some(cluster) => (cluster.default_addr_pool.clone(), cluster.subnet_size),
        None => (Vec::new(), 0),
    };
    let mut own: Vec<Ipv4Net> = Vec::new();
    let mut subnets = Vec::new();
    let unnamed = [Wish::default()];
    for wish in if wishes.is_empty() { &unnamed } else { wishes } {
        let net = if wish.subnet.is_empty() {
            let taken = |net: &Ipv4Net| used.iter().chain(&own).chain(avoid).any(|o| overlaps(net, o));
            pick(&pools, size, taken).ok_or(Error::Exhausted)?
        } else {
            let net = parse_subnet(&wish.subnet)?;
            if used.iter().chain(&own).any(|other| overlaps(&net, other)) {
                return Err(Error::Overlap);
            }
            net
        };
        subnets.push(subnet(net, wish)?);
        own.push(net);
    }
    Ok(Network {
        vni: Some(vni(state, &spec)?),
        id,
        spec,
        subnets,
        ..Default::default()
    })
}

/// The first part of the pools that is free.
fn pick(pools: &[String], size: u32, taken: impl Fn(&Ipv4Net) -> bool) -> Option<Ipv4Net> {
    let size = u8::try_from(size)
        .ok()
        .filter(|s| (1..=30).contains(s))
        .unwrap_or(24);
    pools
        .iter()
        .filter_map(|pool| pool.parse::<Ipv4Net>().ok())
        .filter_map(|pool| pool.trunc().subnets(size.max(pool.prefix_len())).ok())
        .flatten()
        .find(|net| !taken(net))
}

fn subnet(net: Ipv4Net, wish: &Wish) -> Result<Subnet, Error> {
    let inside = |what: &str, text: &str| -> Result<Ipv4Addr, Error> {
        let address: Ipv4Addr = text
            .parse()
            .map_err(|_| Error::Invalid(format!("invalid {what} address: {text}")))?;
        if net.contains(&address) {
            return Ok(address);
        }
        Err(Error::Invalid(format!("no matching subnet for {what} {text}")))
    };
    let gateway = match wish.gateway.as_str() {
        "" => Ipv4Addr::from(u32::from(net.network()) + 1),
        given => inside("gateway", given)?,
    };
    if !wish.ip_range.is_empty() {
        let range: Ipv4Net = wish
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

fn parse_subnet(text: &str) -> Result<Ipv4Net, Error> {
    let net: Ipv4Net = match text.parse() {
        Ok(net) => net,
        Err(_) if text.contains(':') => {
            return Err(Error::Invalid(format!(
                "subnet {text}: overlay networks have IPv4 addresses only in this version"
            )));
        }
        Err(_) => return Err(Error::Invalid(format!("invalid CIDR address: {text}"))),
    };
    if net.trunc() != net {
        return Err(Error::Invalid(format!(
            "invalid subnet {text}: it should be {}",
            net.trunc()
        )));
    }
    if !(4..=29).contains(&net.prefix_len()) {
        return Err(Error::Invalid(format!(
            "invalid subnet {text}: a prefix length of 4 to 29 is needed"
        )));
    }
    Ok(net)
}

fn overlaps(a: &Ipv4Net, b: &Ipv4Net) -> bool {
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
