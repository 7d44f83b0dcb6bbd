//! What names mean on a network.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Where a name leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    pub addresses: BTreeSet<IpAddr>,
}

/// Every name of every network, in lower case, by network and name.
pub type Names = BTreeMap<String, BTreeMap<String, Name>>;
