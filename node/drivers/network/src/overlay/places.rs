//! The node's own place on the ingress network, and how the kernel treats what comes over it.

use ipnet::IpNet;
use shoal_node_core_host::overlay::Ingress;

use super::{Walk, address, family};
use crate::error::Error;
use crate::expression::octets;
use crate::forwarding;
use crate::netlink::{Message, Request};

const HEAD_BYTES: usize = 8;
/// No address but the one that is given.
const SIX: [(&str, &str); 3] = [("accept_ra", "0"), ("addr_gen_mode", "1"), ("disable_ipv6", "0")];
/// Nobody else has it: the cluster gave it, and nobody is asked.
const NO_DAD: u8 = 2;
const CREATE: u16 = libc::NLM_F_CREATE as u16 | libc::NLM_F_REPLACE as u16;

impl Walk<'_> {
    pub(super) fn switches(&mut self, ingress: &Ingress) {
        let v4 = [
            // A client's address comes in over it though the way to the client is another.
            ("ipv4", "rp_filter", "2"),
            ("ipv4", "forwarding", "1"),
            ("ipv4", "route_localnet", "1"),
        ];
        for (family, switch, value) in v4 {
            self.switch(&ingress.bridge, family, switch, value);
        }
        if ingress.address6.is_some() {
            self.speak_six(&ingress.bridge);
        }
        self.forward_six(ingress);
    }

    /// Only once somebody may come by it: who forwards is a router to others.
    pub(super) fn forward_six(&mut self, ingress: &Ingress) {
        if ingress.address6.is_some() && self.change && !ingress.balance.is_empty() {
            match forwarding::enable_v6() {
                Ok(false) => {}
                Ok(true) => self.found.push("switch forwarding of IPv6 on".into()),
                // A kernel without IPv6 has nobody come by it.
                Err(_) => {}
            }
        }
    }

    /// The interface answers for addresses of IPv6, and has none itself.
    pub(super) fn speak_six(&mut self, link: &str) {
        for (switch, value) in SIX {
            self.switch(link, "ipv6", switch, value);
        }
    }

    pub(super) fn switch(&mut self, link: &str, family: &str, switch: &str, value: &str) {
        let file = format!("/proc/sys/net/{family}/conf/{link}/{switch}");
        if std::fs::read_to_string(&file).is_ok_and(|now| now.trim() != value) {
            let what = format!("set {switch} of {link} to {value}");
            if self.change
                && let Err(e) = std::fs::write(&file, value)
            {
                self.fail(Error::io(what.clone(), e));
            }
            self.found.push(what);
        }
    }

    pub(super) fn addresses(&mut self, ingress: &Ingress, index: u32) {
        let scope = libc::RT_SCOPE_UNIVERSE;
        self.address(&ingress.bridge, index, ingress.address.into(), scope);
        if let Some(address) = ingress.address6 {
            self.address(&ingress.bridge, index, address.into(), scope);
        }
    }

    /// The interface has this address and, of its family, no other but the link's own.
    pub(super) fn address(&mut self, name: &str, index: u32, wanted: IpNet, scope: u8) {
        let mut head = [0; HEAD_BYTES];
        head[0] = family(wanted.addr().is_ipv6());
        let build = |request: &mut Request| {
            request.begin(libc::RTM_GETADDR, 0, &head);
        };
        let there = match self.socket.dump(build, "list addresses") {
            Ok(messages) => messages,
            Err(error) => return self.fail(error),
        };
        let parse = |m: &Message| {
            let attributes = m.attributes(HEAD_BYTES);
            let bytes = attributes
                .get(libc::IFA_LOCAL)
                .or_else(|| attributes.get(libc::IFA_ADDRESS))?;
            IpNet::new(address(bytes)?, *m.body.get(1)?).ok()
        };
        let there: Vec<IpNet> = there
            .iter()
            .filter(|m| m.u32(4) == Some(index))
            .filter_map(parse)
            .filter(|net| !is_of_link(net))
            .collect();
        let mut head = |net: &IpNet| {
            head[1] = net.prefix_len();
            head[2] = if net.addr().is_ipv6() { NO_DAD } else { 0 };
            head[3] = scope;
            head[4..8].copy_from_slice(&index.to_ne_bytes());
            head
        };
        for other in there.iter().filter(|net| **net != wanted) {
            let mut request = Request::new();
            request.begin(libc::RTM_DELADDR, 0, &head(other));
            request.put(libc::IFA_LOCAL, &octets(other.addr()));
            self.differs(format!("remove address {other} from {name}"), &mut request);
        }
        if !there.contains(&wanted) {
            let bytes = octets(wanted.addr());
            let mut request = Request::new();
            request.begin(libc::RTM_NEWADDR, CREATE, &head(&wanted));
            request
                .put(libc::IFA_LOCAL, &bytes)
                .put(libc::IFA_ADDRESS, &bytes);
            self.differs(format!("give {name} the address {wanted}"), &mut request);
        }
    }
}

fn is_of_link(net: &IpNet) -> bool {
    match net {
        IpNet::V4(_) => false,
        IpNet::V6(net) => net.addr().is_unicast_link_local(),
    }
}
