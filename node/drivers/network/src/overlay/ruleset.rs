//! The packet rules of cluster networks: one table on the host for published ports, one in each container for services'
//! addresses.

use std::collections::BTreeMap;

use shoal_node_core_host::overlay::{Balance, Ingress, Target, Vip};

use crate::expression::{Direction, Expressions, Verdict};

const PREROUTING: u32 = 0;
const INPUT: u32 = 1;
const FORWARD: u32 = 2;
const OUTPUT: u32 = 3;
const POSTROUTING: u32 = 4;
/// Before the host's own table sends published ports of containers on.
const BEFORE_DNAT: i32 = -101;
const BEFORE_FILTER: i32 = -10;
const MANGLE: i32 = -150;
const SOURCE_NAT: i32 = 100;

const TYPE_ADDRESS: u32 = 7;
const TYPE_ETHER: u32 = 9;
const TYPE_PROTOCOL: u32 = 12;
const TYPE_PORT: u32 = 13;
const TYPE_MARK: u32 = 19;

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
    pub name: &'static str,
    pub kind: &'static str,
    pub hook: u32,
    pub priority: i32,
    pub rules: Vec<Vec<u8>>,
}

pub(super) struct Ruleset {
    pub sets: BTreeMap<String, Set>,
    pub chains: Vec<Chain>,
}

/// Published ports, where they lead, and how answers find back.
pub(super) fn ingress(ingress: &Ingress) -> Ruleset {
    let bridge = &ingress.bridge;
    let mut sets = balance_sets(&ingress.balance, &port_key, &port_target, Keys::Ports);
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
    let redirect = || -> Vec<Vec<u8>> {
        let counts = ingress.balance.tables.keys();
        counts
            .map(|count| {
                let rule = Expressions::new().target_local();
                rule.balance_port(&table_name(*count), *count, false).finish()
            })
            .collect()
    };
    let new = Expressions::new;
    let chains = vec![
        Chain {
            name: "marks",
            kind: "filter",
            hook: PREROUTING,
            priority: MANGLE,
            rules: vec![
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
        },
        Chain {
            name: "published",
            kind: "nat",
            hook: PREROUTING,
            priority: BEFORE_DNAT,
            rules: redirect(),
        },
        Chain {
            name: "published-here",
            kind: "nat",
            hook: OUTPUT,
            priority: BEFORE_DNAT,
            rules: redirect(),
        },
        // Tasks reach nothing of the host and nothing beyond it over the ingress network, and nobody reaches a task over it
        // but by a published port.
        Chain {
            name: "forward",
            kind: "filter",
            hook: FORWARD,
            priority: BEFORE_FILTER,
            rules: vec![
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
        },
        Chain {
            name: "input",
            kind: "filter",
            hook: INPUT,
            priority: BEFORE_FILTER,
            rules: vec![
                new()
                    .arrives_by(bridge)
                    .direction(Direction::Original)
                    .verdict(Verdict::Drop)
                    .finish(),
                new()
                    .target_local()
                    .port_in_set("idle", false)
                    .protocol(6)
                    .refuse(true)
                    .finish(),
                new()
                    .target_local()
                    .port_in_set("idle", false)
                    .refuse(false)
                    .finish(),
            ],
        },
        Chain {
            name: "output",
            kind: "filter",
            hook: OUTPUT,
            priority: BEFORE_FILTER,
            // A task's node forwards on the interface that packets came in by, on purpose.
            rules: vec![
                new()
                    .leaves_by(bridge)
                    .control_message(false, 5)
                    .verdict(Verdict::Drop)
                    .finish(),
            ],
        },
        Chain {
            name: "from-loopback",
            kind: "nat",
            hook: POSTROUTING,
            priority: SOURCE_NAT,
            rules: vec![new().leaves_by(bridge).source_loopback().masquerade().finish()],
        },
    ];
    Ruleset { sets, chains }
}

/// Services' addresses, in a container.
pub(super) fn services(balance: &Balance) -> Ruleset {
    let sets = balance_sets(balance, &address_key, &address_target, Keys::Addresses);
    let rules = balance.tables.keys().map(|count| {
        Expressions::new()
            .balance_address(&table_name(*count), *count, false)
            .finish()
    });
    let new = Expressions::new;
    let chains = vec![
        Chain {
            name: "services",
            kind: "nat",
            hook: OUTPUT,
            priority: BEFORE_DNAT,
            rules: rules.collect(),
        },
        Chain {
            name: "idle",
            kind: "filter",
            hook: OUTPUT,
            priority: BEFORE_FILTER,
            rules: vec![
                new()
                    .target_in_set("idle", false)
                    .protocol(6)
                    .refuse(true)
                    .finish(),
                new().target_in_set("idle", false).refuse(false).finish(),
            ],
        },
    ];
    Ruleset { sets, chains }
}

enum Keys {
    Addresses,
    Ports,
}

fn table_name(count: u32) -> String {
    format!("to-{count}")
}

fn balance_sets(
    balance: &Balance,
    key: &dyn Fn(&Vip) -> Vec<u8>,
    target: &dyn Fn(&Target) -> Vec<u8>,
    keys: Keys,
) -> BTreeMap<String, Set> {
    let (key_type, key_bytes, data) = match keys {
        Keys::Addresses => (TYPE_ADDRESS, 4, (TYPE_ADDRESS, 4)),
        Keys::Ports => (
            TYPE_PROTOCOL << 6 | TYPE_PORT,
            8,
            (TYPE_ADDRESS << 6 | TYPE_PORT, 8),
        ),
    };
    let mut sets = BTreeMap::new();
    for (count, table) in &balance.tables {
        let element = |((vip, n), to): (&(Vip, u32), &Target)| {
            let mut bytes = key(vip);
            bytes.extend_from_slice(&n.to_ne_bytes());
            (bytes, target(to))
        };
        sets.insert(
            table_name(*count),
            Set {
                key_type: key_type << 6 | TYPE_MARK,
                key_bytes: key_bytes + 4,
                data: Some(data),
                elements: table.iter().map(element).collect(),
            },
        );
    }
    sets.insert(
        "idle".into(),
        Set {
            key_type,
            key_bytes,
            data: None,
            elements: balance.idle.iter().map(|vip| (key(vip), Vec::new())).collect(),
        },
    );
    sets
}

fn address_key(vip: &Vip) -> Vec<u8> {
    match vip {
        Vip::Address(address) => address.octets().to_vec(),
        Vip::Port(..) => vec![0; 4],
    }
}

/// Each part fills four bytes.
fn port_key(vip: &Vip) -> Vec<u8> {
    match vip {
        Vip::Port(protocol, port) => {
            let [high, low] = port.to_be_bytes();
            vec![*protocol, 0, 0, 0, high, low, 0, 0]
        }
        Vip::Address(_) => vec![0; 8],
    }
}

fn address_target(target: &Target) -> Vec<u8> {
    target.address.octets().to_vec()
}

fn port_target(target: &Target) -> Vec<u8> {
    let [high, low] = target.port.to_be_bytes();
    let mut bytes = target.address.octets().to_vec();
    bytes.extend_from_slice(&[high, low, 0, 0]);
    bytes
}
