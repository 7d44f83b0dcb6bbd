//! What one service with its tasks, or one plain container, adds to the plan and to the names.

use super::balance::{Target, Vip};
use super::known::Known;
use super::plan::Plan;
use crate::netplan::Protocol;
use shoal_raft_objects::track::{EndpointTrack, ServiceTrack};
use shoal_raft_objects::{NetworkId, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) type Mac = [u8; 6];

/// Each value has one place in the plan, which its key says; networks stand in keys by their ids.
#[derive(Default)]
pub(super) struct Entries {
    /// To which node frames for a hardware address go.
    pub forwarding: BTreeMap<(String, Mac), Ipv4Addr>,
    pub neighbours: BTreeMap<(String, IpAddr), Mac>,
    /// Of the ingress network: by which node's place a task is reached, and who is on this node's own bridge.
    pub routes: BTreeMap<IpAddr, IpAddr>,
    pub near: BTreeMap<IpAddr, Mac>,
    pub addresses: BTreeMap<(String, Vip), BTreeSet<Target>>,
    pub ports: BTreeMap<Vip, BTreeSet<Target>>,
    pub relayed: BTreeMap<Vip, BTreeSet<Target>>,
    /// Where ports of SCTP lead.
    pub associations: BTreeMap<Target, ()>,
    pub names: BTreeMap<(String, String, IpAddr), ()>,
}

impl Entries {
    /// `tasks` are those of the service, or one container alone. Networks and nodes are as in `frame`, of which nothing else
    /// is looked at.
    pub fn of(
        me: &NodeId,
        frame: &Plan,
        known: Known<'_>,
        service: Option<&ServiceTrack>,
        tasks: &[&EndpointTrack],
    ) -> Entries {
        let mut entries = Entries::default();
        for task in tasks {
            entries.ways(me, frame, known, task);
        }
        if let Some(service) = service {
            entries.addresses(frame, service, tasks);
            entries.ports(me, frame, service, tasks);
        }
        entries.names(known, service, tasks);
        entries
    }

    /// Takes the others in. False when two want the same.
    pub fn take(&mut self, others: Entries) -> bool {
        fn all<K: Ord, V>(own: &mut BTreeMap<K, V>, others: BTreeMap<K, V>) -> bool {
            others.into_iter().fold(true, |alone, (key, value)| {
                own.insert(key, value).is_none() && alone
            })
        }
        [
            all(&mut self.forwarding, others.forwarding),
            all(&mut self.neighbours, others.neighbours),
            all(&mut self.routes, others.routes),
            all(&mut self.near, others.near),
            all(&mut self.addresses, others.addresses),
            all(&mut self.ports, others.ports),
            all(&mut self.relayed, others.relayed),
            all(&mut self.associations, others.associations),
            all(&mut self.names, others.names),
        ]
        .iter()
        .all(|alone| *alone)
    }

    /// How a task is reached from this node, whatever it does at the moment.
    fn ways(&mut self, me: &NodeId, frame: &Plan, known: Known<'_>, task: &EndpointTrack) {
        for place in &task.places {
            let Some(segment) = frame.segments.get(place.network.as_str()) else {
                continue;
            };
            let addr = known.addr_on(segment, &task.node).filter(|_| task.node != *me);
            if let Some(addr) = addr {
                self.forwarding.insert((segment.id.clone(), place.mac), addr);
                let both = segment.addresses(place);
                self.neighbours
                    .extend(both.map(|address| ((segment.id.clone(), address), place.mac)));
            }
            let ingress = frame.ingress.as_ref().filter(|i| i.network == segment.id);
            if ingress.is_none() {
                continue;
            }
            if task.node == *me {
                let both = segment.both(place.address);
                self.near.extend(both.map(|address| (address, place.mac)));
            } else if let Some(gateway) = gateway(frame, known, &task.node) {
                let ways = segment.both(place.address).zip(segment.both(gateway));
                self.routes.extend(ways);
            }
        }
    }

    fn addresses(&mut self, frame: &Plan, service: &ServiceTrack, tasks: &[&EndpointTrack]) {
        for vip in &service.virtual_ips {
            let Some(segment) = frame.segments.get(vip.network.as_str()) else {
                continue;
            };
            for address in segment.both(vip.address) {
                let places = tasks
                    .iter()
                    .filter(|task| task.live)
                    .flat_map(|task| &task.places);
                let targets = places
                    .filter(|place| place.network == vip.network)
                    .flat_map(|place| segment.both(place.address))
                    .filter(|target| target.is_ipv6() == address.is_ipv6())
                    .map(|address| Target { address, port: 0 });
                self.addresses
                    .insert((segment.id.clone(), Vip::Address(address)), targets.collect());
            }
        }
    }

    /// Where published ports lead. Called after `ways`: a task whose node cannot be reached over the ingress network yet is none.
    fn ports(&mut self, me: &NodeId, frame: &Plan, service: &ServiceTrack, tasks: &[&EndpointTrack]) {
        let Some(ingress) = &frame.ingress else { return };
        let Some(segment) = frame.segments.get(&ingress.network) else {
            return;
        };
        let mut live: BTreeSet<Ipv4Addr> = BTreeSet::new();
        let mut here: BTreeSet<Ipv4Addr> = BTreeSet::new();
        for task in tasks.iter().filter(|task| task.live) {
            for place in task
                .places
                .iter()
                .filter(|p| p.network.as_str() == ingress.network)
            {
                if task.node == *me {
                    here.insert(place.address);
                } else if !self.routes.contains_key(&place.address.into()) {
                    continue;
                }
                live.insert(place.address);
            }
        }
        for port in &service.ports {
            let Some(protocol) = Protocol::parse(&port.protocol) else {
                continue;
            };
            let (number, published) = (protocol.number(), port.published_port);
            let named = |ports: &[(String, u16)]| ports.contains(&(port.protocol.clone(), published));
            let targets = match named(&service.local_first) && !here.is_empty() {
                true => &here,
                false => &live,
            };
            let families = [Vip::Port(number, published), Vip::Port6(number, published)];
            for vip in families
                .into_iter()
                .filter(|vip| !vip.is_v6() || segment.six.is_some())
            {
                let targets: BTreeSet<Target> = targets
                    .iter()
                    .flat_map(|address| segment.both(*address))
                    .filter(|address| address.is_ipv6() == vip.is_v6())
                    .map(|address| Target {
                        address,
                        port: port.target_port,
                    })
                    .collect();
                if protocol == Protocol::Sctp {
                    self.associations
                        .extend(targets.iter().map(|target| (*target, ())));
                }
                match named(&service.proxied) && !targets.is_empty() {
                    true => self.relayed.insert(vip, targets),
                    false => self.ports.insert(vip, targets),
                };
            }
        }
    }

    /// A service is its virtual address (or, without one, its live tasks), `tasks.` before its name always its live tasks.
    fn names(&mut self, known: Known<'_>, service: Option<&ServiceTrack>, tasks: &[&EndpointTrack]) {
        let mut add = |network: &NetworkId, name: &str, addresses: &[IpAddr]| {
            if name.is_empty() {
                return;
            }
            let name = name.to_lowercase();
            let keys = addresses
                .iter()
                .map(|address| ((network.to_string(), name.clone(), *address), ()));
            self.names.extend(keys);
        };
        let both = |four: Ipv4Addr, six: Option<(Ipv6Addr, u8)>| -> Vec<IpAddr> {
            let six = six.map(|(address, _)| IpAddr::V6(address));
            std::iter::once(IpAddr::V4(four)).chain(six).collect()
        };
        let vips = service
            .iter()
            .flat_map(|s| s.virtual_ips.iter().map(move |vip| (s, vip)));
        for (service, vip) in vips {
            let network = known.network(&vip.network);
            let addresses = both(vip.address, network.and_then(|n| n.six(vip.address)));
            add(&vip.network, &service.name, &addresses);
            let aliases = service.aliases.iter().filter(|(id, _)| *id == vip.network);
            for alias in aliases.flat_map(|(_, aliases)| aliases) {
                add(&vip.network, alias, &addresses);
            }
        }
        let live = tasks.iter().filter(|task| task.live);
        for (task, place) in live.flat_map(|task| task.places.iter().map(move |place| (task, place))) {
            let network = known.network(&place.network);
            let addresses = both(place.address, network.and_then(|n| n.six_of(place)));
            add(&place.network, &task.name, &addresses);
            if let Some(short) = task.container.get(..12) {
                add(&place.network, short, &addresses);
            }
            let Some(service) = service else {
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
    }
}

/// A node's place on the ingress network, if it can be reached there.
fn gateway(frame: &Plan, known: Known<'_>, node: &NodeId) -> Option<Ipv4Addr> {
    let ingress = frame.ingress.as_ref()?;
    let places = &known.peer(node)?.places;
    let place = places.iter().find(|p| p.network.as_str() == ingress.network)?;
    ingress
        .peers
        .contains_key(&place.address)
        .then_some(place.address)
}
