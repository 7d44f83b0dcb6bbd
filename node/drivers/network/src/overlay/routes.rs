//! The ways of published ports: to tasks on other nodes, and back to the node that a connection came in by.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use shoal_node_core_host::overlay::Ingress;

use super::Walk;
use crate::error::Error;
use crate::netlink::{Message, Request};

/// Who made a route or rule: ours alone are looked at.
const PROTOCOL: u8 = 0x5a;
const ADDRESS_HEAD_BYTES: usize = 8;
const ROUTE_HEAD_BYTES: usize = 12;
const RULE_HEAD_BYTES: usize = 12;
const RULE_IIFNAME: u16 = 3;
const RULE_PRIORITY: u16 = 6;
const RULE_FWMARK: u16 = 10;
const RULE_TABLE: u16 = 15;
const RULE_PROTOCOL: u16 = 21;
const TO_TABLE: u8 = 1;
/// Before the main table's rule.
const PRIORITY: u32 = 20_000;
const CREATE: u16 = libc::NLM_F_CREATE as u16 | libc::NLM_F_REPLACE as u16;

/// A route of ours: table, target, gateway.
type Route = (u32, Ipv4Net, Ipv4Addr);

impl Walk<'_> {
    /// The node's own place on the ingress network, and how the kernel treats what comes over it.
    pub(super) fn address(&mut self, ingress: &Ingress, index: u32) {
        let mut head = [0; ADDRESS_HEAD_BYTES];
        head[0] = libc::AF_INET as u8;
        let build = |request: &mut Request| {
            request.begin(libc::RTM_GETADDR, 0, &head);
        };
        let there = match self.socket.dump(build, "list addresses") {
            Ok(messages) => messages,
            Err(error) => return self.fail(error),
        };
        let parse = |m: &Message| {
            let octets: [u8; 4] = m
                .attributes(ADDRESS_HEAD_BYTES)
                .get(libc::IFA_LOCAL)?
                .try_into()
                .ok()?;
            Ipv4Net::new(octets.into(), *m.body.get(1)?).ok()
        };
        let there: Vec<Ipv4Net> = there
            .iter()
            .filter(|m| m.u32(4) == Some(index))
            .filter_map(parse)
            .collect();
        let name = &ingress.bridge;
        for other in there.iter().filter(|a| **a != ingress.address) {
            let mut head = head;
            head[1] = other.prefix_len();
            head[4..8].copy_from_slice(&index.to_ne_bytes());
            let mut request = Request::new();
            request.begin(libc::RTM_DELADDR, 0, &head);
            request.put(libc::IFA_LOCAL, &other.addr().octets());
            self.differs(format!("remove address {other} from {name}"), &mut request);
        }
        if !there.contains(&ingress.address) {
            let mut head = head;
            head[1] = ingress.address.prefix_len();
            head[4..8].copy_from_slice(&index.to_ne_bytes());
            let octets = ingress.address.addr().octets();
            let mut request = Request::new();
            request.begin(libc::RTM_NEWADDR, CREATE, &head);
            request
                .put(libc::IFA_LOCAL, &octets)
                .put(libc::IFA_ADDRESS, &octets);
            self.differs(
                format!("give {name} the address {}", ingress.address),
                &mut request,
            );
        }
        for (switch, value) in [
            // A client's address comes in over it though the way to the client is another.
            ("rp_filter", "2"),
            ("forwarding", "1"),
            ("route_localnet", "1"),
        ] {
            let file = format!("/proc/sys/net/ipv4/conf/{name}/{switch}");
            if std::fs::read_to_string(&file).is_ok_and(|now| now.trim() != value) {
                let what = format!("set {switch} of {name} to {value}");
                if self.change
                    && let Err(e) = std::fs::write(&file, value)
                {
                    self.fail(Error::io(what.clone(), e));
                }
                self.found.push(what);
            }
        }
    }

    pub(super) fn routes(&mut self, ingress: &Ingress, index: u32) {
        let mut head = [0; ROUTE_HEAD_BYTES];
        head[0] = libc::AF_INET as u8;
        let build = |request: &mut Request| {
            request.begin(libc::RTM_GETROUTE, 0, &head);
        };
        let there = match self.socket.dump(build, "list routes") {
            Ok(messages) => messages,
            Err(error) => return self.fail(error),
        };
        let there: BTreeSet<Route> = there.iter().filter_map(|m| parse_route(m, index)).collect();
        let main = u32::from(libc::RT_TABLE_MAIN);
        let everywhere = Ipv4Net::default();
        let mut planned: BTreeSet<Route> = ingress
            .routes
            .iter()
            .map(|(task, gateway)| (main, Ipv4Net::from(*task), *gateway))
            .collect();
        planned.extend(
            ingress
                .peers
                .iter()
                .map(|(gateway, peer)| (peer.mark, everywhere, *gateway)),
        );
        for route in there.difference(&planned) {
            let mut request = Request::new();
            write_route(&mut request, libc::RTM_DELROUTE, 0, route, index);
            self.differs(
                format!("remove route to {} over {} (table {})", route.1, route.2, route.0),
                &mut request,
            );
        }
        for route in planned.difference(&there) {
            let mut request = Request::new();
            write_route(&mut request, libc::RTM_NEWROUTE, CREATE, route, index);
            self.differs(
                format!("route {} over {} (table {})", route.1, route.2, route.0),
                &mut request,
            );
        }
    }

    /// What a mark leads to. Only for what comes in over the ingress bridge: the outer packets of VXLAN carry the mark of
    /// what is in them, and would go round for ever.
    pub(super) fn rules(&mut self, ingress: Option<&Ingress>) {
        let mut head = [0; RULE_HEAD_BYTES];
        head[0] = libc::AF_INET as u8;
        let build = |request: &mut Request| {
            request.begin(libc::RTM_GETRULE, 0, &head);
        };
        let there = match self.socket.dump(build, "list routing rules") {
            Ok(messages) => messages,
            Err(error) => return self.fail(error),
        };
        let ours = |name: &str| match ingress {
            Some(ingress) => ingress.bridge == name,
            None => false,
        };
        let there: BTreeSet<(String, u32)> = there.iter().filter_map(parse_rule).collect();
        let planned: BTreeSet<(String, u32)> = ingress
            .iter()
            .flat_map(|i| i.peers.values().map(|p| (i.bridge.clone(), p.mark)))
            .collect();
        let gone = there
            .iter()
            .filter(|(name, _)| ours(name) || self.is_orphan(name))
            .filter(|rule| !planned.contains(*rule));
        for rule in gone.cloned().collect::<Vec<_>>() {
            let mut request = Request::new();
            write_rule(&mut request, libc::RTM_DELRULE, 0, &rule);
            self.differs(
                format!("remove rule for mark {:x} on {}", rule.1, rule.0),
                &mut request,
            );
        }
        for rule in planned.difference(&there) {
            let mut request = Request::new();
            let create = libc::NLM_F_CREATE as u16 | libc::NLM_F_EXCL as u16;
            write_rule(&mut request, libc::RTM_NEWRULE, create, rule);
            self.differs(
                format!("add rule for mark {:x} on {}", rule.1, rule.0),
                &mut request,
            );
        }
    }

    /// A rule of ours (by protocol and priority) for an interface that is not there leads nowhere, whoever made it.
    fn is_orphan(&self, name: &str) -> bool {
        !std::path::Path::new("/proc/sys/net/ipv4/conf")
            .join(name)
            .exists()
    }
}

fn parse_route(message: &Message, index: u32) -> Option<Route> {
    let attributes = message.attributes(ROUTE_HEAD_BYTES);
    if *message.body.get(5)? != PROTOCOL || attributes.u32(libc::RTA_OIF) != Some(index) {
        return None;
    }
    let octets = |attribute: u16| -> Option<[u8; 4]> { attributes.get(attribute)?.try_into().ok() };
    let target = octets(libc::RTA_DST).unwrap_or([0; 4]);
    Some((
        attributes.u32(libc::RTA_TABLE)?,
        Ipv4Net::new(target.into(), *message.body.get(1)?).ok()?,
        octets(libc::RTA_GATEWAY)?.into(),
    ))
}

fn write_route(request: &mut Request, kind: u16, flags: u16, route: &Route, index: u32) {
    let (table, target, gateway) = route;
    let mut head = [0; ROUTE_HEAD_BYTES];
    head[0] = libc::AF_INET as u8;
    head[1] = target.prefix_len();
    head[4] = u8::try_from(*table).unwrap_or(0);
    head[5] = PROTOCOL;
    head[6] = libc::RT_SCOPE_UNIVERSE;
    head[7] = libc::RTN_UNICAST;
    request.begin(kind, flags, &head);
    if target.prefix_len() > 0 {
        request.put(libc::RTA_DST, &target.addr().octets());
    }
    request
        .put(libc::RTA_GATEWAY, &gateway.octets())
        .put_u32(libc::RTA_OIF, index)
        .put_u32(libc::RTA_TABLE, *table);
}

fn parse_rule(message: &Message) -> Option<(String, u32)> {
    let attributes = message.attributes(RULE_HEAD_BYTES);
    let ours = attributes.get(RULE_PROTOCOL)?.first() == Some(&PROTOCOL);
    let priority = attributes.u32(RULE_PRIORITY) == Some(PRIORITY);
    if !ours || !priority {
        return None;
    }
    Some((
        attributes.text(RULE_IIFNAME)?.to_owned(),
        attributes.u32(RULE_FWMARK)?,
    ))
}

fn write_rule(request: &mut Request, kind: u16, flags: u16, (name, mark): &(String, u32)) {
    let mut head = [0; RULE_HEAD_BYTES];
    head[0] = libc::AF_INET as u8;
    head[7] = TO_TABLE;
    request.begin(kind, flags, &head);
    request
        .put_text(RULE_IIFNAME, name)
        .put_u32(RULE_PRIORITY, PRIORITY)
        .put_u32(RULE_FWMARK, *mark)
        .put_u32(RULE_TABLE, *mark)
        .put_u8(RULE_PROTOCOL, PROTOCOL);
}
