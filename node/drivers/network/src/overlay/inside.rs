//! Cluster networks inside a container: where services' addresses lead, and the way back of what came by a published
//! port.

use std::collections::BTreeSet;
use std::net::IpAddr;

use parking_lot::Mutex;
use shoal_node_core_host::netplan::Protocol;
use shoal_node_core_host::overlay::{Balance, Target, Vip};

use super::leads::address_parts;
use super::ruleset::{CONTAINER_TABLE, services};
use super::table::Tables;
use crate::error::{Error, Result};
use crate::expression::octets;
use crate::netlink::Request;
use crate::netns::{Netns, away};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::AsFd;

const ROUTE_HEAD_BYTES: usize = 12;
const RULE_HEAD_BYTES: usize = 12;
const RULE_SRC: u16 = 2;
const RULE_PRIORITY: u16 = 6;
const RULE_SUPPRESS_PREFIX: u16 = 14;
const RULE_PROTOCOL: u16 = 22;
/// The first and the last one.
const RULE_SOURCE_PORTS: u16 = 23;
const PRIORITY: u32 = 20_000;
/// The routing table with the way back.
const TABLE: u8 = 90;
const TO_TABLE: u8 = 1;

/// One container's part, held as long as the container runs.
#[derive(Debug)]
pub struct Inside {
    tables: Mutex<Tables>,
}

impl Inside {
    pub fn of(netns: &Netns) -> Result<Inside> {
        let tables = away(|| {
            move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(|e| Error::io("enter network namespace", e))?;
            Tables::open(CONTAINER_TABLE.to_owned())
        })?;
        Ok(Inside {
            tables: Mutex::new(tables),
        })
    }

    /// How often the table was read whole: not when the kernel says that nobody changed anything.
    pub fn reads(&self) -> u64 {
        self.tables.lock().reads()
    }

    /// Makes services' addresses lead where the plan says. Answers what differed.
    pub fn balance(&self, balance: &Balance, recheck: bool, change: bool) -> Result<Vec<String>> {
        let mut tables = self.tables.lock();
        tables.counts.take_up(balance);
        let rules = services(balance, &tables.counts);
        let wanted = (!balance.is_empty()).then_some(&rules);
        tables.bring(wanted, recheck, change)
    }

    /// Makes these addresses alone lead where they are to, or nowhere. False when all have to be looked at for that.
    pub fn change(&self, changes: &[(Vip, Option<&BTreeSet<Target>>)]) -> Result<bool> {
        let mut tables = self.tables.lock();
        let parts = changes
            .iter()
            .map(|(vip, targets)| address_parts(*vip, *targets, &tables.counts));
        let Some(parts) = parts.collect::<Option<Vec<_>>>() else {
            return Ok(false);
        };
        Ok(tables
            .change(&parts.into_iter().flatten().collect::<Vec<_>>())?
            .is_some())
    }
}

/// What is answered from `address` leaves over `gateway`, which is on the same link, whatever the container's own way out
/// is; so does what leaves from these ports of SCTP and has no way of its own. Nothing changes where it is so already.
pub fn answer_over(
    netns: &Netns,
    address: IpAddr,
    gateway: IpAddr,
    associations: &BTreeSet<u16>,
) -> Result<()> {
    let mut request = Request::new();
    let mut head = [0; ROUTE_HEAD_BYTES];
    head[0] = super::family(address.is_ipv6());
    head[4] = TABLE;
    head[5] = libc::RTPROT_STATIC;
    head[6] = libc::RT_SCOPE_UNIVERSE;
    head[7] = libc::RTN_UNICAST;
    let replace = libc::NLM_F_CREATE as u16 | libc::NLM_F_REPLACE as u16;
    request.begin(libc::RTM_NEWROUTE, replace, &head);
    request.put(libc::RTA_GATEWAY, &octets(gateway));
    netns.socket().lock().exchange(&mut request, |_| {
        format!("route answers from {address} over {gateway}")
    })?;
    // The kernel's check of where packets come from follows the rule as well: clients' addresses may come in by the link.
    let all_bits = if address.is_ipv6() { 128 } else { 32 };
    add_rule(netns, address, (TABLE, all_bits), |request| {
        request
            .put(RULE_SRC, &octets(address))
            .put_u32(RULE_PRIORITY, PRIORITY);
    })?;
    for port in associations {
        let [low, high] = port.to_ne_bytes();
        let from_port = |request: &mut Request, priority: u32| {
            request
                .put_u8(RULE_PROTOCOL, Protocol::Sctp.number())
                .put(RULE_SOURCE_PORTS, &[low, high, low, high])
                .put_u32(RULE_PRIORITY, priority);
        };
        // Neighbours are reached by their own links.
        add_rule(netns, address, (libc::RT_TABLE_MAIN, 0), |request| {
            from_port(request, PRIORITY - 2);
            request.put_u32(RULE_SUPPRESS_PREFIX, 0);
        })?;
        add_rule(netns, address, (TABLE, 0), |request| {
            from_port(request, PRIORITY - 1)
        })?;
    }
    Ok(())
}

/// A rule of the address's family that leads to a table; one that is there is no error.
fn add_rule(
    netns: &Netns,
    address: IpAddr,
    (table, source_bits): (u8, u8),
    ask: impl FnOnce(&mut Request),
) -> Result<()> {
    let mut head = [0; RULE_HEAD_BYTES];
    head[0] = super::family(address.is_ipv6());
    head[2] = source_bits;
    head[4] = table;
    head[7] = TO_TABLE;
    let new = libc::NLM_F_CREATE as u16 | libc::NLM_F_EXCL as u16;
    let mut request = Request::new();
    request.begin(libc::RTM_NEWRULE, new, &head);
    ask(&mut request);
    let what = |_| format!("add a rule for answers from {address}");
    match netns.socket().lock().exchange(&mut request, what) {
        Err(e) if !e.is_exists() => Err(e),
        _ => Ok(()),
    }
}
