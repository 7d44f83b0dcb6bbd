//! How one address or port leads to several targets: tables that a few rules look into, however many services there are.
//!
//! There is one table for each number of targets that occurs, keyed by what is asked for and a number below it. A
//! packet draws the number and finds its target; the cost is that of a look-up. A service that gains or loses a target
//! moves from one table to the next, which costs as many entries as it has targets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vip {
    Address(IpAddr),
    /// A published port: protocol number and port.
    Port(u8, u16),
    /// The same of IPv6.
    Port6(u8, u16),
}

impl Vip {
    pub fn is_v6(&self) -> bool {
        match self {
            Vip::Address(address) => address.is_ipv6(),
            Vip::Port(..) => false,
            Vip::Port6(..) => true,
        }
    }
}

/// Where it leads; port 0 keeps the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub address: IpAddr,
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

    pub(super) fn drop_six(&mut self) {
        for table in self.tables.values_mut() {
            table.retain(|(vip, _), _| !vip.is_v6());
        }
        self.tables.retain(|_, table| !table.is_empty());
        self.idle.retain(|vip| !vip.is_v6());
    }

    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.idle.is_empty()
    }
}
