//! Other people's chains that drop what the host forwards: containers reach nothing while such a chain is there, and an
//! `accept` in our table cannot help, for a packet must pass every chain.

use crate::error::Result;
use crate::netlink::{Family, Message, Request, Socket};
use crate::nft::{Kind, dump_request};

const FAMILIES: [(u8, &str); 2] = [(2, "ip"), (1, "inet")];
const HOOK_FORWARD: u32 = 2;
const POLICY_DROP: u32 = 0;
const HEAD_BYTES: usize = 4;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;

/// The first chain of another owner at the forward hook that drops by policy or whose last rule drops or rejects
/// whatever reaches it, as `ip filter FORWARD`. `own` is our table's name. Rules before that drop may still accept our
/// traffic, so this is a hint to show, not a verdict.
pub fn foreign_drop(own: &str) -> Result<Option<String>> {
    let mut socket = Socket::open(Family::Netfilter)?;
    for (family, family_name) in FAMILIES {
        let chains = socket.dump(
            |request| dump_request(request, Kind::GetChain, family),
            "read nftables chains",
        )?;
        for chain in &chains {
            let attributes = chain.attributes(HEAD_BYTES);
            let (Some(table), Some(name)) = (attributes.text(1), attributes.text(3)) else {
                continue;
            };
            let hook = attributes.nested(4).and_then(|hook| hook.u32_be(1));
            // Other daemons of ours drop only what goes to their own bridges.
            if hook != Some(HOOK_FORWARD) || table == own || table.starts_with("shoal-") {
                continue;
            }
            if attributes.u32_be(5) == Some(POLICY_DROP) || ends_in_drop(&mut socket, family, table, name)? {
                return Ok(Some(format!("{family_name} {table} {name}")));
            }
        }
    }
    Ok(super::legacy::drops_forwarded().then(|| "ip filter FORWARD (iptables-legacy)".to_owned()))
}

fn ends_in_drop(socket: &mut Socket, family: u8, table: &str, chain: &str) -> Result<bool> {
    let build = |request: &mut Request| {
        dump_request(request, Kind::GetRule, family);
        request.put_text(1, table).put_text(2, chain);
    };
    let rules = match socket.dump(build, "read nftables rules") {
        Ok(rules) => rules,
        // It went away since we saw it.
        Err(e) if e.is_not_found() => return Ok(false),
        Err(e) => return Err(e),
    };
    let in_chain = |m: &&Message| {
        m.attributes(HEAD_BYTES).text(1) == Some(table) && m.attributes(HEAD_BYTES).text(2) == Some(chain)
    };
    Ok(rules.iter().rfind(in_chain).is_some_and(drops_all))
}

/// Whether the rule has no condition and ends in drop or reject.
fn drops_all(rule: &Message) -> bool {
    let Some(list) = rule.attributes(HEAD_BYTES).nested(4) else {
        return false;
    };
    let mut drops = false;
    for (_, element) in list.iter() {
        let element = crate::netlink::Attributes(element);
        match element.text(EXPRESSION_NAME) {
            Some("counter" | "log") => {}
            Some("reject") => drops = true,
            Some("immediate") => {
                let verdict = element
                    .nested(EXPRESSION_DATA)
                    .and_then(|d| d.nested(2))
                    .and_then(|v| v.nested(2));
                drops = verdict.and_then(|v| v.u32_be(1)) == Some(0);
            }
            _ => return false,
        }
    }
    drops
}
