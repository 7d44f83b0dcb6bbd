//! Addresses: which subnet a new network gets, which address a new endpoint. Values in, values out.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sha2::{Digest, Sha256};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("no available {} addresses on this network's address pools", if *v6 { "IPv6" } else { "IPv4" })]
    Exhausted { v6: bool },
    #[error("Address already in use")]
    InUse,
    #[error("Requested address {0} is not from a subnet of the network")]
    OutOfRange(IpAddr),
    #[error("all predefined address pools have been fully subnetted")]
    NoSubnet,
    #[error("Invalid subnet {0} : it should be a network of at least four addresses, and not of all")]
    BadSubnet(IpNet),
    #[error("no matching subnet for gateway {0}")]
    BadGateway(IpAddr),
    #[error("no matching subnet for range {0}")]
    BadRange(IpNet),
    #[error("no matching subnet for aux-address {0}")]
    BadAux(IpAddr),
}

/// The addresses of one subnet. The lowest free one is given first, as Docker does on a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    subnet: IpNet,
    /// Where addresses are taken from when none is asked for by name: `--ip-range`, else the whole subnet.
    range: IpNet,
    gateway: Option<IpAddr>,
    /// Given to nobody: `--aux-address`.
    kept: BTreeSet<u128>,
    /// Taken by endpoints. Network, broadcast and gateway address are never in it and never given.
    used: BTreeSet<u128>,
}

impl Pool {
    /// Without a gateway, the first address of the range is it.
    pub fn new(subnet: IpNet, range: Option<IpNet>, gateway: Option<IpAddr>) -> Result<Pool, Error> {
        let subnet = subnet.trunc();
        // One that is everything would take the host's own way out.
        if !(1..=subnet.max_prefix_len() - 2).contains(&subnet.prefix_len()) {
            return Err(Error::BadSubnet(subnet));
        }
        let range = range.unwrap_or(subnet).trunc();
        if !contains(subnet, range) {
            return Err(Error::BadRange(range));
        }
        let first = number(range.network()) + u128::from(range.network() == subnet.network());
        let gateway = gateway.unwrap_or_else(|| address(first, is_v6(subnet)));
        if !subnet.contains(&gateway) {
            return Err(Error::BadGateway(gateway));
        }
        Ok(Pool {
            subnet,
            range,
            gateway: Some(gateway),
            kept: BTreeSet::new(),
            used: BTreeSet::new(),
        })
    }

    /// Containers get the address that would be the gateway's, too: no interface of the host has one.
    pub fn without_gateway(mut self) -> Pool {
        self.gateway = None;
        self
    }

    /// Keeps an address from being given.
    pub fn keep(&mut self, address: IpAddr) -> Result<(), Error> {
        if !self.subnet.contains(&address) {
            return Err(Error::BadAux(address));
        }
        self.kept.insert(number(address));
        Ok(())
    }

    pub fn subnet(&self) -> IpNet {
        self.subnet
    }

    pub fn gateway(&self) -> Option<IpAddr> {
        self.gateway
    }

    /// The gateway with the length of the subnet: the bridge's own address.
    pub fn gateway_net(&self) -> Option<IpNet> {
        self.gateway.map(|gateway| self.with_length(gateway))
    }

    /// An address of the subnet with the subnet's length, as an interface carries it.
    pub fn with_length(&self, address: IpAddr) -> IpNet {
        IpNet::new(address, self.subnet.prefix_len()).unwrap_or(self.subnet)
    }

    pub fn used(&self) -> usize {
        self.used.len()
    }

    /// Takes the lowest free address.
    pub fn take_next(&mut self) -> Result<IpAddr, Error> {
        let mut next = number(self.range.network());
        let last = number(self.range.broadcast());
        let mut used = self.used.range(next..=last).copied().peekable();
        loop {
            if used.peek() == Some(&next) {
                used.next();
            } else if self.may_give(next) {
                break;
            }
            if next == last {
                return Err(Error::Exhausted {
                    v6: is_v6(self.subnet),
                });
            }
            next += 1;
        }
        self.used.insert(next);
        Ok(address(next, is_v6(self.subnet)))
    }

    /// Takes this very address.
    pub fn take(&mut self, address: IpAddr) -> Result<(), Error> {
        if !self.subnet.contains(&address) {
            return Err(Error::OutOfRange(address));
        }
        let number = number(address);
        if !self.may_give(number) || !self.used.insert(number) {
            return Err(Error::InUse);
        }
        Ok(())
    }

    /// Gives an address back; one that was not taken is no error.
    pub fn release(&mut self, address: IpAddr) {
        self.used.remove(&number(address));
    }

    fn may_give(&self, candidate: u128) -> bool {
        candidate != number(self.subnet.network())
            && (is_v6(self.subnet) || candidate != number(self.subnet.broadcast()))
            && self.gateway.map(number) != Some(candidate)
            && !self.kept.contains(&candidate)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn address(number: u128, v6: bool) -> IpAddr {
    if v6 {
        Ipv6Addr::from(number).into()
    } else {
        Ipv4Addr::from(number as u32).into()
    }
}

pub fn is_v6(net: IpNet) -> bool {
    matches!(net, IpNet::V6(_))
}

fn contains(outer: IpNet, inner: IpNet) -> bool {
    is_v6(outer) == is_v6(inner) && outer.contains(&inner)
}

/// A block of addresses that is cut into subnets of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressPool {
    pub base: IpNet,
    /// Prefix length of each subnet.
    pub size: u8,
}

/// Docker's: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/16 in parts of /20.
pub fn default_pools() -> Vec<AddressPool> {
    let pool = |a, b, length, size| AddressPool {
        base: Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), length).into(),
        size,
    };
    vec![
        pool(172, 17, 16, 16),
        pool(172, 18, 16, 16),
        pool(172, 19, 16, 16),
        pool(172, 20, 14, 16),
        pool(172, 24, 14, 16),
        pool(172, 28, 14, 16),
        pool(192, 168, 16, 20),
    ]
}

/// A block of unique local IPv6 addresses for a daemon that was given none: another daemon, with another id, has another.
pub fn local_pool(id: &str) -> AddressPool {
    let hash = Sha256::digest(id.as_bytes());
    let mut octets = [0; 16];
    octets[0] = 0xfd;
    octets[1..6].copy_from_slice(&hash[..5]);
    AddressPool {
        base: Ipv6Net::new_assert(Ipv6Addr::from(octets), 48).into(),
        size: 64,
    }
}

/// The first subnet of the pools of this family that touches none of `used`: subnets of networks and routes of the host.
pub fn pick_subnet(pools: &[AddressPool], used: &[IpNet], v6: bool) -> Result<IpNet, Error> {
    for pool in pools.iter().filter(|pool| is_v6(pool.base) == v6) {
        let Ok(candidates) = pool.base.subnets(pool.size) else {
            continue;
        };
        // A pool may hold more subnets than anybody could look through.
        for candidate in candidates.take(65_536) {
            if !used.iter().any(|net| overlaps(*net, candidate)) {
                return Ok(candidate);
            }
        }
    }
    Err(Error::NoSubnet)
}

/// Whether two subnets share an address. A default route touches nothing.
pub fn overlaps(a: IpNet, b: IpNet) -> bool {
    is_v6(a) == is_v6(b)
        && a.prefix_len() > 0
        && b.prefix_len() > 0
        && (a.contains(&b.network()) || b.contains(&a.network()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn lowest_free_address_comes_first_and_comes_again() {
        let mut pool = Pool::new(net("172.17.0.0/16"), None, None).unwrap();
        assert_eq!(pool.gateway_net(), Some(net("172.17.0.1/16")));
        assert_eq!(pool.take_next(), Ok(ip("172.17.0.2")));
        assert_eq!(pool.take_next(), Ok(ip("172.17.0.3")));
        assert_eq!(pool.take(ip("172.17.0.4")), Ok(()));
        assert_eq!(pool.take_next(), Ok(ip("172.17.0.5")));
        pool.release(ip("172.17.0.2"));
        assert_eq!(pool.take_next(), Ok(ip("172.17.0.2")));
    }

    #[test]
    fn special_addresses_are_never_given() {
        let mut pool = Pool::new(net("10.0.0.0/29"), None, Some(ip("10.0.0.3"))).unwrap();
        let given: Vec<_> = std::iter::from_fn(|| pool.take_next().ok()).map(last).collect();
        assert_eq!(given, [1, 2, 4, 5, 6]);
        assert_eq!(pool.take_next(), Err(Error::Exhausted { v6: false }));
        for taken in ["10.0.0.0", "10.0.0.3", "10.0.0.7", "10.0.0.1"] {
            assert_eq!(pool.take(ip(taken)), Err(Error::InUse), "{taken}");
        }
        assert_eq!(pool.take(ip("10.0.1.1")), Err(Error::OutOfRange(ip("10.0.1.1"))));
    }

    #[test]
    fn range_bounds_what_is_given_but_not_what_is_asked_for() {
        let mut pool = Pool::new(net("10.1.0.0/16"), Some(net("10.1.5.0/30")), None).unwrap();
        assert_eq!(pool.gateway(), Some(ip("10.1.5.0")));
        let given: Vec<_> = std::iter::from_fn(|| pool.take_next().ok()).map(last).collect();
        assert_eq!(given, [1, 2, 3]);
        assert_eq!(pool.take(ip("10.1.9.9")), Ok(()));
        assert_eq!(
            Pool::new(net("10.1.0.0/16"), Some(net("10.2.0.0/24")), None),
            Err(Error::BadRange(net("10.2.0.0/24")))
        );
        assert_eq!(
            Pool::new(net("10.1.0.0/31"), None, None),
            Err(Error::BadSubnet(net("10.1.0.0/31")))
        );
        assert_eq!(
            Pool::new(net("0.0.0.0/0"), None, None),
            Err(Error::BadSubnet(net("0.0.0.0/0")))
        );
    }

    fn last(address: IpAddr) -> u8 {
        match address {
            IpAddr::V4(v4) => v4.octets()[3],
            IpAddr::V6(v6) => v6.octets()[15],
        }
    }

    #[test]
    fn six_is_like_four_without_a_broadcast_address() {
        let mut pool = Pool::new(
            net("fd00:1::/64"),
            Some(net("fd00:1::10/126")),
            Some(ip("fd00:1::1")),
        )
        .unwrap();
        pool.keep(ip("fd00:1::11")).unwrap();
        let given: Vec<_> = std::iter::from_fn(|| pool.take_next().ok()).map(last).collect();
        assert_eq!(given, [0x10, 0x12, 0x13]);
        assert_eq!(pool.take_next(), Err(Error::Exhausted { v6: true }));
        assert_eq!(pool.take(ip("10.0.0.1")), Err(Error::OutOfRange(ip("10.0.0.1"))));
        assert_eq!(pool.keep(ip("fd00:2::1")), Err(Error::BadAux(ip("fd00:2::1"))));
        let mut open = Pool::new(net("10.0.0.0/30"), None, None)
            .unwrap()
            .without_gateway();
        assert_eq!(
            (open.take_next(), open.take_next()),
            (Ok(ip("10.0.0.1")), Ok(ip("10.0.0.2")))
        );
    }

    #[test]
    fn daemons_have_local_pools_of_their_own() {
        let (a, b) = (local_pool("a"), local_pool("b"));
        assert!(a != b && a == local_pool("a"));
        let first = pick_subnet(&[a], &[], true).unwrap();
        let second = pick_subnet(&[a], &[first], true).unwrap();
        assert!(first != second && a.base.contains(&second) && first.to_string().starts_with("fd"));
        assert_eq!(pick_subnet(&default_pools(), &[], true), Err(Error::NoSubnet));
    }

    #[test]
    fn new_networks_avoid_the_hosts_routes() {
        let pools = default_pools();
        assert_eq!(
            pick_subnet(&pools, &[net("0.0.0.0/0")], false),
            Ok(net("172.17.0.0/16"))
        );
        let used = [net("172.17.0.0/16"), net("172.18.4.0/24"), net("172.16.0.0/13")];
        assert_eq!(pick_subnet(&pools, &used, false), Ok(net("172.24.0.0/16")));
        let used = [net("172.16.0.0/12")];
        assert_eq!(pick_subnet(&pools, &used, false), Ok(net("192.168.0.0/20")));
        assert_eq!(
            pick_subnet(&pools, &[net("172.16.0.0/12"), net("192.168.0.0/16")], false),
            Err(Error::NoSubnet)
        );
    }

    proptest! {
        #[test]
        fn no_address_is_given_twice(steps in proptest::collection::vec((any::<bool>(), 0u8..64), 0..200)) {
            let mut pool = Pool::new(net("10.9.0.0/27"), None, None).unwrap();
            let mut held = BTreeSet::new();
            for (take, which) in steps {
                if take {
                    match pool.take_next() {
                        Ok(address) => prop_assert!(held.insert(address), "{} twice", address),
                        Err(error) => {
                            prop_assert_eq!(error, Error::Exhausted { v6: false });
                            prop_assert_eq!(held.len(), 29);
                        }
                    }
                } else {
                    let address = IpAddr::from([10, 9, 0, which]);
                    held.remove(&address);
                    pool.release(address);
                }
                prop_assert_eq!(pool.used(), held.len());
            }
        }
    }
}
