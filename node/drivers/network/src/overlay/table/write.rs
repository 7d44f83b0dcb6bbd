//! The messages by which a table is written, all or none of them.

use super::super::ruleset::{Chain, Set, TYPE_INTERFACE};
use super::{BATCH_BEGIN, BATCH_END, Elements, Kind, batch, begin};
use crate::error::{Error, Result};
use crate::expression::DATA_VALUE;
use crate::netlink::{Request, Socket};

const CREATE: u16 = libc::NLM_F_CREATE as u16;
const APPEND: u16 = libc::NLM_F_APPEND as u16;
const FLAG_MAP: u32 = 8;
/// An attribute's length has 16 bits, and an element has less than 64 bytes.
const ELEMENTS_PER_MESSAGE: usize = 800;

/// A word to `nft` about a map's data, without which it shows other numbers than there are: kind, length, value.
const IN_THE_HOSTS_ORDER: [u8; 6] = {
    let [a, b, c, d] = 1u32.to_ne_bytes();
    [1, 4, a, b, c, d]
};

pub(super) struct Batch<'t> {
    family: u8,
    table: &'t str,
    request: Request,
    /// Sets so far: each has its own number in a batch.
    sets: u32,
}

impl<'t> Batch<'t> {
    pub fn new(family: u8, table: &'t str) -> Self {
        let mut request = Request::new();
        batch(&mut request, BATCH_BEGIN);
        Batch {
            family,
            table,
            request,
            sets: 0,
        }
    }

    /// Does it all, or nothing of it; `what` it does stands in errors.
    pub fn send(mut self, socket: &mut Socket, what: &str) -> Result<()> {
        batch(&mut self.request, BATCH_END);
        let done = socket.transact(&mut self.request, |_| {
            format!("{what} nftables table {}", self.table)
        });
        done.map_err(with_a_hint)
    }

    /// An empty table, whatever there was.
    pub fn table(&mut self) {
        // Adding what is there is no error, and then it can be removed.
        for kind in [Kind::NewTable, Kind::DelTable, Kind::NewTable] {
            let flags = if matches!(kind, Kind::NewTable) { CREATE } else { 0 };
            begin(&mut self.request, self.family, kind, flags);
            self.request.put_text(1, self.table);
        }
    }

    pub fn no_table(&mut self) {
        begin(&mut self.request, self.family, Kind::DelTable, 0);
        self.request.put_text(1, self.table);
    }

    /// With its elements.
    pub fn set(&mut self, name: &str, set: &Set) {
        self.sets += 1;
        begin(&mut self.request, self.family, Kind::NewSet, CREATE);
        self.request
            .put_text(1, self.table)
            .put_text(2, name)
            .put_u32_be(3, if set.data.is_some() { FLAG_MAP } else { 0 })
            .put_u32_be(4, set.key_type)
            .put_u32_be(5, set.key_bytes);
        if let Some((kind, bytes)) = set.data {
            self.request.put_u32_be(6, kind).put_u32_be(7, bytes);
        }
        self.request.put_u32_be(10, self.sets);
        if set.data.is_some_and(|(kind, _)| kind == TYPE_INTERFACE) {
            self.request.put(13, &IN_THE_HOSTS_ORDER);
        }
        self.add(name, &set.elements);
    }

    pub fn add(&mut self, set: &str, elements: &Elements) {
        self.elements(set, Kind::NewElement, CREATE, elements);
    }

    pub fn remove(&mut self, set: &str, elements: &Elements) {
        self.elements(set, Kind::DelElement, 0, elements);
    }

    /// With its rules.
    pub fn chain(&mut self, chain: &Chain) {
        begin(&mut self.request, self.family, Kind::NewChain, CREATE);
        self.request
            .put_text(1, self.table)
            .put_text(3, &chain.name)
            .nest(4, |hook| {
                hook.put_u32_be(1, chain.hook)
                    .put_u32_be(2, chain.priority as u32);
                if !chain.devices.is_empty() {
                    hook.nest(4, |list| {
                        for device in chain.devices.keys() {
                            list.put_text(1, device);
                        }
                    });
                }
            })
            .put_text(7, chain.kind);
        for rule in &chain.rules {
            self.rule(&chain.name, rule);
        }
    }

    /// With its rules. The kernel may have removed it already, with the only interface that it was for.
    pub fn no_chain(&mut self, chain: &str) {
        // Adding what is there is no error, and then it can be removed.
        begin(&mut self.request, self.family, Kind::NewChain, CREATE);
        self.request.put_text(1, self.table).put_text(3, chain);
        self.no_rules(chain);
        begin(&mut self.request, self.family, Kind::DelChain, 0);
        self.request.put_text(1, self.table).put_text(3, chain);
    }

    pub fn no_rules(&mut self, chain: &str) {
        begin(&mut self.request, self.family, Kind::DelRule, 0);
        self.request.put_text(1, self.table).put_text(2, chain);
    }

    /// Behind the chain's others.
    pub fn rule(&mut self, chain: &str, rule: &[u8]) {
        begin(&mut self.request, self.family, Kind::NewRule, CREATE | APPEND);
        self.request
            .put_text(1, self.table)
            .put_text(2, chain)
            .nest(4, |list| {
                list.raw(rule);
            });
    }

    fn elements(&mut self, set: &str, kind: Kind, flags: u16, all: &Elements) {
        let all: Vec<_> = all.iter().collect();
        for part in all.chunks(ELEMENTS_PER_MESSAGE) {
            begin(&mut self.request, self.family, kind, flags);
            self.request
                .put_text(1, self.table)
                .put_text(2, set)
                .nest(3, |list| {
                    for (key, data) in part {
                        list.nest(1, |element| {
                            element.nest(1, |value| {
                                value.put(DATA_VALUE, key);
                            });
                            // A set's have none.
                            if !data.is_empty() {
                                element.nest(2, |value| {
                                    value.put(DATA_VALUE, data);
                                });
                            }
                        });
                    }
                });
        }
    }
}

/// Names what a kernel lacks that refuses one of our rules as a kind it does not know: it does not say so itself. All else is
/// built wherever nftables is.
fn with_a_hint(error: Error) -> Error {
    match error {
        Error::Refused {
            what,
            source,
            said: None,
        } if source.raw_os_error() == Some(libc::EOPNOTSUPP) => Error::Refused {
            what,
            source,
            said: Some("published ports of services need a kernel with CONFIG_NF_CONNTRACK_ZONES".into()),
        },
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_lacks_zones_is_told_of() {
        let refused = |errno| Error::Refused {
            what: "write nftables table t".into(),
            source: std::io::Error::from_raw_os_error(errno),
            said: None,
        };
        let text = with_a_hint(refused(libc::EOPNOTSUPP)).to_string();
        assert!(text.ends_with("(published ports of services need a kernel with CONFIG_NF_CONNTRACK_ZONES)"));
        assert!(!with_a_hint(refused(libc::EEXIST)).to_string().contains("ZONES"));
    }
}
