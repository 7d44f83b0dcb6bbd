//! Messages of nftables: tables, chains, rules, and the batch around them.

use super::ruleset::{Chain, Rule};
use crate::error::Result;
use crate::netlink::{Attributes, Request, Socket};

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const FAMILY_INET: u8 = 1;
/// Length of `struct nfgenmsg`, which stands before every message's attributes.
pub(crate) const HEAD_BYTES: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Kind {
    NewTable = 0,
    DelTable = 2,
    NewChain = 3,
    GetChain = 4,
    DelChain = 5,
    NewRule = 6,
    GetRule = 7,
    DelRule = 8,
    NewSet = 9,
    DelSet = 11,
    NewElement = 12,
    GetElement = 13,
    DelElement = 14,
}

impl Kind {
    pub const fn number(self) -> u16 {
        SUBSYSTEM << 8 | self as u16
    }
}

pub(crate) const TABLE_NAME: u16 = 1;
pub(crate) const CHAIN_TABLE: u16 = 1;
pub(crate) const CHAIN_NAME: u16 = 3;
pub(crate) const CHAIN_HOOK: u16 = 4;
pub(crate) const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
pub(crate) const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
pub(crate) const RULE_TABLE: u16 = 1;
pub(crate) const RULE_CHAIN: u16 = 2;
pub(crate) const RULE_EXPRESSIONS: u16 = 4;
const RULE_USERDATA: u16 = 7;
/// The first kind of entry in a rule's user data is its comment, as the `nft` program shows it.
const USERDATA_COMMENT: u8 = 0;

const CREATE: u16 = libc::NLM_F_CREATE as u16;
const APPEND: u16 = libc::NLM_F_APPEND as u16;

pub(crate) fn chain_head(family: u8) -> [u8; HEAD_BYTES] {
    [family, 0, 0, 0]
}

pub(super) fn begin(request: &mut Request, kind: Kind, flags: u16) {
    request.begin(kind.number(), flags, &chain_head(FAMILY_INET));
}

pub(super) fn begin_batch(request: &mut Request) {
    batch(request, BATCH_BEGIN);
}

pub(super) fn end_batch(request: &mut Request) {
    batch(request, BATCH_END);
}

fn batch(request: &mut Request, kind: u16) {
    let [high, low] = SUBSYSTEM.to_be_bytes();
    request.begin(kind, 0, &[0, 0, high, low]);
}

pub(super) fn add_table(request: &mut Request, table: &str) {
    begin(request, Kind::NewTable, CREATE);
    request.put_text(TABLE_NAME, table).put_u32_be(2, 0);
}

pub(super) fn delete_table(request: &mut Request, table: &str) {
    begin(request, Kind::DelTable, 0);
    request.put_text(TABLE_NAME, table);
}

pub(super) fn add_chain(request: &mut Request, table: &str, chain: &Chain) {
    const ACCEPT: u32 = 1;
    begin(request, Kind::NewChain, CREATE);
    request
        .put_text(CHAIN_TABLE, table)
        .put_text(CHAIN_NAME, chain.name)
        .nest(CHAIN_HOOK, |hook| {
            hook.put_u32_be(HOOK_NUMBER, chain.hook)
                .put_u32_be(HOOK_PRIORITY, chain.priority as u32);
        })
        .put_u32_be(CHAIN_POLICY, ACCEPT)
        .put_text(CHAIN_TYPE, chain.kind);
}

/// Removes every rule of the chain.
pub(super) fn flush_chain(request: &mut Request, table: &str, chain: &str) {
    begin(request, Kind::DelRule, 0);
    request.put_text(RULE_TABLE, table).put_text(RULE_CHAIN, chain);
}

pub(super) fn add_rule(request: &mut Request, table: &str, rule: &Rule) {
    begin(request, Kind::NewRule, CREATE | APPEND);
    request
        .put_text(RULE_TABLE, table)
        .put_text(RULE_CHAIN, rule.chain);
    request.put(RULE_EXPRESSIONS | 0x8000, &rule.expressions);
    let mut userdata = vec![USERDATA_COMMENT, rule.comment.len() as u8 + 1];
    userdata.extend_from_slice(rule.comment.as_bytes());
    userdata.push(0);
    request.put(RULE_USERDATA, &userdata);
}

/// Every rule of the table as (chain, comment), in order. `None` when there is no such table.
pub(super) fn read_rules(socket: &mut Socket, table: &str) -> Result<Option<Vec<(String, String)>>> {
    let build = |request: &mut Request| {
        begin(request, Kind::GetRule, 0);
        request.put_text(RULE_TABLE, table);
    };
    let messages = match socket.dump(build, &format!("read rules of nftables table {table}")) {
        Ok(messages) => messages,
        Err(e) if e.is_not_found() => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut rules = Vec::new();
    for message in messages.iter().filter(|m| m.kind == Kind::NewRule.number()) {
        let attributes = message.attributes(HEAD_BYTES);
        // Old kernels do not filter by table.
        if attributes.text(RULE_TABLE) != Some(table) {
            continue;
        }
        let chain = attributes.text(RULE_CHAIN).unwrap_or_default().to_owned();
        rules.push((chain, comment(attributes).unwrap_or_default()));
    }
    Ok(Some(rules))
}

/// Whether all these base chains are there, each on its hook.
pub(super) fn has_chains(socket: &mut Socket, table: &str, chains: &[Chain]) -> Result<bool> {
    let messages = socket.dump(
        |request| dump_request(request, Kind::GetChain, FAMILY_INET),
        "read nftables chains",
    )?;
    let shown: Vec<(String, Option<u32>)> = messages
        .iter()
        .map(|message| message.attributes(HEAD_BYTES))
        .filter(|attributes| attributes.text(CHAIN_TABLE) == Some(table))
        .map(|attributes| {
            let hook = attributes
                .nested(CHAIN_HOOK)
                .and_then(|hook| hook.u32_be(HOOK_NUMBER));
            (attributes.text(CHAIN_NAME).unwrap_or_default().to_owned(), hook)
        })
        .collect();
    Ok(chains.iter().all(|c| {
        shown
            .iter()
            .any(|(name, hook)| name == c.name && *hook == Some(c.hook))
    }))
}

pub(crate) fn dump_request(request: &mut Request, kind: Kind, family: u8) {
    request.begin(kind.number(), 0, &chain_head(family));
}

fn comment(attributes: Attributes<'_>) -> Option<String> {
    let data = attributes.get(RULE_USERDATA)?;
    let (kind, length) = (*data.first()?, usize::from(*data.get(1)?));
    if kind != USERDATA_COMMENT {
        return None;
    }
    let text = data.get(2..2 + length)?;
    Some(String::from_utf8_lossy(text.strip_suffix(&[0]).unwrap_or(text)).into_owned())
}
