//! The names on one network. Whoever puts names in is their owner and takes them out again: a container by its id, a
//! service of the cluster by its own.

use std::collections::HashMap;
use std::net::IpAddr;

/// Some names of the same addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    pub names: Vec<String>,
    pub addresses: Vec<IpAddr>,
    /// What the addresses are called when somebody asks that way round. The network's name is put behind it.
    pub reverse: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Zone {
    /// Of the network; `name.network` is looked up as `name`.
    network: String,
    owners: HashMap<String, Vec<Entry>>,
    /// In lower case, each address with the one who put it there.
    names: HashMap<String, Vec<(String, IpAddr)>>,
    reverse: HashMap<IpAddr, (String, String)>,
}

impl Zone {
    pub fn new(network: &str) -> Zone {
        Zone {
            network: network.to_ascii_lowercase(),
            ..Zone::default()
        }
    }

    /// Replaces whatever this owner had.
    pub fn put(&mut self, owner: &str, entries: Vec<Entry>) {
        self.remove(owner);
        for entry in &entries {
            for name in &entry.names {
                let held = self.names.entry(name.to_ascii_lowercase()).or_default();
                for address in &entry.addresses {
                    let one = (owner.to_owned(), *address);
                    if !held.contains(&one) {
                        held.push(one);
                    }
                }
            }
            if let Some(name) = &entry.reverse {
                let full = format!("{name}.{}", self.network);
                for address in &entry.addresses {
                    self.reverse.insert(*address, (owner.to_owned(), full.clone()));
                }
            }
        }
        self.owners.insert(owner.to_owned(), entries);
    }

    pub fn remove(&mut self, owner: &str) {
        for entry in self.owners.remove(owner).unwrap_or_default() {
            for name in entry.names {
                let name = name.to_ascii_lowercase();
                if let Some(held) = self.names.get_mut(&name) {
                    held.retain(|(by, _)| by != owner);
                    if held.is_empty() {
                        self.names.remove(&name);
                    }
                }
            }
            for address in entry.addresses {
                if self.reverse.get(&address).is_some_and(|(by, _)| by == owner) {
                    self.reverse.remove(&address);
                }
            }
        }
    }

    /// The addresses of a name in lower case; `None` when nobody here is called so.
    pub fn find(&self, name: &str) -> Option<impl Iterator<Item = IpAddr> + '_> {
        let held = self.names.get(name).or_else(|| {
            let short = name.strip_suffix(self.network.as_str())?.strip_suffix('.')?;
            self.names.get(short)
        })?;
        Some(held.iter().map(|(_, address)| *address))
    }

    pub fn find_name(&self, address: IpAddr) -> Option<&str> {
        self.reverse.get(&address).map(|(_, name)| name.as_str())
    }
}
