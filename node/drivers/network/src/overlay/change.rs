//! What is known to have changed, and nothing else.

use std::net::IpAddr;

use shoal_node_core_host::overlay::{Changes, Ingress, Plan, Segment};

use super::leads::port_parts;
use super::{Differences, Known, Overlays, Walk, has_six};
use crate::error::Result;

impl Overlays {
    /// Brings the kernel from an earlier plan, which it has, to this one: they differ where `changes` says. Where that is
    /// not enough (an interface is missing, a number of targets has no table yet, what was done last failed), it is brought
    /// to the whole plan. Answers what differed.
    pub fn change(&self, plan: &Plan, changes: &Changes) -> (Differences, Result<()>) {
        let known = self.known.lock().take();
        let (Some(known), false) = (known, changes.special) else {
            return self.converge(plan, false);
        };
        match self.change_known(plan, changes, &known) {
            // Whatever stands in the way is found and told by it.
            None => self.converge(plan, false),
            Some(found) => {
                *self.known.lock() = Some(known);
                (found, Ok(()))
            }
        }
    }

    /// Nothing when that is not enough.
    fn change_known(&self, plan: &Plan, changes: &Changes, known: &Known) -> Option<Differences> {
        let mut walk = Walk {
            sid: &self.sid,
            socket: &mut self.route.lock(),
            path: &mut self.path.lock(),
            change: true,
            found: Vec::new(),
            failed: None,
        };
        let ingress = plan.ingress.as_deref();
        let done = walk.ways(plan, changes, known)
            && ingress.is_none_or(|ingress| self.ports_of(&mut walk, ingress, changes));
        (done && walk.failed.is_none()).then_some(walk.found)
    }

    /// False when the table has to be looked at as a whole.
    fn ports_of(&self, walk: &mut Walk<'_>, ingress: &Ingress, changes: &Changes) -> bool {
        let six = ingress.address6.is_some() && has_six();
        let ports: Vec<_> = changes.ports.iter().filter(|vip| six || !vip.is_v6()).collect();
        if ports.is_empty() {
            return true;
        }
        walk.forward_six(ingress);
        let mut tables = self.tables.lock();
        let parts = ports
            .iter()
            .map(|vip| port_parts(**vip, ingress.balance.get(vip), &tables.counts));
        let Some(parts) = parts.collect::<Option<Vec<_>>>() else {
            return false;
        };
        match tables.change(&parts.into_iter().flatten().collect::<Vec<_>>()) {
            Ok(Some(found)) => {
                walk.found.extend(found);
                true
            }
            Ok(None) | Err(_) => false,
        }
    }
}

impl Walk<'_> {
    /// Who is reached how. False when an interface is not there.
    fn ways(&mut self, plan: &Plan, changes: &Changes, known: &Known) -> bool {
        let six = has_six();
        let spoken = |address: &IpAddr| six || address.is_ipv4();
        let vxlan = |id: &str| -> Option<(&Segment, u32)> {
            let segment = plan.segments.get(id)?;
            Some((segment, *known.get(&segment.vxlan)?))
        };
        // What goes first: an address may go from one task to another.
        for goes in [true, false] {
            for (id, mac) in &changes.forwarding {
                let Some((segment, index)) = vxlan(id) else {
                    return false;
                };
                let by = segment.tunnel.as_ref().map(|link| known.get(link).copied());
                // An entry without the link would leave plain.
                if by == Some(None) {
                    return false;
                }
                let by = by.flatten();
                match segment.forwarding.get(mac) {
                    None if goes => self.stop_sending(&segment.vxlan, index, mac, None),
                    Some(addr) if !goes => self.send_by(&segment.vxlan, index, mac, (*addr, by)),
                    _ => {}
                }
            }
            for (id, address) in changes.neighbours.iter().filter(|(_, a)| spoken(a)) {
                let Some((segment, index)) = vxlan(id) else {
                    return false;
                };
                match segment.neighbours.get(address) {
                    None if goes => self.stop_answering(&segment.vxlan, index, *address),
                    Some(mac) if !goes => self.answer(&segment.vxlan, index, *address, mac),
                    _ => {}
                }
            }
        }
        let Some(ingress) = &plan.ingress else { return true };
        let Some(index) = known.get(&ingress.bridge).copied() else {
            return false;
        };
        for address in changes.near.iter().filter(|a| spoken(a)) {
            match ingress.neighbours.get(address) {
                None => self.stop_answering(&ingress.bridge, index, *address),
                Some(mac) => self.answer(&ingress.bridge, index, *address, mac),
            }
        }
        for address in changes.routes.iter().filter(|a| spoken(a)) {
            self.route_task(*address, ingress.routes.get(address).copied(), index);
        }
        true
    }
}
