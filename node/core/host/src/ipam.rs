//! Addresses: which subnet a new network gets, which address a new endpoint. Values in, values out.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("no available IPv4 addresses on this network's address pools")]
    Exhausted,
    #[error("Address already in use")]
    InUse,
    #[error("Requested address {0} is not from a subnet of the network")]
    OutOfRange(Ipv4Addr),
    #[error("all predefined address pools have been fully subnetted")]
    NoSubnet,
    #[error("Invalid subnet {0} : it should be a network of at least four addresses, and not of all")]
    BadSubnet(Ipv4Net),
    #[error("no matching subnet for gateway {0}")]
    BadGateway(Ipv4Addr),
    #[error("no matching subnet for range {0}")]
    BadRange(Ipv4Net),
}

/// The addresses of one subnet. The lowest free one is given first, as Docker does on a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    subnet: Ipv4Net,
    /// Where addresses are taken from when none is asked for by name: `--ip-range`, else the whole subnet.
    range: Ipv4Net,
    gateway: Ipv4Addr,
    /// Taken by endpoints. Network, broadcast and gateway address are never in it and never given.
    used: BTreeSet<u32>,
}

impl Pool {
    /// Without a gateway, the first address of the range is it.
    pub fn new(subnet: Ipv4Net, range: Option<Ipv4Net>, gateway: Option<Ipv4Addr>) -> Result<Pool, Error> {
        let subnet = subnet.trunc();
        // One that is everything would take the host's own way out.
        if !(1..=30).contains(&subnet.prefix_len()) {
            return Err(Error::BadSubnet(subnet));
        }
        let range = range.unwrap_or(subnet).trunc();
        if !subnet.contains(&range) {
            return Err(Error::BadRange(range));
        }
        let first = u32::from(range.network()) + u32::from(range.network() == subnet.network());
        let gateway = gateway.unwrap_or(Ipv4Addr::from(first));
        if !subnet.contains(&gateway) {
            return Err(Error::BadGateway(gateway));
        }
        Ok(Pool {
            subnet,
            range,
            gateway,
            used: BTreeSet::new(),
        })
    }

    pub fn subnet(&self) -> Ipv4Net {
        self.subnet
    }

    pub fn gateway(&self) -> Ipv4Addr {
        self.gateway
    }

    /// The gateway with the length of the subnet: the bridge's own address.
    pub fn gateway_net(&self) -> Ipv4Net {
        self.with_length(self.gateway)
    }

    /// An address of the subnet with the subnet's length, as an interface carries it.
    pub fn with_length(&self, address: Ipv4Addr) -> Ipv4Net {
        Ipv4Net::new(address, self.subnet.prefix_len()).unwrap_or(self.subnet)
    }

    pub fn used(&self) -> usize {
        self.used.len()
    }

    /// Takes the lowest free address.
    pub fn take_next(&mut self) -> Result<Ipv4Addr, Error> {
        let mut next = u32::from(self.range.network());
        let last = u32::from(self.range.broadcast());
        let mut used = self.used.range(next..=last).copied().peekable();
        loop {
            if used.peek() == Some(&next) {
                used.next();
            } else if self.may_give(next) {
                break;
            }
            if next == last {
                return Err(Error::Exhausted);
            }
            next += 1;
        }
        self.used.insert(next);
        Ok(Ipv4Addr::from(next))
    }

    /// Takes this very address.
    pub fn take(&mut self, address: Ipv4Addr) -> Result<(), Error> {
        if !self.subnet.contains(&address) {
            return Err(Error::OutOfRange(address));
        }
        let number = u32::from(address);
        if !self.may_give(number) || !self.used.insert(number) {
            return Err(Error::InUse);
        }
        Ok(())
    }

    /// Gives an address back; one that was not taken is no error.
    pub fn release(&mut self, address: Ipv4Addr) {
        self.used.remove(&u32::from(address));
    }

    fn may_give(&self, number: u32) -> bool {
        number != u32::from(self.subnet.network())
            && number != u32::from(self.subnet.broadcast())
            && number != u32::from(self.gateway)
    }
}

/// A block of addresses that is cut into subnets of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressPool {
    pub base: Ipv4Net,
    /// Prefix length of each subnet.
    pub size: u8,
}

/// Docker's: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/16 in parts of /20.
pub fn default_pools() -> Vec<AddressPool> {
    let net = |a, b, length| Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), length);
    vec![
        AddressPool {
            base: net(172, 17, 16),
            size: 16,
        },
        AddressPool {
            base: net(172, 18, 16),
            size: 16,
        },
        AddressPool {
            base: net(172, 19, 16),
            size: 16,
        },
        AddressPool {
            base: net(172, 20, 14),
            size: 16,
        },
        AddressPool {
            base: net(172, 24, 14),
            size: 16,
        },
        AddressPool {
            base: net(172, 28, 14),
            size: 16,
        },
        AddressPool {
            base: net(192, 168, 16),
            size: 20,
        },
    ]
}

/// The first subnet of the pools that touches none of `used`: subnets of networks and routes of the host.
pub fn pick_subnet(pools: &[AddressPool], used: &[Ipv4Net]) -> Result<Ipv4Net, Error> {
    for pool in pools {
        let Ok(candidates) = pool.base.subnets(pool.size) else {
            continue;
        };
        for candidate in candidates {
            if !used.iter().any(|net| overlaps(*net, candidate)) {
                return Ok(candidate);
            }
        }
    }
    Err(Error::NoSubnet)
}

/// Whether two subnets share an address. A default route touches nothing.
pub fn overlaps(a: Ipv4Net, b: Ipv4Net) -> bool {
    a.prefix_len() > 0 && b.prefix_len() > 0 && (a.contains(&b.network()) || b.contains(&a.network()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    #[test]
    fn lowest_free_address_comes_first_and_comes_again() {
        let mut pool = Pool::new(net("172.17.0.0/16"), None, None).unwrap();
        assert_eq!(pool.gateway_net(), net("172.17.0.1/16"));
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
        let given: Vec<_> = std::iter::from_fn(|| pool.take_next().ok())
            .map(|a| a.octets()[3])
            .collect();
        assert_eq!(given, [1, 2, 4, 5, 6]);
        assert_eq!(pool.take_next(), Err(Error::Exhausted));
        for taken in ["10.0.0.0", "10.0.0.3", "10.0.0.7", "10.0.0.1"] {
            assert_eq!(pool.take(ip(taken)), Err(Error::InUse), "{taken}");
        }
        assert_eq!(pool.take(ip("10.0.1.1")), Err(Error::OutOfRange(ip("10.0.1.1"))));
    }

    #[test]
    fn range_bounds_what_is_given_but_not_what_is_asked_for() {
        let mut pool = Pool::new(net("10.1.0.0/16"), Some(net("10.1.5.0/30")), None).unwrap();
        assert_eq!(pool.gateway(), ip("10.1.5.0"));
        let given: Vec<_> = std::iter::from_fn(|| pool.take_next().ok())
            .map(|a| a.octets()[3])
            .collect();
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

    #[test]
    fn new_networks_avoid_the_hosts_routes() {
        let pools = default_pools();
        assert_eq!(pick_subnet(&pools, &[net("0.0.0.0/0")]), Ok(net("172.17.0.0/16")));
        let used = [net("172.17.0.0/16"), net("172.18.4.0/24"), net("172.16.0.0/13")];
        assert_eq!(pick_subnet(&pools, &used), Ok(net("172.24.0.0/16")));
        let used = [net("172.16.0.0/12")];
        assert_eq!(pick_subnet(&pools, &used), Ok(net("192.168.0.0/20")));
        assert_eq!(
            pick_subnet(&pools, &[net("172.16.0.0/12"), net("192.168.0.0/16")]),
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
                            prop_assert_eq!(error, Error::Exhausted);
                            prop_assert_eq!(held.len(), 29);
                        }
                    }
                } else {
                    let address = Ipv4Addr::new(10, 9, 0, which);
                    held.remove(&address);
                    pool.release(address);
                }
                prop_assert_eq!(pool.used(), held.len());
            }
        }
    }
}
