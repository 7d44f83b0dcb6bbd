//! The packet rules of cluster networks: one table on the host for published ports, one in each container for services'
//! addresses.

use std::borrow::Cow;
use std::collections::BTreeMap;

use shoal_node_core_host::netplan::Protocol;
use shoal_node_core_host::overlay::{Balance, Ingress, Tunnel};

use super::leads::{Counts, Keys, balance_sets, idle_name, table_name};
use super::relay::Here;
use crate::expression::{Direction, Expressions, Verdict};

const PREROUTING: u32 = 0;
const INPUT: u32 = 1;
const FORWARD: u32 = 2;
const OUTPUT: u32 = 3;
const POSTROUTING: u32 = 4;
/// Before the host's own table sends published ports of containers on.
const BEFORE_DNAT: i32 = -101;
const BEFORE_FILTER: i32 = -10;
const RAW: i32 = -300;
const MANGLE: i32 = -150;
const SOURCE_NAT: i32 = 100;
/// Before connections are looked at, and before everybody's filters.
const FIRST: i32 = -310;

const TYPE_INTEGER: u32 = 4;
pub(super) const TYPE_ETHER: u32 = 9;
const TYPE_MARK: u32 = 19;
pub(super) const TYPE_INTERFACE: u32 = 20;

const TCP: u8 = 6;
const UDP: u8 = 17;
/// The control protocols' message of a shorter way.
const REDIRECT: u8 = 5;
const REDIRECT6: u8 = 137;

pub(super) fn host_table(sid: &str) -> String {
    format!("shoal-{sid}-ingress")
}

pub(super) const CONTAINER_TABLE: &str = "shoal-services";

/// A set, or with a data type a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    pub key_type: u32,
    pub key_bytes: u32,
    pub data: Option<(u32, u32)>,
    pub elements: BTreeMap<Vec<u8>, Vec<u8>>,
}

pub(super) struct Chain {
    pub name: Cow<'static, str>,
    pub kind: &'static str,
    pub hook: u32,
    pub priority: i32,
    /// Of the family `netdev`: the interfaces whose packets it sees, with their numbers.
    pub devices: BTreeMap<String, u32>,
    pub rules: Vec<Vec<u8>>,
}

impl Chain {
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        kind: &'static str,
        (hook, priority): (u32, i32),
        rules: Vec<Vec<u8>>,
    ) -> Chain {
        Chain {
            name: name.into(),
            kind,
            hook,
            priority,
            devices: BTreeMap::new(),
            rules,
        }
    }
}

pub(super) struct Ruleset {
    pub sets: BTreeMap<String, Set>,
    pub chains: Vec<Chain>,
}

/// Published ports, where they lead (`balance`), and how answers find back. What comes to `::1` goes to a port of `here` there:
/// the kernel lets nothing of that address leave the host and come back.
pub(super) fn ingress(ingress: &Ingress, balance: &Balance, counts: &Counts, here: Here) -> Ruleset {
    let bridge = &ingress.bridge;
    let mut sets = balance_sets(balance, counts, Keys::Ports, false);
    if ingress.address6.is_some() {
        sets.extend(balance_sets(balance, counts, Keys::Ports, true));
    }
    let families: &[bool] = match ingress.address6 {
        Some(_) => &[false, true],
        None => &[false],
    };
    let peers = ingress.peers.values();
    sets.insert(
        "peers".into(),
        Set {
            key_type: TYPE_ETHER,
            key_bytes: 6,
            data: Some((TYPE_MARK, 4)),
            elements: peers
                .map(|p| (p.mac.to_vec(), p.mark.to_ne_bytes().to_vec()))
                .collect(),
        },
    );
    sets.insert(
        "zones".into(),
        Set {
            key_type: TYPE_ETHER,
            key_bytes: 6,
            data: Some((TYPE_INTEGER, 2)),
            elements: ingress
                .peers
                .values()
                .map(|p| (p.mac.to_vec(), (p.mark as u16).to_ne_bytes().to_vec()))
                .collect(),
        },
    );
    let new = Expressions::new;
    // The way is looked up once for each connection, not for each rule.
    let others = || new().target_elsewhere().verdict(Verdict::Accept).finish();
    let redirect = || {
        let tables = families
            .iter()
            .flat_map(|v6| counts.walk(*v6).map(move |n| (n, *v6)));
        tables.map(|(count, v6)| new().balance_port(&table_name(count, v6), count, v6).finish())
    };
    let published = std::iter::once(others()).chain(redirect());
    let relays = [(TCP, here.streams), (UDP, here.datagrams)].into_iter();
    let relays =
        relays.filter_map(|(protocol, port)| Some((protocol, port.filter(|_| ingress.address6.is_some())?)));
    let relays = relays.flat_map(|to| counts.walk(true).map(move |count| (to, count)));
    let relays = relays.map(|((protocol, port), count)| {
        let rule = new().target_is_loopback6().protocol(protocol);
        rule.relay_port(&table_name(count, true), count, port).finish()
    });
    let chains = vec![
        // A client may have two connections from one port, to two nodes, that lead to one task: for the task they would be
        // one. Connections are told apart by the node that they came in by, and the second one gets another port.
        Chain::new(
            "apart",
            "filter",
            (PREROUTING, RAW),
            vec![new().arrives_by(bridge).set_apart_by_sender("zones").finish()],
        ),
        Chain::new(
            "marks",
            "filter",
            (PREROUTING, MANGLE),
            vec![
                new()
                    .arrives_by(bridge)
                    .direction(Direction::Original)
                    .mark_connection_by_sender("peers")
                    .finish(),
                new()
                    .arrives_by(bridge)
                    .direction(Direction::Reply)
                    .mark_as_connection()
                    .finish(),
            ],
        ),
        Chain::new("published", "nat", (PREROUTING, BEFORE_DNAT), published.collect()),
        Chain::new(
            "published-here",
            "nat",
            (OUTPUT, BEFORE_DNAT),
            std::iter::once(others())
                .chain(relays)
                .chain(redirect())
                .collect(),
        ),
        // Tasks reach nothing of the host and nothing beyond it over the ingress network, and nobody reaches a task over it
        // but by a published port.
        Chain::new(
            "forward",
            "filter",
            (FORWARD, BEFORE_FILTER),
            vec![
                new()
                    .arrives_not_by(bridge)
                    .leaves_by(bridge)
                    .not_redirected()
                    .verdict(Verdict::Drop)
                    .finish(),
                new()
                    .arrives_by(bridge)
                    .leaves_not_by(bridge)
                    .direction(Direction::Original)
                    .verdict(Verdict::Drop)
                    .finish(),
            ],
        ),
        Chain::new("input", "filter", (INPUT, BEFORE_FILTER), input(bridge, families)),
        Chain::new(
            "output",
            "filter",
            (OUTPUT, BEFORE_FILTER),
            // A task's node forwards on the interface that packets came in by, on purpose.
            redirects(bridge, families),
        ),
        Chain::new(
            "from-loopback",
            "nat",
            (POSTROUTING, SOURCE_NAT),
            vec![new().leaves_by(bridge).source_loopback().masquerade().finish()],
        ),
    ];
    Ruleset { sets, chains }
}

pub(super) fn seal_table(sid: &str) -> String {
    format!("shoal-{sid}-sealed")
}

/// Frames of encrypted networks come by the tunnel and leave by it, or not at all.
///
/// Both chains see whole packets: what arrives in fragments was put together before the first, and what leaves is taken
/// apart after the second.
pub(super) fn seal(tunnel: &Tunnel) -> Ruleset {
    const SEALED: &str = "sealed";
    let vnis = tunnel.vnis.iter().map(|vni| {
        let [_, id @ ..] = vni.to_be_bytes();
        (id.to_vec(), Vec::new())
    });
    let set = Set {
        key_type: TYPE_INTEGER,
        key_bytes: 3,
        data: None,
        elements: vnis.collect(),
    };
    let drop = |way: Expressions| {
        way.target_port(Protocol::Udp, tunnel.vxlan_port)
            .vxlan_in_set(SEALED)
            .verdict(Verdict::Drop)
            .finish()
    };
    let chain = |name: &'static str, hook, way| Chain::new(name, "filter", (hook, FIRST), vec![drop(way)]);
    let new = Expressions::new;
    Ruleset {
        sets: [(SEALED.to_owned(), set)].into(),
        chains: vec![
            chain("arriving", INPUT, new().arrives_not_by(&tunnel.link)),
            chain("leaving", OUTPUT, new().leaves_not_by(&tunnel.link)),
        ],
    }
}

/// Nothing of the host is reached over the ingress network; a port that leads nowhere at the moment says so at once.
fn input(bridge: &str, families: &[bool]) -> Vec<Vec<u8>> {
    let new = Expressions::new;
    let over = new()
        .arrives_by(bridge)
        .direction(Direction::Original)
        .verdict(Verdict::Drop);
    let mut rules = vec![over.finish()];
    for v6 in families {
        let idle = || new().port_in_set(idle_name(*v6), *v6).target_local();
        rules.push(idle().protocol(TCP).refuse(true).finish());
        rules.push(idle().refuse(false).finish());
    }
    rules
}

/// Nobody is told of a shorter way.
fn redirects(bridge: &str, families: &[bool]) -> Vec<Vec<u8>> {
    let rule = |v6: &bool| {
        let redirect = if *v6 { REDIRECT6 } else { REDIRECT };
        Expressions::new()
            .leaves_by(bridge)
            .control_message(*v6, redirect)
            .verdict(Verdict::Drop)
            .finish()
    };
    families.iter().map(rule).collect()
}

/// Services' addresses, in a container.
pub(super) fn services(balance: &Balance, counts: &Counts) -> Ruleset {
    let mut sets = BTreeMap::new();
    let (mut lead, mut idle) = (Vec::new(), Vec::new());
    for v6 in [false, true] {
        sets.extend(balance_sets(balance, counts, Keys::Addresses, v6));
        lead.extend(counts.walk(v6).map(|count| {
            Expressions::new()
                .balance_address(&table_name(count, v6), count, v6)
                .finish()
        }));
        let nowhere = || Expressions::new().target_in_set(idle_name(v6), v6);
        idle.push(nowhere().protocol(TCP).refuse(true).finish());
        idle.push(nowhere().refuse(false).finish());
    }
    let chains = vec![
        Chain::new("services", "nat", (OUTPUT, BEFORE_DNAT), lead),
        Chain::new("idle", "filter", (OUTPUT, BEFORE_FILTER), idle),
    ];
    Ruleset { sets, chains }
}
