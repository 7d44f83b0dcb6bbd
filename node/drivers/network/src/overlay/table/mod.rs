//! One nftables table, kept as a ruleset says: written whole when its shape changes, by the difference of its elements
//! otherwise, and by what changed alone where that is known.

mod write;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::leads::{Counts, Part};
use super::ruleset::{Chain, Ruleset};
use crate::error::Result;
use crate::expression::DATA_VALUE;
use crate::netlink::{Attributes, Family, Request, Socket};
use write::Batch;

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
pub(super) const FAMILY_INET: u8 = 1;
pub(super) const FAMILY_NETDEV: u8 = 5;
const HEAD_BYTES: usize = 4;

#[derive(Clone, Copy)]
#[repr(u16)]
enum Kind {
    NewTable = 0,
    DelTable = 2,
    NewChain = 3,
    DelChain = 5,
    NewRule = 6,
    GetRule = 7,
    DelRule = 8,
    NewSet = 9,
    NewElement = 12,
    GetElement = 13,
    DelElement = 14,
    NewGeneration = 15,
    GetGeneration = 16,
}

impl Kind {
    const fn number(self) -> u16 {
        SUBSYSTEM << 8 | self as u16
    }
}

type Elements = BTreeMap<Vec<u8>, Vec<u8>>;
/// By chain: the interfaces that it is for, and its rules.
type Rules = BTreeMap<Cow<'static, str>, (BTreeMap<String, u32>, Vec<Vec<u8>>)>;

/// Chains with other rules or interfaces than were written, or that were not, and those that are wanted no more.
struct Rewrite<'c> {
    changed: Vec<&'c Chain>,
    gone: Vec<Cow<'static, str>>,
}

#[derive(Debug)]
pub(super) struct Tables {
    socket: Socket,
    family: u8,
    name: String,
    /// What was written last, by set; nothing when the table was not written or has no place.
    written: Option<BTreeMap<String, Elements>>,
    /// The rules that were written, to know when they change.
    rules: Rules,
    looked: bool,
    /// The namespace's number of its last change, when all of it was known to be as it was written.
    generation: Option<u32>,
    /// How often all of it was read.
    reads: u64,
    pub counts: Counts,
}

impl Tables {
    /// Of the calling thread's network namespace.
    pub fn open(name: String) -> Result<Tables> {
        Self::of_family(FAMILY_INET, name)
    }

    pub fn of_family(family: u8, name: String) -> Result<Tables> {
        let socket = Socket::open(Family::Netfilter)?;
        // It has its number from now on.
        socket.join_groups(&[])?;
        Ok(Tables {
            socket,
            family,
            name,
            written: None,
            rules: Rules::new(),
            looked: false,
            generation: None,
            reads: 0,
            counts: Counts::default(),
        })
    }

    pub fn port(&self) -> u32 {
        self.socket.port()
    }

    pub fn reads(&self) -> u64 {
        self.reads
    }

    /// Makes the table what the ruleset says, or removes it. Answers what differed. `recheck` compares with the kernel
    /// instead of with what was written last; unless only a comparison is asked for, the kernel's word that nobody changed
    /// anything since is enough for that.
    pub fn bring(&mut self, wanted: Option<&Ruleset>, recheck: bool, change: bool) -> Result<Vec<String>> {
        // Asked before the table is read: what is changed meanwhile is seen the next time.
        let now = match recheck || !self.looked {
            true => self.current(),
            false => None,
        };
        let unchanged = change && now.is_some() && now == self.generation;
        if !self.looked || (recheck && !unchanged) {
            let there = self.read(wanted)?;
            self.looked = true;
            self.generation = now;
            // What the kernel has lost, or somebody changed, is not what was written.
            if there != self.written {
                self.written = there;
            }
        }
        let Some(wanted) = wanted else {
            if self.written.is_none() {
                return Ok(Vec::new());
            }
            if change {
                self.remove()?;
            }
            return Ok(vec![format!("remove nftables table {}", self.name)]);
        };
        let name = self.name.clone();
        let mut batch = Batch::new(self.family, &name);
        let mut found = Vec::new();
        match self.written.as_ref().zip(self.changed(&wanted.chains)) {
            Some((written, Rewrite { changed, gone }))
                if written.keys().all(|set| wanted.sets.contains_key(set)) =>
            {
                for (set_name, set) in &wanted.sets {
                    let Some(there) = written.get(set_name) else {
                        found.push(format!("add {set_name} to nftables table {name}"));
                        batch.set(set_name, set);
                        continue;
                    };
                    let gone: Elements = difference(there, &set.elements);
                    let new: Elements = difference(&set.elements, there);
                    if gone.is_empty() && new.is_empty() {
                        continue;
                    }
                    found.push(self.words(set_name, &new, &gone));
                    batch.remove(set_name, &gone);
                    batch.add(set_name, &new);
                }
                // In their order, which says in which a packet meets them.
                for chain in changed {
                    found.push(format!("write {} of nftables table {name}", chain.name));
                    let known = self.rules.get(&chain.name).map(|(devices, _)| devices);
                    if known == Some(&chain.devices) {
                        batch.no_rules(&chain.name);
                        chain.rules.iter().for_each(|rule| batch.rule(&chain.name, rule));
                        continue;
                    }
                    // Not every kernel can be told other interfaces.
                    if known.is_some() {
                        batch.no_chain(&chain.name);
                    }
                    batch.chain(chain);
                }
                for chain in gone {
                    found.push(format!("remove {chain} from nftables table {name}"));
                    batch.no_chain(&chain);
                }
            }
            _ => {
                found.push(format!("write nftables table {name}"));
                batch.table();
                for (set_name, set) in &wanted.sets {
                    batch.set(set_name, set);
                }
                for chain in &wanted.chains {
                    batch.chain(chain);
                }
            }
        }
        if found.is_empty() || !change {
            return Ok(found);
        }
        self.send(batch)?;
        let chains = wanted.chains.iter();
        self.rules = chains
            .map(|chain| (chain.name.clone(), (chain.devices.clone(), chain.rules.clone())))
            .collect();
        let sets = wanted.sets.iter();
        self.written = Some(
            sets.map(|(name, set)| (name.clone(), set.elements.clone()))
                .collect(),
        );
        Ok(found)
    }

    /// Changes these entries alone, at a cost that has nothing to do with how many others there are. Answers what differed
    /// from what was written last; nothing when the table is not there or has no place for them: it has to be brought then.
    pub fn change(&mut self, parts: &[Part]) -> Result<Option<Vec<String>>> {
        let Some(written) = self.written.as_ref().filter(|_| self.looked) else {
            return Ok(None);
        };
        let name = self.name.clone();
        let mut batch = Batch::new(self.family, &name);
        let mut found = Vec::new();
        let mut done: Vec<(&Part, Elements)> = Vec::new();
        for part in parts {
            let Some(set) = written.get(&part.set) else {
                return Ok(None);
            };
            let there: Elements = set
                .range(part.prefix.clone()..)
                .take_while(|(key, _)| key.starts_with(&part.prefix))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            let gone = difference(&there, &part.elements);
            let new = difference(&part.elements, &there);
            if gone.is_empty() && new.is_empty() {
                continue;
            }
            found.push(self.words(&part.set, &new, &gone));
            batch.remove(&part.set, &gone);
            batch.add(&part.set, &new);
            done.push((part, gone));
        }
        if found.is_empty() {
            return Ok(Some(found));
        }
        self.send(batch)?;
        let written = self.written.get_or_insert_default();
        for (part, gone) in done {
            let set = written.entry(part.set.clone()).or_default();
            for key in gone.keys() {
                set.remove(key);
            }
            let new = part.elements.iter();
            set.extend(new.map(|(key, value)| (key.clone(), value.clone())));
        }
        Ok(Some(found))
    }

    /// What of the chains is to be written; nothing when there are other chains in a family where their order counts.
    fn changed<'c>(&self, chains: &'c [Chain]) -> Option<Rewrite<'c>> {
        let known = chains.iter().all(|chain| self.rules.contains_key(&chain.name));
        let same = known && self.rules.len() == chains.len();
        let differs = |chain: &&Chain| {
            let written = self.rules.get(&chain.name);
            written.is_none_or(|(devices, rules)| *devices != chain.devices || *rules != chain.rules)
        };
        let wanted: BTreeSet<&str> = match same {
            true => BTreeSet::new(),
            false => chains.iter().map(|chain| &*chain.name).collect(),
        };
        let gone = self
            .rules
            .keys()
            .filter(|name| !same && !wanted.contains(&***name));
        (same || self.family == FAMILY_NETDEV).then(|| Rewrite {
            changed: chains.iter().filter(differs).collect(),
            gone: gone.cloned().collect(),
        })
    }

    fn words(&self, set: &str, new: &Elements, gone: &Elements) -> String {
        let (new, gone) = (new.len(), gone.len());
        format!(
            "{set} of nftables table {}: {new} entries more, {gone} less",
            self.name
        )
    }

    fn send(&mut self, batch: Batch<'_>) -> Result<()> {
        let sent = batch.send(&mut self.socket, "write");
        if sent.is_err() {
            // Whatever is there now: it is looked at before anything else is written.
            self.looked = false;
            self.written = None;
        }
        self.changed_by_us();
        sent
    }

    /// Every batch counts the namespace's generation up by one: if it is further on, somebody else was there, too.
    fn changed_by_us(&mut self) {
        let next = self.generation.map(|before| before.wrapping_add(1));
        self.generation = next.filter(|next| self.current() == Some(*next));
    }

    /// The number of the last change of any table in this namespace.
    fn current(&mut self) -> Option<u32> {
        const ID: u16 = 1;
        let mut ask = Request::new();
        begin(&mut ask, self.family, Kind::GetGeneration, 0);
        let answers = self
            .socket
            .exchange(&mut ask, |_| "read nftables' generation".to_owned());
        let answers = answers.ok()?;
        let (_, answer) = answers
            .iter()
            .find(|(_, m)| m.kind == Kind::NewGeneration.number())?;
        let number = answer.attributes(HEAD_BYTES).get(ID)?;
        Some(u32::from_be_bytes(number.try_into().ok()?))
    }

    pub fn remove(&mut self) -> Result<()> {
        let name = self.name.clone();
        let mut batch = Batch::new(self.family, &name);
        batch.no_table();
        let removed = batch.send(&mut self.socket, "remove");
        self.changed_by_us();
        match removed {
            Err(e) if !e.is_not_found() => Err(e),
            _ => {
                self.written = None;
                self.rules.clear();
                Ok(())
            }
        }
    }

    /// What the sets hold. `None` when the table, one of its sets or one of its rules is not there.
    fn read(&mut self, wanted: Option<&Ruleset>) -> Result<Option<BTreeMap<String, Elements>>> {
        self.reads += 1;
        let (family, table) = (self.family, self.name.clone());
        let list = |request: &mut Request| {
            begin(request, family, Kind::GetRule, 0);
            request.put_text(1, &table);
        };
        let rules = match self.socket.dump(list, &format!("read nftables table {table}")) {
            Ok(messages) => messages
                .iter()
                .filter(|m| m.kind == Kind::NewRule.number())
                .count(),
            Err(e) if e.is_not_found() => return Ok(None),
            Err(e) => return Err(e),
        };
        let Some(wanted) = wanted else {
            return Ok((rules > 0).then(BTreeMap::new));
        };
        // An empty answer is also what a table gives that is not there.
        if rules == 0 || rules != self.rules.values().map(|(_, rules)| rules.len()).sum::<usize>() {
            return Ok(None);
        }
        let mut sets = BTreeMap::new();
        let names: Vec<String> = match &self.written {
            Some(written) => written.keys().cloned().collect(),
            None => wanted.sets.keys().cloned().collect(),
        };
        for name in names {
            let list = |request: &mut Request| {
                begin(request, family, Kind::GetElement, 0);
                request.put_text(1, &table).put_text(2, &name);
            };
            let messages = match self
                .socket
                .dump(list, &format!("read {name} of nftables table {table}"))
            {
                Ok(messages) => messages,
                Err(e) if e.is_not_found() => return Ok(None),
                Err(e) => return Err(e),
            };
            let mut found = Elements::new();
            for message in messages.iter().filter(|m| m.kind == Kind::NewElement.number()) {
                let Some(list) = message.attributes(HEAD_BYTES).nested(3) else {
                    continue;
                };
                for (_, element) in list.iter() {
                    let element = Attributes(element);
                    let value = |attribute: u16| {
                        let nested = element.nested(attribute)?;
                        nested.get(DATA_VALUE).map(<[u8]>::to_vec)
                    };
                    if let Some(key) = value(1) {
                        found.insert(key, value(2).unwrap_or_default());
                    }
                }
            }
            sets.insert(name, found);
        }
        Ok(Some(sets))
    }
}

/// Entries of `a` that `b` does not have so.
fn difference(a: &Elements, b: &Elements) -> Elements {
    a.iter()
        .filter(|(key, value)| b.get(*key) != Some(*value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn begin(request: &mut Request, family: u8, kind: Kind, flags: u16) {
    request.begin(kind.number(), flags, &[family, 0, 0, 0]);
}

fn batch(request: &mut Request, kind: u16) {
    let [high, low] = SUBSYSTEM.to_be_bytes();
    request.begin(kind, 0, &[0, 0, high, low]);
}
