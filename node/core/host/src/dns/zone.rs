//! The names on one network. A container puts its names in and takes them out again, by its id; the cluster gives names of
//! its own, one by one.

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
    /// The cluster's, in lower case.
    given: HashMap<String, Vec<IpAddr>>,
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

    /// Replaces everything that the cluster has here.
    pub fn give_all(&mut self, names: HashMap<String, Vec<IpAddr>>) {
        self.given = names;
    }

    /// Replaces where one of the cluster's names leads; without addresses there is no such name.
    pub fn give(&mut self, name: &str, addresses: Vec<IpAddr>) {
        match addresses.is_empty() {
            true => drop(self.given.remove(name)),
            false => drop(self.given.insert(name.to_owned(), addresses)),
        }
    }

    /// The addresses of a name in lower case, each once; `None` when nobody here is called so.
    pub fn find(&self, name: &str) -> Option<Vec<IpAddr>> {
        self.find_whole(name).or_else(|| {
            let short = name.strip_suffix(self.network.as_str())?.strip_suffix('.')?;
            self.find_whole(short)
        })
    }

    fn find_whole(&self, name: &str) -> Option<Vec<IpAddr>> {
        let (held, given) = (self.names.get(name), self.given.get(name));
        if held.is_none() && given.is_none() {
            return None;
        }
        let held = held.into_iter().flatten().map(|(_, address)| *address);
        let mut found: Vec<IpAddr> = Vec::new();
        for address in held.chain(given.into_iter().flatten().copied()) {
            if !found.contains(&address) {
                found.push(address);
            }
        }
        Some(found)
    }

    pub fn find_name(&self, address: IpAddr) -> Option<&str> {
        self.reverse.get(&address).map(|(_, name)| name.as_str())
    }
}
