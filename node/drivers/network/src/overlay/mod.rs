//! Cluster networks in the kernel: bridges with VXLAN interfaces, what they forward and answer, the way of published
//! ports and back, and the tables by which one address leads to many targets.
//!
//! The whole is read, compared with the plan of `core/host::overlay` and changed where it differs; between two such looks what
//! is known to have changed is changed alone ([`Overlays::change`]), at a cost that has nothing to do with how much else there
//! is. What is not of this daemon's naming is never touched.

mod change;
mod inside;
mod leads;
mod links;
mod neighbours;
mod places;
mod relay;
mod room;
mod routes;
mod ruleset;
mod short;
mod table;
mod tunnel;

use std::collections::BTreeMap;
use std::net::IpAddr;

use parking_lot::Mutex;
use shoal_node_core_host::overlay::{Key, Plan, link_prefixes};

use crate::error::{Error, Result};
use crate::netlink::{Family, Socket};
use relay::Relays;
use short::Short;
use table::Tables;
use tunnel::Path;

pub use inside::{Inside, answer_over};
pub use short::Port;

/// The overlay half of the namespace that opened this (the daemon's).
#[derive(Debug)]
pub struct Overlays {
    sid: String,
    route: Mutex<Socket>,
    tables: Mutex<Tables>,
    /// What keeps encrypted networks apart from everything else.
    seal: Mutex<Tables>,
    path: Mutex<Path>,
    relays: Mutex<Relays>,
    short: Mutex<Short>,
    /// The interfaces, as they were found or made last; nothing when not all is as planned.
    known: Mutex<Option<Known>>,
}

const IPV6: &str = "/proc/sys/net/ipv6/conf";

/// What a comparison found, in words: empty when the kernel is as planned.
pub type Differences = Vec<String>;

impl Overlays {
    pub fn open(sid: &str) -> Result<Overlays> {
        Ok(Overlays {
            sid: sid.to_owned(),
            route: Mutex::new(Socket::open(Family::Route)?),
            tables: Mutex::new(Tables::open(ruleset::host_table(sid))?),
            seal: Mutex::new(Tables::open(ruleset::seal_table(sid))?),
            path: Mutex::new(Path::open(sid)?),
            relays: Mutex::default(),
            short: Mutex::new(Short::open(sid)?),
            known: Mutex::default(),
        })
    }

    /// Brings the kernel to the plan. Answers what was not as planned before. A network that cannot be had does not keep
    /// the others from being laid; the first error is told in the end. `recheck` reads the packet rules, too.
    pub fn converge(&self, plan: &Plan, recheck: bool) -> (Differences, Result<()>) {
        let mut laid = self.known.lock();
        *laid = None;
        let (found, done, known) = self.walk(plan, recheck, true);
        *laid = known.filter(|_| done.is_ok());
        (found, done)
    }

    /// The public key of this host's encrypted path; nothing where the kernel has no such path.
    pub fn key(&self) -> Option<Key> {
        self.path.lock().public_key()
    }

    /// For a host that has left its cluster, once nothing of it is there any more.
    pub fn forget_key(&self) -> Result<()> {
        self.path.lock().forget()
    }

    /// The numbers of the sockets that write packet rules, for who watches these.
    pub fn ports(&self) -> [u32; 3] {
        [
            self.tables.lock().port(),
            self.seal.lock().port(),
            self.short.lock().port(),
        ]
    }

    /// What differs from the plan, without changing anything.
    pub fn compare(&self, plan: &Plan) -> Result<Differences> {
        let (found, done, _) = self.walk(plan, true, false);
        done.map(|()| found)
    }

    fn walk(&self, plan: &Plan, recheck: bool, change: bool) -> (Differences, Result<()>, Option<Known>) {
        let four;
        let plan = match has_six() {
            true => plan,
            false => {
                four = plan.without_six();
                &four
            }
        };
        let mut walk = Walk {
            sid: &self.sid,
            socket: &mut self.route.lock(),
            path: &mut self.path.lock(),
            change,
            found: Vec::new(),
            failed: None,
        };
        // These rules are there before what they are about, and go after it.
        let seal = plan.tunnel.as_ref().map(ruleset::seal);
        if seal.is_some() && !walk.table(&self.seal, seal.as_ref(), recheck) {
            return walk.end(None);
        }
        if !plan.segments.is_empty() {
            walk.room();
        }
        let prefixes = link_prefixes(&self.sid);
        let known = walk.links(&prefixes, plan);
        let Some(known) = known else {
            return walk.end(None);
        };
        let Some(entries) = walk.entries() else {
            return walk.end(None);
        };
        for segment in plan.segments.values() {
            let (Some(vxlan), Some(_)) = (known.get(&segment.vxlan), known.get(&segment.bridge)) else {
                continue;
            };
            let by = segment.tunnel.as_ref().and_then(|link| known.get(link)).copied();
            walk.forwarding(segment, *vxlan, by, &entries);
            if segment.six.is_some() {
                walk.speak_six(&segment.vxlan);
            }
            walk.neighbours(&segment.vxlan, *vxlan, &segment.neighbours, &entries);
        }
        let ingress = plan.ingress.as_deref();
        if let Some((ingress, index)) = ingress.and_then(|i| Some((i, *known.get(&i.bridge)?))) {
            walk.switches(ingress);
            walk.addresses(ingress, index);
            walk.neighbours(&ingress.bridge, index, &ingress.neighbours, &entries);
            walk.routes(ingress, index);
        }
        walk.rules(ingress);
        let rules = ingress.map(|ingress| {
            let mut relays = self.relays.lock();
            let balance = walk.relays(ingress, &mut relays);
            let here = walk.relay_here(&mut relays);
            let counts = &mut self.tables.lock().counts;
            counts.take_up(&balance);
            ruleset::ingress(ingress, &balance, counts, here)
        });
        if ingress.is_none() {
            self.relays.lock().end();
        }
        walk.table(&self.tables, rules.as_ref(), recheck);
        if seal.is_none() {
            walk.table(&self.seal, None, recheck);
        }
        walk.end(Some(known))
    }

    /// Takes away everything that this daemon made of cluster networks.
    pub fn clear(&self) -> Result<()> {
        self.shorten(&Plan::default(), Vec::new, true, true)?;
        self.converge(&Plan::default(), true).1
    }
}

/// One comparison under way.
struct Walk<'s> {
    sid: &'s str,
    path: &'s mut Path,
    socket: &'s mut Socket,
    change: bool,
    found: Differences,
    failed: Option<Error>,
}

impl Walk<'_> {
    fn fail(&mut self, error: Error) {
        self.found.push(error.to_string());
        self.failed.get_or_insert(error);
    }

    /// Notes a difference and sends the request that removes it.
    fn differs(&mut self, what: String, request: &mut crate::netlink::Request) {
        if !self.change {
            self.found.push(what);
            return;
        }
        match self.socket.exchange(request, |_| what.clone()) {
            Ok(_) => self.found.push(what),
            // What was to go is gone.
            Err(e) if e.is_not_found() && what.starts_with("remove ") => {}
            Err(e) => self.fail(e),
        }
    }

    /// False when it could not be brought to what is wanted.
    fn table(&mut self, table: &Mutex<Tables>, wanted: Option<&ruleset::Ruleset>, recheck: bool) -> bool {
        match table.lock().bring(wanted, recheck, self.change) {
            Ok(differences) => self.found.extend(differences),
            Err(error) => {
                self.fail(error);
                return false;
            }
        }
        true
    }

    fn end(self, known: Option<Known>) -> (Differences, Result<()>, Option<Known>) {
        (self.found, self.failed.map_or(Ok(()), Err), known)
    }
}

/// A kernel that was started without IPv6 has no such folder.
fn has_six() -> bool {
    std::path::Path::new(IPV6).exists()
}

/// Interfaces by name, with their numbers.
type Known = BTreeMap<String, u32>;

fn family(v6: bool) -> u8 {
    if v6 {
        libc::AF_INET6 as u8
    } else {
        libc::AF_INET as u8
    }
}

/// Of four bytes or of sixteen.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(<[u8; 4]>::try_from(bytes).ok()?.into()),
        _ => Some(<[u8; 16]>::try_from(bytes).ok()?.into()),
    }
}
