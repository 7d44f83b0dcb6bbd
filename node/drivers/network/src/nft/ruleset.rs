//! Which chains and rules the table has.
//!
//! ```text
//!   prerouting  raw      what comes over a bridge for 127.0.0.0/8 is dropped: route_localnet would let it in. What comes
//!                        from elsewhere for a container's own address is dropped, whatever is published
//!   prerouting  dstnat ┐ for the host itself and in a map of published ports: to the container
//!   output      dstnat ┘
//!   forward     filter   to a bridge: answers, published ports, own bridge; all else is dropped. from a bridge: out
//!   postrouting srcnat   from a subnet to elsewhere: the host's address. To a published port of the own bridge, or from
//!                        127.0.0.1: the bridge's address, so that answers come back this way
//! ```

use ipnet::IpNet;
use shoal_node_core_host::netplan::{BridgeRules, Mode, Rules};

use super::elements::MAPS;
use crate::expression::{Expressions, Verdict};

#[derive(Debug)]
pub(super) struct Chain {
    pub name: &'static str,
    pub kind: &'static str,
    pub hook: u32,
    pub priority: i32,
}

pub(super) const HOOK_PREROUTING: u32 = 0;
pub(super) const HOOK_FORWARD: u32 = 2;
pub(super) const HOOK_OUTPUT: u32 = 3;
const HOOK_POSTROUTING: u32 = 4;

const GUARD: &str = "guard";
const ARRIVE: &str = "arrive";
const LOCAL: &str = "local";
const FORWARD: &str = "forward";
const LEAVE: &str = "leave";

pub(super) const CHAINS: &[Chain] = &[
    Chain {
        name: GUARD,
        kind: "filter",
        hook: HOOK_PREROUTING,
        priority: -300,
    },
    Chain {
        name: ARRIVE,
        kind: "nat",
        hook: HOOK_PREROUTING,
        priority: -100,
    },
    Chain {
        name: LOCAL,
        kind: "nat",
        hook: HOOK_OUTPUT,
        priority: -100,
    },
    Chain {
        name: FORWARD,
        kind: "filter",
        hook: HOOK_FORWARD,
        priority: 0,
    },
    Chain {
        name: LEAVE,
        kind: "nat",
        hook: HOOK_POSTROUTING,
        priority: 100,
    },
];

/// One rule, ready to send.
#[derive(Debug)]
pub(super) struct Rule {
    pub chain: &'static str,
    /// What it does and a digest of how: what is read back is compared by this.
    pub comment: String,
    pub expressions: Vec<u8>,
}

/// All rules, in order within each chain.
pub(super) fn rules(wanted: &Rules) -> Vec<Rule> {
    let mut list = List::default();
    for chain in [ARRIVE, LOCAL] {
        if chain == ARRIVE {
            // A neighbour that has a route to our loopback is not this host.
            let own = Expressions::new().target_in(loopback()).verdict(Verdict::Accept);
            list.add(chain, "no loopback from elsewhere".into(), own);
        }
        // Asked once for each connection, not for each map.
        let others = Expressions::new().target_elsewhere().verdict(Verdict::Accept);
        list.add(chain, "only for this host".into(), others);
        for map in &MAPS {
            let way = Expressions::new().family(map.v6);
            // The kernel sends nothing from ::1 over a bridge: whoever asks there is refused at once.
            let way = if map.v6 {
                way.target_is_not_loopback6()
            } else {
                way
            };
            let way = way.redirect_by(map.name, map.by_address, map.v6);
            list.add(chain, map.name.into(), way);
        }
    }
    for (name, bridge) in &wanted.bridges {
        guard(&mut list, name, bridge);
        // Everything towards a bridge comes before anything away from one: a packet between two bridges meets the
        // drop of its target first.
        towards(&mut list, name, bridge, wanted);
        leave(&mut list, name, bridge);
    }
    for (name, bridge) in &wanted.bridges {
        let out = if bridge.internal {
            Verdict::Drop
        } else {
            Verdict::Accept
        };
        let rule = Expressions::new().arrives_by(name).verdict(out);
        list.add(FORWARD, format!("out of {name}"), rule);
    }
    list.rules
}

#[derive(Default)]
struct List {
    rules: Vec<Rule>,
}

impl List {
    fn add(&mut self, chain: &'static str, what: String, expressions: Expressions) {
        let expressions = expressions.finish();
        self.rules.push(Rule {
            chain,
            comment: format!("{what} {:08x}", digest(&expressions)),
            expressions,
        });
    }
}

fn guard(list: &mut List, name: &str, bridge: &BridgeRules) {
    let new = Expressions::new;
    // The address first: every packet comes here, and to compare names takes longer.
    let rule = new()
        .target_in(loopback())
        .arrives_by(name)
        .verdict(Verdict::Drop);
    list.add(GUARD, format!("no loopback from {name}"), rule);
    for subnet in &bridge.subnets {
        // Without masquerading, answers come in for the container's own address, and the chains behind this tell them
        // from questions.
        if subnet.mode != Mode::Nat || !(subnet.masquerade || bridge.internal) {
            continue;
        }
        for trusted in &bridge.trusted {
            let rule = new()
                .target_in(subnet.net)
                .arrives_by(trusted)
                .verdict(Verdict::Accept);
            list.add(GUARD, format!("{trusted} to {name}"), rule);
        }
        let rule = new()
            .target_in(subnet.net)
            .arrives_not_by(name)
            .verdict(Verdict::Drop);
        list.add(GUARD, format!("only by {name} to {}", subnet.net), rule);
    }
}

fn towards(list: &mut List, name: &str, bridge: &BridgeRules, wanted: &Rules) {
    let to = || Expressions::new().leaves_by(name);
    list.add(
        FORWARD,
        format!("answers to {name}"),
        to().established().verdict(Verdict::Accept),
    );
    for trusted in &bridge.trusted {
        let rule = to().arrives_by(trusted).verdict(Verdict::Accept);
        list.add(FORWARD, format!("{trusted} to {name}"), rule);
    }
    if !bridge.internal {
        list.add(
            FORWARD,
            format!("published by {name}"),
            to().redirected().verdict(Verdict::Accept),
        );
        for subnet in &bridge.subnets {
            let v6 = subnet.net.addr().is_ipv6();
            match subnet.mode {
                Mode::NatUnprotected => {
                    let rule = to().target_in(subnet.net).verdict(Verdict::Accept);
                    list.add(FORWARD, format!("all of {name}, {}", subnet.net), rule);
                }
                Mode::Routed => {
                    let rule = to().target_in(subnet.net).control(v6).verdict(Verdict::Accept);
                    list.add(
                        FORWARD,
                        format!("control messages to {name}, {}", subnet.net),
                        rule,
                    );
                }
                Mode::Nat | Mode::Isolated => {}
            }
        }
        for open in wanted.open.iter().filter(|open| open.bridge == name) {
            let rule = to()
                .target_in(open.address.into())
                .target_port(open.protocol, open.port)
                .verdict(Verdict::Accept);
            let what = format!("{} {}/{} of {name}", open.address, open.port, open.protocol);
            list.add(FORWARD, what, rule);
        }
    }
    let inside = if bridge.icc {
        Verdict::Accept
    } else {
        Verdict::Drop
    };
    let rule = to().arrives_by(name).verdict(inside);
    list.add(FORWARD, format!("inside {name}"), rule);
    list.add(
        FORWARD,
        format!("nothing else to {name}"),
        to().verdict(Verdict::Drop),
    );
}

fn leave(list: &mut List, name: &str, bridge: &BridgeRules) {
    let new = Expressions::new;
    for subnet in &bridge.subnets {
        let nat = matches!(subnet.mode, Mode::Nat | Mode::NatUnprotected);
        if subnet.masquerade && nat && !bridge.internal {
            let out = new().source_in(subnet.net).leaves_not_by(name);
            let out = match subnet.leave_as {
                Some(address) => out.leave_as(address),
                None => out.masquerade(),
            };
            list.add(LEAVE, format!("masquerade {name}, {}", subnet.net), out);
        }
        let own = new()
            .source_in(subnet.net)
            .leaves_by(name)
            .redirected()
            .masquerade();
        list.add(
            LEAVE,
            format!("{name} to its own published port, {}", subnet.net),
            own,
        );
    }
    let local = new()
        .source_in(loopback())
        .leaves_by(name)
        .redirected()
        .masquerade();
    list.add(LEAVE, format!("this host to {name}"), local);
}

fn loopback() -> IpNet {
    ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(127, 0, 0, 0), 8).into()
}

/// FNV-1a: it need only tell our own versions and another's handiwork apart.
fn digest(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use shoal_node_core_host::netplan::{BridgeRules, SubnetRules};

    use super::*;

    #[test]
    fn drops_towards_bridges_stand_before_accepts_away_from_them() {
        let mut wanted = Rules::default();
        for (name, subnet) in [("br-a", "10.1.0.0/16"), ("br-b", "10.2.0.0/16")] {
            let rules = BridgeRules {
                subnets: vec![SubnetRules {
                    net: subnet.parse().unwrap(),
                    mode: Mode::Nat,
                    masquerade: true,
                    leave_as: None,
                }],
                icc: true,
                ..BridgeRules::default()
            };
            wanted.bridges.insert(name.into(), rules);
        }
        let rules = rules(&wanted);
        let at = |what: &str| rules.iter().position(|r| r.comment.starts_with(what)).unwrap();
        assert!(at("nothing else to br-b") < at("out of br-a"));
        assert!(rules.iter().all(|r| r.comment.len() < 120));
        let mut comments: Vec<_> = rules.iter().map(|r| (r.chain, &r.comment)).collect();
        comments.sort();
        comments.dedup();
        assert_eq!(comments.len(), rules.len());
    }
}
