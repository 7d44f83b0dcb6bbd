//! This daemon's packet rules: one table of its own in nftables.
//!
//! Chains change only when networks do; a published port is an element of a map, so that adding or removing one is a
//! small transaction whatever else there is. Every rule carries a digest of itself in its comment: reading back the
//! comments tells whether the chains are ours and unchanged.

mod elements;
mod message;
mod resolver;
mod ruleset;
mod user;
mod watch;

use parking_lot::Mutex;
use shoal_node_core_host::netplan::{Change, Rules};

use crate::error::{Error, Result};
use crate::netlink::{Family, Request, Socket};

pub(crate) use message::{Kind, dump_request};
pub(crate) use resolver::lead_to_resolver;
pub use user::{USER_TABLE, ensure_user_chains};
pub use watch::Watch;

/// The name of a daemon's table; `sid` is its short id. The family is `inet`.
pub fn table_name(sid: &str) -> String {
    format!("shoal-{sid}")
}

/// A handle on the table. It need not exist yet.
#[derive(Debug)]
pub struct Nft {
    table: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    socket: Socket,
    /// What the kernel is known to have. `None` until it was read or written, and after a doubt.
    known: Option<Rules>,
}

impl Nft {
    /// Of the calling thread's network namespace.
    pub fn open(table: impl Into<String>) -> Result<Nft> {
        let socket = Socket::open(Family::Netfilter)?;
        Ok(Nft {
            table: table.into(),
            state: Mutex::new(State { socket, known: None }),
        })
    }

    pub fn table(&self) -> &str {
        &self.table
    }

    /// Makes the table as `wanted`, in one transaction, by the smallest change. What the kernel has is read first when it
    /// is not known, and again when the change does not fit (somebody else was at the table). Answers whether anything
    /// had to change.
    pub fn converge(&self, wanted: &Rules) -> Result<bool> {
        let mut state = self.state.lock();
        if let Some(known) = state.known.take() {
            let change = known.change_to(wanted);
            if change.is_empty() {
                state.known = Some(known);
                return Ok(false);
            }
            match self.apply(&mut state.socket, &change, wanted) {
                Ok(()) => {
                    state.known = Some(wanted.clone());
                    return Ok(true);
                }
                Err(e) if is_surprise(&e) => {}
                Err(e) => return Err(e),
            }
        }
        self.converge_read(&mut state, wanted)
    }

    /// As [`Nft::converge`], but never trusts what is known: for the slow full check, and after a notice of [`Watch`].
    pub fn recheck(&self, wanted: &Rules) -> Result<bool> {
        let mut state = self.state.lock();
        state.known = None;
        self.converge_read(&mut state, wanted)
    }

    /// Removes the table with all that is in it; one that is not there is no error.
    pub fn delete_table(&self) -> Result<()> {
        let mut state = self.state.lock();
        state.known = None;
        let mut request = Request::new();
        message::begin_batch(&mut request);
        message::delete_table(&mut request, &self.table);
        message::end_batch(&mut request);
        match state
            .socket
            .transact(&mut request, |_| format!("delete nftables table {}", self.table))
        {
            Err(e) if !e.is_not_found() => Err(e),
            _ => Ok(()),
        }
    }

    /// A watch for changes to the table by anybody but this handle.
    pub fn watch(&self) -> Result<Watch> {
        // The socket has a number only once it sent something.
        let mut state = self.state.lock();
        let _ = elements::read(&mut state.socket, &self.table)?;
        Watch::open(&self.table, state.socket.port())
    }

    fn converge_read(&self, state: &mut State, wanted: &Rules) -> Result<bool> {
        let mut last = None;
        // Twice: somebody may change the table between our reading and our writing.
        for _ in 0..3 {
            let shown = self.read(&mut state.socket, wanted)?;
            let change = match &shown {
                Some(shown) => shown.change_to(wanted),
                None => Change::default(),
            };
            if shown.is_some() && change.is_empty() {
                state.known = Some(wanted.clone());
                return Ok(false);
            }
            let done = match shown {
                Some(_) => self.apply(&mut state.socket, &change, wanted),
                None => self.replace(&mut state.socket, wanted),
            };
            match done {
                Ok(()) => {
                    state.known = Some(wanted.clone());
                    return Ok(true);
                }
                Err(e) if is_surprise(&e) => last = Some(e),
                Err(e) => return Err(e),
            }
        }
        Err(last
            .unwrap_or_else(|| Error::Invalid(format!("nftables table {} cannot be converged", self.table))))
    }

    /// What the kernel has, when its chains are those of `wanted`; `None` when they must be written anew.
    fn read(&self, socket: &mut Socket, wanted: &Rules) -> Result<Option<Rules>> {
        let Some(comments) = message::read_rules(socket, &self.table)? else {
            return Ok(None);
        };
        let rules = ruleset::rules(wanted);
        let expected: Vec<(&str, &str)> = rules
            .iter()
            .map(|rule| (rule.chain, rule.comment.as_str()))
            .collect();
        let same = ruleset::CHAINS.iter().all(|chain| {
            let shown = comments
                .iter()
                .filter(|(name, _)| name == chain.name)
                .map(|(_, comment)| comment.as_str());
            shown.eq(expected
                .iter()
                .filter(|(name, _)| *name == chain.name)
                .map(|(_, comment)| *comment))
        });
        if !same
            || comments.len() != expected.len()
            || !message::has_chains(socket, &self.table, ruleset::CHAINS)?
        {
            return Ok(None);
        }
        let Some(published) = elements::read(socket, &self.table)? else {
            return Ok(None);
        };
        Ok(Some(Rules {
            bridges: wanted.bridges.clone(),
            open: wanted.open.clone(),
            published,
        }))
    }

    /// Changes a table that is as expected.
    fn apply(&self, socket: &mut Socket, change: &Change, wanted: &Rules) -> Result<()> {
        let mut request = Request::new();
        message::begin_batch(&mut request);
        if change.chains {
            for chain in ruleset::CHAINS {
                message::flush_chain(&mut request, &self.table, chain.name);
            }
            for rule in ruleset::rules(wanted) {
                message::add_rule(&mut request, &self.table, &rule);
            }
        }
        elements::remove(&mut request, &self.table, &change.remove);
        elements::add(&mut request, &self.table, &change.add);
        message::end_batch(&mut request);
        socket.transact(&mut request, |_| format!("update nftables table {}", self.table))
    }

    /// Replaces whatever there is by a whole new table; no packet sees a moment without one.
    fn replace(&self, socket: &mut Socket, wanted: &Rules) -> Result<()> {
        let mut request = Request::new();
        message::begin_batch(&mut request);
        // Made first, so that there is one to delete.
        message::add_table(&mut request, &self.table);
        message::delete_table(&mut request, &self.table);
        message::add_table(&mut request, &self.table);
        elements::add_maps(&mut request, &self.table);
        for chain in ruleset::CHAINS {
            message::add_chain(&mut request, &self.table, chain);
        }
        for rule in ruleset::rules(wanted) {
            message::add_rule(&mut request, &self.table, &rule);
        }
        let published: Vec<_> = wanted.published.iter().copied().collect();
        elements::add(&mut request, &self.table, &published);
        message::end_batch(&mut request);
        socket.transact(&mut request, |_| format!("write nftables table {}", self.table))
    }
}

/// A refusal that says the table is not what we thought.
fn is_surprise(error: &Error) -> bool {
    matches!(
        error.errno(),
        Some(libc::ENOENT | libc::EEXIST | libc::EBUSY | libc::EAGAIN | libc::EINTR)
    )
}
