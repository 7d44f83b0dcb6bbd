//! Which chains and rules the table has.
//!
//! ```text
//!   prerouting  raw      what comes over a bridge for 127.0.0.0/8 is dropped: route_localnet would let it in
//!   prerouting  dstnat ┐ for the host itself and in a map of published ports: to the container
//!   output      dstnat ┘
//!   forward     filter   to a bridge: answers, published ports, own bridge; all else is dropped. from a bridge: out
//!   postrouting srcnat   from a subnet to elsewhere: the host's address. To a published port of the own bridge, or from
//!                        127.0.0.1: the bridge's address, so that answers come back this way
//! ```

use shoal_node_core_host::netplan::Rules;

use super::elements::{MAP_ANY, MAP_BY_ADDRESS};
use super::expression::{Expressions, Verdict};

#[derive(Debug)]
pub(super) struct Chain {
    pub name: &'static str,
    pub kind: &'static str,
    pub hook: u32,
    pub priority: i32,
}

const HOOK_PREROUTING: u32 = 0;
const HOOK_FORWARD: u32 = 2;
const HOOK_OUTPUT: u32 = 3;
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
    let new = Expressions::new;
    let loopback = ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(127, 0, 0, 0), 8);
    let mut list = Vec::new();
    let mut add = |chain: &'static str, what: String, expressions: Expressions| {
        let expressions = expressions.finish();
        list.push(Rule {
            chain,
            comment: format!("{what} {:08x}", digest(&expressions)),
            expressions,
        });
    };

    for chain in [ARRIVE, LOCAL] {
        add(
            chain,
            "published on an address".into(),
            new().ipv4().target_local().redirect_by(MAP_BY_ADDRESS, true),
        );
        add(
            chain,
            "published".into(),
            new().ipv4().target_local().redirect_by(MAP_ANY, false),
        );
    }
    for (name, bridge) in &wanted.bridges {
        add(
            GUARD,
            format!("no loopback from {name}"),
            new().arrives_by(name).target_in(loopback).verdict(Verdict::Drop),
        );

        // Everything towards a bridge comes before anything away from one: a packet between two bridges meets the
        // drop of its target first.
        add(
            FORWARD,
            format!("answers to {name}"),
            new().leaves_by(name).established().verdict(Verdict::Accept),
        );
        if !bridge.internal {
            add(
                FORWARD,
                format!("published by {name}"),
                new().leaves_by(name).redirected().verdict(Verdict::Accept),
            );
        }
        let inside = if bridge.icc {
            Verdict::Accept
        } else {
            Verdict::Drop
        };
        add(
            FORWARD,
            format!("inside {name}"),
            new().arrives_by(name).leaves_by(name).verdict(inside),
        );
        add(
            FORWARD,
            format!("nothing else to {name}"),
            new().leaves_by(name).verdict(Verdict::Drop),
        );

        if bridge.masquerade && !bridge.internal {
            let out = new().source_in(bridge.subnet).leaves_not_by(name).masquerade();
            add(LEAVE, format!("masquerade {name}"), out);
        }
        let own = new()
            .source_in(bridge.subnet)
            .leaves_by(name)
            .redirected()
            .masquerade();
        add(LEAVE, format!("{name} to its own published port"), own);
        let local = new()
            .source_in(loopback)
            .leaves_by(name)
            .redirected()
            .masquerade();
        add(LEAVE, format!("this host to {name}"), local);
    }
    for (name, bridge) in &wanted.bridges {
        let out = if bridge.internal {
            Verdict::Drop
        } else {
            Verdict::Accept
        };
        add(
            FORWARD,
            format!("out of {name}"),
            new().arrives_by(name).verdict(out),
        );
    }
    list
}

/// FNV-1a: it need only tell our own versions and another's handiwork apart.
fn digest(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use shoal_node_core_host::netplan::BridgeRules;

    use super::*;

    #[test]
    fn drops_towards_bridges_stand_before_accepts_away_from_them() {
        let mut wanted = Rules::default();
        for (name, subnet) in [("br-a", "10.1.0.0/16"), ("br-b", "10.2.0.0/16")] {
            let rules = BridgeRules {
                subnet: subnet.parse().unwrap(),
                internal: false,
                masquerade: true,
                icc: true,
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
