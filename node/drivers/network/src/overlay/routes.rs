//! The ways of published ports: to tasks on other nodes, and back to the node that a connection came in by. Both families go
//! the same way.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use shoal_node_core_host::overlay::Ingress;

use super::{Walk, address, family};
use crate::expression::octets;
use crate::netlink::{Message, Request};

/// Who made a route or rule: ours alone are looked at.
const PROTOCOL: u8 = 0x5a;
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
type Route = (u32, IpNet, IpAddr);
/// A rule of ours: the family, the interface that packets come in by, the mark, which is also the table.
type Rule = (bool, String, u32);

impl Walk<'_> {
    pub(super) fn routes(&mut self, ingress: &Ingress, index: u32) {
        let planned = planned_routes(ingress);
        for v6 in [false, true] {
            let planned: BTreeSet<Route> = planned
                .iter()
                .filter(|route| route.2.is_ipv6() == v6)
                .copied()
                .collect();
            self.routes_of(v6, &planned, index);
        }
    }

    fn routes_of(&mut self, v6: bool, planned: &BTreeSet<Route>, index: u32) {
        let mut head = [0; ROUTE_HEAD_BYTES];
        head[0] = family(v6);
        let build = |request: &mut Request| {
            request.begin(libc::RTM_GETROUTE, 0, &head);
        };
        let there = match self.socket.dump(build, "list routes") {
            Ok(messages) => messages,
            // A kernel without IPv6 has none of it.
            Err(_) if v6 && planned.is_empty() => return,
            Err(error) => return self.fail(error),
        };
        let there: BTreeSet<Route> = there.iter().filter_map(|m| parse_route(m, index)).collect();
        for route in there.difference(planned) {
            self.no_route(route, index);
        }
        for route in planned.difference(&there) {
            self.route(route, index);
        }
    }

    fn route(&mut self, route: &Route, index: u32) {
        let mut request = Request::new();
        write_route(&mut request, libc::RTM_NEWROUTE, CREATE, route, index);
        let what = format!("route {} over {} (table {})", route.1, route.2, route.0);
        self.differs(what, &mut request);
    }

    fn no_route(&mut self, route: &Route, index: u32) {
        let mut request = Request::new();
        write_route(&mut request, libc::RTM_DELROUTE, 0, route, index);
        let what = format!("remove route to {} over {} (table {})", route.1, route.2, route.0);
        self.differs(what, &mut request);
    }

    /// A task of another node is reached by that node's place, or not at all any more.
    pub(super) fn route_task(&mut self, task: IpAddr, gateway: Option<IpAddr>, index: u32) {
        let route = |gateway| (u32::from(libc::RT_TABLE_MAIN), IpNet::from(task), gateway);
        match gateway {
            Some(gateway) => self.route(&route(gateway), index),
            None => self.no_route(&route(everywhere(task.is_ipv6()).addr()), index),
        }
    }

    /// What a mark leads to. Only for what comes in over the ingress bridge: the outer packets of VXLAN carry the mark of
    /// what is in them, and would go round for ever.
    pub(super) fn rules(&mut self, ingress: Option<&Ingress>) {
        let planned: BTreeSet<Rule> = ingress.iter().flat_map(|i| planned_rules(i)).collect();
        for v6 in [false, true] {
            let planned: BTreeSet<Rule> = planned.iter().filter(|rule| rule.0 == v6).cloned().collect();
            self.rules_of(v6, &planned, ingress);
        }
    }

    fn rules_of(&mut self, v6: bool, planned: &BTreeSet<Rule>, ingress: Option<&Ingress>) {
        let mut head = [0; RULE_HEAD_BYTES];
        head[0] = family(v6);
        let build = |request: &mut Request| {
            request.begin(libc::RTM_GETRULE, 0, &head);
        };
        let there = match self.socket.dump(build, "list routing rules") {
            Ok(messages) => messages,
            Err(_) if v6 && planned.is_empty() => return,
            Err(error) => return self.fail(error),
        };
        let ours = |name: &str| ingress.is_some_and(|ingress| ingress.bridge == name);
        let there: BTreeSet<Rule> = there.iter().filter_map(|m| parse_rule(m, v6)).collect();
        let gone = there
            .iter()
            .filter(|(_, name, _)| ours(name) || is_orphan(name))
            .filter(|rule| !planned.contains(*rule));
        for rule in gone {
            let mut request = Request::new();
            write_rule(&mut request, libc::RTM_DELRULE, 0, rule);
            self.differs(
                format!("remove rule for mark {:x} on {}", rule.2, rule.1),
                &mut request,
            );
        }
        for rule in planned.difference(&there) {
            let mut request = Request::new();
            let create = libc::NLM_F_CREATE as u16 | libc::NLM_F_EXCL as u16;
            write_rule(&mut request, libc::RTM_NEWRULE, create, rule);
            self.differs(
                format!("add rule for mark {:x} on {}", rule.2, rule.1),
                &mut request,
            );
        }
    }
}

fn planned_routes(ingress: &Ingress) -> BTreeSet<Route> {
    let main = u32::from(libc::RT_TABLE_MAIN);
    let tasks = ingress.routes.iter();
    let mut planned: BTreeSet<Route> = tasks
        .map(|(task, gateway)| (main, IpNet::from(*task), *gateway))
        .collect();
    for (gateway, peer) in &ingress.peers {
        planned.insert((peer.mark, everywhere(false), (*gateway).into()));
        planned.extend(
            peer.address6
                .map(|gateway| (peer.mark, everywhere(true), gateway.into())),
        );
    }
    planned
}

fn planned_rules(ingress: &Ingress) -> impl Iterator<Item = Rule> + '_ {
    ingress.peers.values().flat_map(move |peer| {
        let families = [Some(false), peer.address6.map(|_| true)];
        families
            .into_iter()
            .flatten()
            .map(move |v6| (v6, ingress.bridge.clone(), peer.mark))
    })
}

fn everywhere(v6: bool) -> IpNet {
    let any: IpAddr = if v6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    };
    IpNet::new_assert(any, 0)
}

/// A rule of ours (by protocol and priority) for an interface that is not there leads nowhere, whoever made it.
fn is_orphan(name: &str) -> bool {
    !std::path::Path::new("/proc/sys/net/ipv4/conf")
        .join(name)
        .exists()
}

fn parse_route(message: &Message, index: u32) -> Option<Route> {
    let attributes = message.attributes(ROUTE_HEAD_BYTES);
    if *message.body.get(5)? != PROTOCOL || attributes.u32(libc::RTA_OIF) != Some(index) {
        return None;
    }
    let v6 = *message.body.first()? == family(true);
    let target = match attributes.get(libc::RTA_DST) {
        Some(bytes) => address(bytes)?,
        None => everywhere(v6).addr(),
    };
    Some((
        attributes.u32(libc::RTA_TABLE)?,
        IpNet::new(target, *message.body.get(1)?).ok()?,
        address(attributes.get(libc::RTA_GATEWAY)?)?,
    ))
}

fn write_route(request: &mut Request, kind: u16, flags: u16, route: &Route, index: u32) {
    let (table, target, gateway) = route;
    let mut head = [0; ROUTE_HEAD_BYTES];
    head[0] = family(gateway.is_ipv6());
    head[1] = target.prefix_len();
    head[4] = u8::try_from(*table).unwrap_or(0);
    head[5] = PROTOCOL;
    head[6] = libc::RT_SCOPE_UNIVERSE;
    head[7] = libc::RTN_UNICAST;
    request.begin(kind, flags, &head);
    if target.prefix_len() > 0 {
        request.put(libc::RTA_DST, &octets(target.addr()));
    }
    // One that goes may be known by its target alone.
    if !gateway.is_unspecified() {
        request.put(libc::RTA_GATEWAY, &octets(*gateway));
    }
    request
        .put_u32(libc::RTA_OIF, index)
        .put_u32(libc::RTA_TABLE, *table);
}

fn parse_rule(message: &Message, v6: bool) -> Option<Rule> {
    let attributes = message.attributes(RULE_HEAD_BYTES);
    let ours = attributes.get(RULE_PROTOCOL)?.first() == Some(&PROTOCOL);
    let priority = attributes.u32(RULE_PRIORITY) == Some(PRIORITY);
    if !ours || !priority {
        return None;
    }
    Some((
        v6,
        attributes.text(RULE_IIFNAME)?.to_owned(),
        attributes.u32(RULE_FWMARK)?,
    ))
}

fn write_rule(request: &mut Request, kind: u16, flags: u16, (v6, name, mark): &Rule) {
    let mut head = [0; RULE_HEAD_BYTES];
    head[0] = family(*v6);
    head[7] = TO_TABLE;
    request.begin(kind, flags, &head);
    request
        .put_text(RULE_IIFNAME, name)
        .put_u32(RULE_PRIORITY, PRIORITY)
        .put_u32(RULE_FWMARK, *mark)
        .put_u32(RULE_TABLE, *mark)
        .put_u8(RULE_PROTOCOL, PROTOCOL);
}
