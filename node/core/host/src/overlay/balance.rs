//! How one address or port leads to several targets: tables that a few rules look into, however many services there are.
//!
//! There is one table for each number of targets that occurs, keyed by what is asked for and a number below it. A
//! packet draws the number and finds its target; the cost is that of a look-up. A service that gains or loses a target
//! moves from one table to the next, which costs as many entries as it has targets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vip {
    Address(Ipv4Addr),
    /// A published port: protocol number and port.
    Port(u8, u16),
}

/// Where it leads; port 0 keeps the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub address: Ipv4Addr,
    pub port: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// By number of targets: what leads where.
    pub tables: BTreeMap<u32, BTreeMap<(Vip, u32), Target>>,
    /// What leads nowhere at the moment: answered with a refusal at once.
    pub idle: BTreeSet<Vip>,
}

impl Balance {
    pub fn add(&mut self, vip: Vip, targets: impl IntoIterator<Item = Target>) {
        let targets: BTreeSet<Target> = targets.into_iter().collect();
        if targets.is_empty() {
            self.idle.insert(vip);
            return;
        }
        let count = u32::try_from(targets.len()).unwrap_or(u32::MAX);
        let table = self.tables.entry(count).or_default();
        table.extend((0..count).zip(targets).map(|(n, target)| ((vip, n), target)));
    }

    /// Everything of both.
    pub fn merge(&mut self, other: &Balance) {
        for (count, table) in &other.tables {
            let own = self.tables.entry(*count).or_default();
            own.extend(table.iter().map(|(key, target)| (*key, *target)));
        }
        self.idle.extend(&other.idle);
    }

    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.idle.is_empty()
    }
}
