//! The way to the resolver inside of a container: what is sent to 127.0.0.11, port 53, goes to the ports that the resolver
//! really has. It cannot have 53 itself, for a container that serves names on all its addresses could not start.

use std::net::Ipv4Addr;

use shoal_node_core_host::netplan::Protocol;

use super::message;
use super::ruleset::{Chain, HOOK_OUTPUT, Rule};
use crate::error::Result;
use crate::expression::Expressions;
use crate::netlink::{Request, Socket};

const TABLE: &str = "shoal-resolver";
const PORT: u16 = 53;
const CHAIN: Chain = Chain {
    name: "out",
    kind: "nat",
    hook: HOOK_OUTPUT,
    priority: -100,
};

/// `socket` is of the container's namespace. What an earlier daemon made is replaced.
pub(crate) fn lead_to_resolver(socket: &mut Socket, address: Ipv4Addr, udp: u16, tcp: u16) -> Result<()> {
    let mut request = Request::new();
    message::begin_batch(&mut request);
    message::add_table(&mut request, TABLE);
    message::delete_table(&mut request, TABLE);
    message::add_table(&mut request, TABLE);
    message::add_chain(&mut request, TABLE, &CHAIN);
    let net = ipnet::IpNet::from(std::net::IpAddr::from(address));
    for (protocol, port) in [(Protocol::Udp, udp), (Protocol::Tcp, tcp)] {
        let expressions = Expressions::new()
            .target_in(net)
            .target_port(protocol, PORT)
            .redirect_to(address.into(), port);
        let rule = Rule {
            chain: CHAIN.name,
            comment: format!("names over {protocol}"),
            expressions: expressions.finish(),
        };
        message::add_rule(&mut request, TABLE, &rule);
    }
    message::end_batch(&mut request);
    socket.transact(&mut request, |_| "lead to the resolver".into())
}
