//! How one address or port leads to several targets. The packet rules keep it as tables that a few rules look into, however
//! many services there are (`drivers/network`): a packet draws a number and finds its target under it.

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

/// What leads where. What leads nowhere at the moment has no targets: it is answered with a refusal at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balance(Leads);

pub(super) type Leads = BTreeMap<Vip, BTreeSet<Target>>;

impl Balance {
    /// Replaces where it led.
    pub fn set(&mut self, vip: Vip, targets: impl IntoIterator<Item = Target>) {
        self.0.insert(vip, targets.into_iter().collect());
    }

    pub fn remove(&mut self, vip: &Vip) {
        self.0.remove(vip);
    }

    pub fn get(&self, vip: &Vip) -> Option<&BTreeSet<Target>> {
        self.0.get(vip)
    }

    pub(super) fn leads(&mut self) -> &mut Leads {
        &mut self.0
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Vip, &BTreeSet<Target>)> {
        self.0.iter()
    }

    /// Everything of both.
    pub fn merge(&mut self, other: &Balance) {
        let others = other.0.iter();
        self.0
            .extend(others.map(|(vip, targets)| (*vip, targets.clone())));
    }

    pub(super) fn drop_six(&mut self) {
        self.0.retain(|vip, _| !vip.is_v6());
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
