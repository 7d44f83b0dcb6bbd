//! Addresses of networks: which are in use, which rest, which is next.

use super::six::Sixes;
use crate::task::is_over;
use ipnet::Ipv4Net;
use shoal_raft_objects::{Attachment, Network, NetworkId, network};
use shoal_raft_store::State;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses whose holder is gone from the state, with the log index at which it went: nodes may still know them.
#[derive(Clone, Default, Debug)]
pub struct Quarantine {
    resting: BTreeMap<(NetworkId, IpAddr), u64>,
    /// The address that was given last, by network: the search goes on behind it.
    last: BTreeMap<NetworkId, Ipv4Addr>,
}

impl Quarantine {
    pub fn rest(&mut self, network: &NetworkId, address: IpAddr, since: u64) {
        let since_known = self.resting.entry((network.clone(), address)).or_default();
        *since_known = (*since_known).max(since);
    }

    /// Every node knows what happened up to `acknowledged`.
    pub fn wake(&mut self, acknowledged: u64) {
        self.resting.retain(|_, since| *since > acknowledged);
    }
}

/// The networks' addresses as one step sees them; made for a network when it is first asked for.
pub(crate) struct Pools<'m> {
    pools: BTreeMap<NetworkId, Pool>,
    quarantine: &'m mut Quarantine,
    acknowledged: u64,
}

struct Pool {
    /// The subnets, each with the part of it that addresses are given from.
    ranges: Vec<(Ipv4Net, Ipv4Net)>,
    used: BTreeSet<Ipv4Addr>,
    sixes: Sixes,
    last: Option<Ipv4Addr>,
}

impl<'m> Pools<'m> {
    pub fn new(quarantine: &'m mut Quarantine, acknowledged: u64) -> Self {
        quarantine.wake(acknowledged);
        Self {
            pools: BTreeMap::new(),
            quarantine,
            acknowledged,
        }
    }

    /// A free place on `network` for `holder`.
    pub fn take(&mut self, state: &State, network: &Network, holder: &str) -> Result<Attachment, String> {
        let name = &network.spec.annotations.name;
        let (address, prefix_len) = self.pool(state, network).take().ok_or_else(|| {
            let subnets: Vec<&str> = network.subnets.iter().map(|s| s.subnet.as_str()).collect();
            format!(
                "could not find an available IP address on network {name} ({}): all are in use or not yet given up by every node",
                subnets.join(", ")
            )
        })?;
        self.quarantine.last.insert(network.id.clone(), address);
        Ok(place(network, address, prefix_len, holder))
    }

    /// The place on `network` with the address that a user asks for.
    pub fn take_this(
        &mut self,
        state: &State,
        network: &Network,
        holder: &str,
        address: Ipv4Addr,
    ) -> Result<Attachment, String> {
        let taken = self.pool(state, network).take_this(address);
        let prefix_len = taken.map_err(|why| refused(network, address.into(), why))?;
        Ok(place(network, address, prefix_len, holder))
    }

    /// The place with the IPv6 address that a user asks for; without it, it is given back.
    pub fn with_six(
        &mut self,
        state: &State,
        network: &Network,
        place: Attachment,
        address: Ipv6Addr,
    ) -> Result<Attachment, String> {
        let pool = self.pool(state, network);
        match pool.sixes.take(address, place.address, &pool.used) {
            Ok(address6) => {
                // Nobody gets the IPv4 address that goes with it meanwhile.
                pool.used
                    .extend(address6.and_then(|address| pool.sixes.note(address)));
                Ok(Attachment { address6, ..place })
            }
            Err(why) => {
                self.give_back(&place);
                Err(refused(network, address.into(), why))
            }
        }
    }

    /// It was not needed after all.
    pub fn give_back(&mut self, place: &Attachment) {
        if let Some(pool) = self.pools.get_mut(&place.network) {
            pool.used.remove(&place.address);
            if let Some(address) = place.address6 {
                pool.sixes.give_back(address);
            }
        }
    }

    fn pool(&mut self, state: &State, network: &Network) -> &mut Pool {
        let survey = || survey(self.quarantine, self.acknowledged, state, network);
        self.pools.entry(network.id.clone()).or_insert_with(survey)
    }
}

fn survey(quarantine: &Quarantine, acknowledged: u64, state: &State, network: &Network) -> Pool {
    let mut used = BTreeSet::new();
    let mut sixes = Sixes::of(network);
    let mut ranges = Vec::new();
    for subnet in &network.subnets {
        // Kept free in IPv6 is the address that ends so.
        let six = std::iter::once(&subnet.gateway).chain(&subnet.reserved);
        let six = six.filter_map(|text| text.parse::<Ipv6Addr>().ok());
        used.extend(six.map(|address| Ipv4Addr::from((u128::from(address) & 0xffff_ffff) as u32)));
        let Ok(net) = subnet.subnet.parse::<Ipv4Net>() else {
            continue;
        };
        let range = subnet.ip_range.parse().unwrap_or(net);
        ranges.push((net.trunc(), range.trunc()));
        used.extend(subnet.gateway.parse::<Ipv4Addr>());
        used.extend(subnet.reserved.iter().filter_map(|a| a.parse::<Ipv4Addr>().ok()));
    }
    for task in state.tasks_of_network(&network.id) {
        if is_over(task) && task.meta.touched <= acknowledged {
            continue;
        }
        let on = task.networks.iter().filter(|p| p.network == network.id);
        for place in on {
            used.insert(place.address);
            used.extend(place.address6.and_then(|address| sixes.note(address)));
        }
    }
    for service in state.services().iter() {
        let vips = service.endpoint.virtual_ips.iter();
        used.extend(vips.filter(|v| v.network == network.id).map(|v| v.address));
    }
    for node in state.nodes().iter() {
        used.extend(of(&network.id, &node.attachments));
    }
    let resting = quarantine.resting.keys();
    for (_, address) in resting.filter(|(id, _)| *id == network.id) {
        used.extend(match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(address) => sixes.note(*address),
        });
    }
    Pool {
        // A new leader goes on behind whatever is in use.
        last: quarantine
            .last
            .get(&network.id)
            .copied()
            .or_else(|| used.last().copied()),
        ranges,
        used,
        sixes,
    }
}

fn refused(network: &Network, address: IpAddr, why: &str) -> String {
    let name = &network.spec.annotations.name;
    format!("address {address} of network {name} cannot be given: {why}")
}

fn place(network: &Network, address: Ipv4Addr, prefix_len: u8, holder: &str) -> Attachment {
    Attachment {
        network: network.id.clone(),
        address,
        prefix_len,
        address6: None,
        mac: network::mac_of(holder, network.id.as_str()),
        aliases: Vec::new(),
    }
}

fn of<'a>(network: &'a NetworkId, places: &'a [Attachment]) -> impl Iterator<Item = Ipv4Addr> + 'a {
    places
        .iter()
        .filter(move |p| p.network == *network)
        .map(|p| p.address)
}

impl Pool {
    /// The next free address behind the last one, round and round: one that was given up is the last to be given again.
    fn take(&mut self) -> Option<(Ipv4Addr, u8)> {
        let last = self.last.map_or(0, u32::from);
        let behind = self.ranges.iter().filter_map(|(net, range)| {
            let from = u32::from(range.network()).max(last.saturating_add(1));
            self.free(net, range, from)
        });
        let found = behind
            .chain(
                self.ranges
                    .iter()
                    .filter_map(|(net, range)| self.free(net, range, u32::from(range.network()))),
            )
            .next()?;
        self.used.insert(found.0);
        self.last = Some(found.0);
        Some(found)
    }

    /// Exactly this one; answers its prefix length.
    fn take_this(&mut self, address: Ipv4Addr) -> Result<u8, &'static str> {
        let inside =
            |net: &Ipv4Net| net.contains(&address) && address != net.network() && address != net.broadcast();
        let (net, _) = self
            .ranges
            .iter()
            .find(|(net, _)| inside(net))
            .ok_or("it is in none of its subnets")?;
        let prefix_len = net.prefix_len();
        match self.used.insert(address) {
            true => Ok(prefix_len),
            false => Err("it is in use or not yet given up by every node"),
        }
    }

    fn free(&self, net: &Ipv4Net, range: &Ipv4Net, from: u32) -> Option<(Ipv4Addr, u8)> {
        let (first, end) = (u32::from(net.network()), u32::from(net.broadcast()));
        (from..=u32::from(range.broadcast()))
            .filter(|n| *n != first && *n != end)
            .map(Ipv4Addr::from)
            .find(|address| !self.used.contains(address))
            .map(|address| (address, net.prefix_len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(subnet: &str, used: &[&str]) -> Pool {
        let net: Ipv4Net = subnet.parse().unwrap();
        Pool {
            ranges: vec![(net, net)],
            used: used.iter().map(|a| a.parse().unwrap()).collect(),
            last: None,
            sixes: Sixes::of(&Network::default()),
        }
    }

    #[test]
    fn addresses_are_given_round_and_round_and_never_twice() {
        let mut pool = pool("10.0.1.0/29", &["10.0.1.1"]);
        let mut take = || pool.take().map(|(a, _)| a.to_string());
        let given: Vec<_> = std::iter::from_fn(&mut take).collect();
        assert_eq!(
            given,
            ["10.0.1.2", "10.0.1.3", "10.0.1.4", "10.0.1.5", "10.0.1.6"]
        );
        pool.used.remove(&"10.0.1.3".parse().unwrap());
        assert_eq!(pool.take().unwrap().0.to_string(), "10.0.1.3");
        assert!(pool.take().is_none());
    }

    #[test]
    fn an_address_given_back_is_the_last_to_be_given_again() {
        let mut pool = pool("10.0.1.0/29", &["10.0.1.1"]);
        let (first, _) = pool.take().unwrap();
        pool.used.remove(&first);
        assert_eq!(pool.take().unwrap().0.to_string(), "10.0.1.3");
    }

    #[test]
    fn an_address_that_is_asked_for_is_given_once() {
        let mut pool = pool("10.0.1.0/29", &["10.0.1.1"]);
        assert_eq!(pool.take_this("10.0.1.4".parse().unwrap()), Ok(29));
        for bad in ["10.0.1.4", "10.0.1.1", "10.0.1.0", "10.0.1.7", "10.0.2.1"] {
            assert!(pool.take_this(bad.parse().unwrap()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_rests_wakes_when_every_node_has_acknowledged() {
        let mut quarantine = Quarantine::default();
        quarantine.rest(&"n".into(), Ipv4Addr::new(10, 0, 0, 5).into(), 7);
        quarantine.wake(6);
        assert_eq!(quarantine.resting.len(), 1);
        quarantine.wake(7);
        assert!(quarantine.resting.is_empty());
    }
}
