//! Chains for the rules of whoever runs this host. They are made when they are not there, and never touched again.
//!
//! ```text
//!   table inet shoal-user
//!     chain arriving   prerouting, before published ports are redirected: packets as they came, `tcp dport 8080 drop`
//!     chain forward    forward, before our own rules: packets with the container's address and port
//! ```
//! A drop in them is final. An accept is not: the packet goes on to our table, and to any other firewall of the host.

use super::message;
use super::ruleset::{Chain, HOOK_FORWARD, HOOK_PREROUTING};
use crate::error::Result;
use crate::netlink::{Family, Request, Socket};

/// Shared by all daemons of the host.
pub const USER_TABLE: &str = "shoal-user";

const CHAINS: &[Chain] = &[
    Chain {
        name: "arriving",
        kind: "filter",
        hook: HOOK_PREROUTING,
        // After connections are known, before targets are changed.
        priority: -110,
    },
    Chain {
        name: "forward",
        kind: "filter",
        hook: HOOK_FORWARD,
        priority: -10,
    },
];

/// Answers whether they had to be made.
pub fn ensure_user_chains() -> Result<bool> {
    let mut socket = Socket::open(Family::Netfilter)?;
    if message::has_chains(&mut socket, USER_TABLE, CHAINS)? {
        return Ok(false);
    }
    let mut request = Request::new();
    message::begin_batch(&mut request);
    message::add_table(&mut request, USER_TABLE);
    for chain in CHAINS {
        if !message::has_chains(&mut socket, USER_TABLE, std::slice::from_ref(chain))? {
            message::add_chain(&mut request, USER_TABLE, chain);
        }
    }
    message::end_batch(&mut request);
    socket.transact(&mut request, |_| format!("make nftables table {USER_TABLE}"))?;
    Ok(true)
}
