//! Where addresses and ports lead, as maps of packet rules.
//!
//! There is one map for each number of targets that occurs, keyed by what is asked for and a number below it: a packet draws
//! the number and finds its target, at the cost of a look-up. What gains or loses a target moves from one map to the next,
//! which costs as many entries as it has targets.

use std::collections::{BTreeMap, BTreeSet};

use shoal_node_core_host::overlay::{Balance, Target, Vip};

use super::ruleset::Set;
use crate::expression::octets;

const TYPE_ADDRESS: u32 = 7;
const TYPE_ADDRESS6: u32 = 8;
const TYPE_PROTOCOL: u32 = 12;
const TYPE_PORT: u32 = 13;
const TYPE_MARK: u32 = 19;

/// Some entries of a set.
pub(super) struct Part {
    pub set: String,
    /// What their keys begin with, and no other's.
    pub prefix: Vec<u8>,
    pub elements: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The numbers of targets that a table has maps for, by family. One that does not occur any more stays for a while, with an
/// empty map: services that grow and shrink change elements, and the table is not written anew each time.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeSet<(bool, u32)>);

impl Counts {
    const SPARE: usize = 8;

    pub fn take_up(&mut self, balance: &Balance) {
        let led = balance.iter().filter(|(_, targets)| !targets.is_empty());
        let occur: BTreeSet<(bool, u32)> = led.map(|(vip, targets)| (vip.is_v6(), count(targets))).collect();
        if self.0.len() > 2 * occur.len() + Self::SPARE {
            self.0.clear();
        }
        self.0.extend(occur);
    }

    pub fn of(&self, v6: bool) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.0
            .iter()
            .filter(move |(six, _)| *six == v6)
            .map(|(_, count)| *count)
    }

    /// In which order a packet looks into the maps: up, and down again.
    ///
    /// A transaction changes all maps at once, but a packet may be between two of them then. What lost a target has moved
    /// from a map ahead of the packet to one that it has passed: without the way down it would find its port nowhere, and
    /// the host would refuse the connection. Only what no map leads anywhere looks twice.
    pub fn walk(&self, v6: bool) -> impl Iterator<Item = u32> + '_ {
        self.of(v6).chain(self.of(v6).rev().skip(1))
    }
}

#[derive(Clone, Copy)]
pub(super) enum Keys {
    Addresses,
    Ports,
}

pub(super) fn table_name(count: u32, v6: bool) -> String {
    format!("{}-{count}", if v6 { "to6" } else { "to" })
}

pub(super) fn idle_name(v6: bool) -> &'static str {
    if v6 { "idle6" } else { "idle" }
}

impl Keys {
    /// Of keys and of targets: types and bytes.
    fn shape(self, v6: bool) -> ((u32, u32), (u32, u32)) {
        let (kind, bytes) = match v6 {
            true => (TYPE_ADDRESS6, 16),
            false => (TYPE_ADDRESS, 4),
        };
        match self {
            Keys::Addresses => ((kind, bytes), (kind, bytes)),
            Keys::Ports => (
                (TYPE_PROTOCOL << 6 | TYPE_PORT, 8),
                (kind << 6 | TYPE_PORT, bytes + 4),
            ),
        }
    }
}

/// One family's tables.
pub(super) fn balance_sets(
    balance: &Balance,
    counts: &Counts,
    keys: Keys,
    v6: bool,
) -> BTreeMap<String, Set> {
    let ((key_type, key_bytes), data) = keys.shape(v6);
    let map = Set {
        key_type: key_type << 6 | TYPE_MARK,
        key_bytes: key_bytes + 4,
        data: Some(data),
        elements: BTreeMap::new(),
    };
    let mut sets: BTreeMap<String, Set> = counts
        .of(v6)
        .map(|count| (table_name(count, v6), map.clone()))
        .collect();
    let idle = Set {
        key_type,
        key_bytes,
        data: None,
        elements: BTreeMap::new(),
    };
    sets.insert(idle_name(v6).into(), idle);
    for (vip, targets) in balance.iter().filter(|(vip, _)| vip.is_v6() == v6) {
        if let Some(set) = sets.get_mut(&set_of(*vip, targets)) {
            set.elements.extend(entries(*vip, targets, keys));
        }
    }
    sets
}

/// What one address or port changes: in each set, whatever begins with its key is to be these entries. Nothing when there is
/// no map for its number of targets.
fn parts(vip: Vip, targets: Option<&BTreeSet<Target>>, counts: &Counts, keys: Keys) -> Option<Vec<Part>> {
    let v6 = vip.is_v6();
    let own = targets.map(|targets| (set_of(vip, targets), targets));
    let names = counts.of(v6).map(|count| table_name(count, v6));
    let parts: Vec<Part> = names
        .chain([idle_name(v6).to_owned()])
        .map(|set| {
            let here = own.as_ref().filter(|(name, _)| *name == set);
            Part {
                prefix: key(&vip),
                elements: here.map_or_else(BTreeMap::new, |(_, targets)| {
                    entries(vip, targets, keys).collect()
                }),
                set,
            }
        })
        .collect();
    let has_place = own.is_none_or(|(name, _)| parts.iter().any(|part| part.set == name));
    has_place.then_some(parts)
}

/// Of a published port.
pub(super) fn port_parts(vip: Vip, targets: Option<&BTreeSet<Target>>, counts: &Counts) -> Option<Vec<Part>> {
    parts(vip, targets, counts, Keys::Ports)
}

/// Of a service's address, in a container.
pub(super) fn address_parts(
    vip: Vip,
    targets: Option<&BTreeSet<Target>>,
    counts: &Counts,
) -> Option<Vec<Part>> {
    parts(vip, targets, counts, Keys::Addresses)
}

fn count(targets: &BTreeSet<Target>) -> u32 {
    u32::try_from(targets.len()).unwrap_or(u32::MAX)
}

fn set_of(vip: Vip, targets: &BTreeSet<Target>) -> String {
    match targets.is_empty() {
        true => idle_name(vip.is_v6()).to_owned(),
        false => table_name(count(targets), vip.is_v6()),
    }
}

/// In its set.
fn entries(
    vip: Vip,
    targets: &BTreeSet<Target>,
    keys: Keys,
) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + '_ {
    let idle = targets.is_empty().then(|| (key(&vip), Vec::new()));
    let led = (0u32..).zip(targets).map(move |(n, to)| {
        let mut bytes = key(&vip);
        bytes.extend_from_slice(&n.to_ne_bytes());
        (bytes, target(to, keys))
    });
    idle.into_iter().chain(led)
}

/// Each part fills four bytes, an IPv6 address sixteen.
fn key(vip: &Vip) -> Vec<u8> {
    match vip {
        Vip::Address(address) => octets(*address),
        Vip::Port(protocol, port) | Vip::Port6(protocol, port) => {
            let [high, low] = port.to_be_bytes();
            vec![*protocol, 0, 0, 0, high, low, 0, 0]
        }
    }
}

fn target(target: &Target, keys: Keys) -> Vec<u8> {
    let mut bytes = octets(target.address);
    if let Keys::Ports = keys {
        let [high, low] = target.port.to_be_bytes();
        bytes.extend_from_slice(&[high, low, 0, 0]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a packet of port 80 finds when the maps change from `before` to `after` behind the `n`th look.
    fn finds(counts: &Counts, before: u32, after: u32, n: usize) -> bool {
        let mut looks = counts.walk(false).enumerate();
        looks.any(|(at, count)| count == if at < n { before } else { after })
    }

    #[test]
    fn a_packet_finds_its_port_whenever_the_maps_change() {
        let counts = Counts([1, 2, 6, 10].map(|count| (false, count)).into());
        assert_eq!(counts.walk(false).collect::<Vec<_>>(), [1, 2, 6, 10, 6, 2, 1]);
        assert_eq!(counts.walk(true).count(), 0);
        for before in [1, 2, 6, 10] {
            for after in [1, 2, 6, 10] {
                for n in 0..8 {
                    assert!(
                        finds(&counts, before, after, n),
                        "{before} to {after} behind look {n}"
                    );
                }
            }
        }
    }
}
