//! IPv6 addresses that users ask for by themselves. All others end in the IPv4 address that they go with
//! ([`network::six`]), and are free or taken as that one is.

use ipnet::Ipv6Net;
use shoal_raft_objects::{Network, network};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

/// One network's.
pub(super) struct Sixes {
    subnet: Option<Ipv6Net>,
    /// In use or resting, and the gateway and what the user keeps free.
    used: BTreeSet<Ipv6Addr>,
}

impl Sixes {
    pub fn of(network: &Network) -> Self {
        let subnets = network.subnets.iter();
        let kept = subnets.flat_map(|s| std::iter::once(&s.gateway).chain(&s.reserved));
        Self {
            subnet: network
                .subnet6()
                .and_then(|(address, length)| Ipv6Net::new(address, length).ok())
                .map(|net| net.trunc()),
            used: kept.filter_map(|text| text.parse().ok()).collect(),
        }
    }

    /// Notes one that somebody has. Answers the IPv4 address that cannot be given while it is so, because it goes with it.
    pub fn note(&mut self, address: Ipv6Addr) -> Option<Ipv4Addr> {
        self.used.insert(address);
        self.four(address)
    }

    /// Whether it can be given to one whose IPv4 address is `four`; `fours` are those in use, this one among them. Answers
    /// nothing where it goes with `four` anyhow.
    pub fn take(
        &mut self,
        address: Ipv6Addr,
        four: Ipv4Addr,
        fours: &BTreeSet<Ipv4Addr>,
    ) -> Result<Option<Ipv6Addr>, &'static str> {
        const TAKEN: &str = "it is in use or not yet given up by every node";
        let subnet = self.subnet.ok_or("the network has no IPv6")?;
        if !subnet.contains(&address) {
            return Err("it is not in its subnet");
        }
        if address == subnet.network() || self.used.contains(&address) {
            return Err(TAKEN);
        }
        match self.four(address) {
            Some(own) if own == four => return Ok(None),
            Some(other) if fours.contains(&other) => return Err(TAKEN),
            _ => {}
        }
        self.used.insert(address);
        Ok(Some(address))
    }

    pub fn give_back(&mut self, address: Ipv6Addr) {
        self.used.remove(&address);
    }

    /// The IPv4 address that it goes with, whether or not the network has that one.
    fn four(&self, address: Ipv6Addr) -> Option<Ipv4Addr> {
        let four = Ipv4Addr::from(u128::from(address) as u32);
        let subnet = self.subnet?;
        (network::six(subnet.network(), four) == address).then_some(four)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_raft_objects::Subnet;

    fn sixes() -> Sixes {
        let subnet = |subnet: &str, gateway: &str, reserved: &[&str]| Subnet {
            subnet: subnet.into(),
            gateway: gateway.into(),
            reserved: reserved.iter().map(|r| (*r).to_owned()).collect(),
            ..Subnet::default()
        };
        Sixes::of(&Network {
            subnets: vec![
                subnet("10.0.0.0/24", "10.0.0.1", &[]),
                subnet("fd00:1::/64", "fd00:1::1", &["fd00:1::9"]),
            ],
            ..Network::default()
        })
    }

    #[test]
    fn an_address_is_given_once_and_only_where_it_is_free() {
        let mut sixes = sixes();
        let own: Ipv4Addr = "10.0.0.5".parse().unwrap();
        let fours: BTreeSet<Ipv4Addr> = [own, "10.0.0.6".parse().unwrap()].into();
        let mut take = |address: &str| sixes.take(address.parse().unwrap(), own, &fours);
        assert_eq!(take("fd00:1::77"), Ok(Some("fd00:1::77".parse().unwrap())));
        let taken = Err("it is in use or not yet given up by every node");
        for bad in [
            "fd00:1::77",
            "fd00:1::1",
            "fd00:1::9",
            "fd00:1::",
            "fd00:1::a00:6",
        ] {
            assert_eq!(take(bad), taken, "{bad}");
        }
        assert_eq!(take("fd00:2::77"), Err("it is not in its subnet"));
        // The one that it has anyhow, one that goes with a free one, and one that goes with none.
        assert_eq!(take("fd00:1::a00:5"), Ok(None));
        for good in ["fd00:1::a00:7", "fd00:1::1:a00:6"] {
            assert_eq!(take(good), Ok(Some(good.parse().unwrap())), "{good}");
        }
        sixes.give_back("fd00:1::77".parse().unwrap());
        assert!(sixes.take("fd00:1::77".parse().unwrap(), own, &fours).is_ok());
        let none = Sixes::of(&Network::default()).take("fd00:1::77".parse().unwrap(), own, &fours);
        assert_eq!(none, Err("the network has no IPv6"));
    }

    #[test]
    fn who_has_an_address_keeps_the_one_that_goes_with_it_from_others() {
        let mut sixes = sixes();
        let note = sixes.note("fd00:1::a00:7".parse().unwrap());
        assert_eq!(note, Some("10.0.0.7".parse().unwrap()));
        assert_eq!(sixes.note("fd00:1::1:a00:7".parse().unwrap()), None);
    }
}
