//! One nftables table, kept as a ruleset says: written whole when its shape changes, by the difference of its elements
//! otherwise.

use std::collections::BTreeMap;

use super::ruleset::{Counts, Ruleset};
use crate::error::Result;
use crate::expression::DATA_VALUE;
use crate::netlink::{Attributes, Family, Request, Socket};

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const FAMILY_INET: u8 = 1;
const HEAD_BYTES: usize = 4;
const CREATE: u16 = libc::NLM_F_CREATE as u16;
const APPEND: u16 = libc::NLM_F_APPEND as u16;
const FLAG_MAP: u32 = 8;
/// An attribute's length has 16 bits, and an element has less than 64 bytes.
const ELEMENTS_PER_MESSAGE: usize = 800;

#[derive(Clone, Copy)]
#[repr(u16)]
enum Kind {
    NewTable = 0,
    DelTable = 2,
    NewChain = 3,
    NewRule = 6,
    GetRule = 7,
    NewSet = 9,
    NewElement = 12,
    GetElement = 13,
    DelElement = 14,
}

impl Kind {
    const fn number(self) -> u16 {
        SUBSYSTEM << 8 | self as u16
    }
}

type Elements = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug)]
pub(super) struct Tables {
    socket: Socket,
    name: String,
    /// What was written last, by set; nothing when the table was not written or has no place.
    written: Option<BTreeMap<String, Elements>>,
    /// The rules that were written, to know when they change.
    rules: Vec<Vec<u8>>,
    looked: bool,
    pub counts: Counts,
}

impl Tables {
    /// Of the calling thread's network namespace.
    pub fn open(name: String) -> Result<Tables> {
        let socket = Socket::open(Family::Netfilter)?;
        // It has its number from now on.
        socket.join_groups(&[])?;
        Ok(Tables {
            socket,
            name,
            written: None,
            rules: Vec::new(),
            looked: false,
            counts: Counts::default(),
        })
    }

    pub fn port(&self) -> u32 {
        self.socket.port()
    }

    /// Makes the table what the ruleset says, or removes it. Answers what differed. `recheck` compares with the kernel
    /// instead of with what was written last.
    pub fn bring(&mut self, wanted: Option<&Ruleset>, recheck: bool, change: bool) -> Result<Vec<String>> {
        let rules: Vec<Vec<u8>> = wanted
            .iter()
            .flat_map(|r| &r.chains)
            .flat_map(|c| c.rules.clone())
            .collect();
        if recheck || !self.looked {
            let there = self.read(wanted)?;
            self.looked = true;
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
        let whole = match &self.written {
            None => true,
            Some(written) => rules != self.rules || !written.keys().eq(wanted.sets.keys()),
        };
        let mut request = Request::new();
        batch(&mut request, BATCH_BEGIN);
        let mut found = Vec::new();
        if whole {
            found.push(format!("write nftables table {}", self.name));
            self.write_whole(&mut request, wanted);
        } else {
            let none = Elements::new();
            for (name, set) in &wanted.sets {
                let there = self.written.as_ref().and_then(|w| w.get(name)).unwrap_or(&none);
                let gone: Elements = difference(there, &set.elements);
                let new: Elements = difference(&set.elements, there);
                if gone.is_empty() && new.is_empty() {
                    continue;
                }
                found.push(format!(
                    "{name} of nftables table {}: {} entries more, {} less",
                    self.name,
                    new.len(),
                    gone.len()
                ));
                elements(
                    &mut request,
                    &self.name,
                    name,
                    Kind::DelElement,
                    0,
                    &gone,
                    set.data.is_some(),
                );
                elements(
                    &mut request,
                    &self.name,
                    name,
                    Kind::NewElement,
                    CREATE,
                    &new,
                    set.data.is_some(),
                );
            }
        }
        if found.is_empty() || !change {
            return Ok(found);
        }
        batch(&mut request, BATCH_END);
        let name = self.name.clone();
        if let Err(error) = self
            .socket
            .transact(&mut request, |_| format!("write nftables table {name}"))
        {
            // Whatever is there now: it is looked at before anything else is written.
            self.looked = false;
            self.written = None;
            return Err(error);
        }
        self.rules = rules;
        let sets = wanted.sets.iter();
        self.written = Some(
            sets.map(|(name, set)| (name.clone(), set.elements.clone()))
                .collect(),
        );
        Ok(found)
    }

    fn remove(&mut self) -> Result<()> {
        let mut request = Request::new();
        batch(&mut request, BATCH_BEGIN);
        begin(&mut request, Kind::DelTable, 0);
        request.put_text(1, &self.name);
        batch(&mut request, BATCH_END);
        let name = self.name.clone();
        match self
            .socket
            .transact(&mut request, |_| format!("remove nftables table {name}"))
        {
            Err(e) if !e.is_not_found() => Err(e),
            _ => {
                self.written = None;
                self.rules.clear();
                Ok(())
            }
        }
    }

    fn write_whole(&self, request: &mut Request, wanted: &Ruleset) {
        let table = &self.name;
        // Whatever is there goes: adding what is there is no error, and then it can be removed.
        for kind in [Kind::NewTable, Kind::DelTable, Kind::NewTable] {
            begin(
                request,
                kind,
                if matches!(kind, Kind::NewTable) { CREATE } else { 0 },
            );
            request.put_text(1, table);
        }
        for (id, (name, set)) in (1u32..).zip(&wanted.sets) {
            begin(request, Kind::NewSet, CREATE);
            request
                .put_text(1, table)
                .put_text(2, name)
                .put_u32_be(3, if set.data.is_some() { FLAG_MAP } else { 0 })
                .put_u32_be(4, set.key_type)
                .put_u32_be(5, set.key_bytes);
            if let Some((kind, bytes)) = set.data {
                request.put_u32_be(6, kind).put_u32_be(7, bytes);
            }
            request.put_u32_be(10, id);
            elements(
                request,
                table,
                name,
                Kind::NewElement,
                CREATE,
                &set.elements,
                set.data.is_some(),
            );
        }
        for chain in &wanted.chains {
            begin(request, Kind::NewChain, CREATE);
            request
                .put_text(1, table)
                .put_text(3, chain.name)
                .nest(4, |hook| {
                    hook.put_u32_be(1, chain.hook)
                        .put_u32_be(2, chain.priority as u32);
                })
                .put_text(7, chain.kind);
            for rule in &chain.rules {
                begin(request, Kind::NewRule, CREATE | APPEND);
                request
                    .put_text(1, table)
                    .put_text(2, chain.name)
                    .nest(4, |list| {
                        list.raw(rule);
                    });
            }
        }
    }

    /// What the sets hold. `None` when the table, one of its sets or one of its rules is not there.
    fn read(&mut self, wanted: Option<&Ruleset>) -> Result<Option<BTreeMap<String, Elements>>> {
        let table = self.name.clone();
        let list = |request: &mut Request| {
            begin(request, Kind::GetRule, 0);
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
        if rules == 0 || rules != self.rules.len() {
            return Ok(None);
        }
        let mut sets = BTreeMap::new();
        let names: Vec<String> = match &self.written {
            Some(written) => written.keys().cloned().collect(),
            None => wanted.sets.keys().cloned().collect(),
        };
        for name in names {
            let list = |request: &mut Request| {
                begin(request, Kind::GetElement, 0);
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

fn elements(
    request: &mut Request,
    table: &str,
    set: &str,
    kind: Kind,
    flags: u16,
    all: &Elements,
    map: bool,
) {
    let all: Vec<_> = all.iter().collect();
    for part in all.chunks(ELEMENTS_PER_MESSAGE) {
        begin(request, kind, flags);
        request.put_text(1, table).put_text(2, set).nest(3, |list| {
            for (key, data) in part {
                list.nest(1, |element| {
                    element.nest(1, |value| {
                        value.put(DATA_VALUE, key);
                    });
                    if map {
                        element.nest(2, |value| {
                            value.put(DATA_VALUE, data);
                        });
                    }
                });
            }
        });
    }
}

fn begin(request: &mut Request, kind: Kind, flags: u16) {
    request.begin(kind.number(), flags, &[FAMILY_INET, 0, 0, 0]);
}

fn batch(request: &mut Request, kind: u16) {
    let [high, low] = SUBSYSTEM.to_be_bytes();
    request.begin(kind, 0, &[0, 0, high, low]);
}
