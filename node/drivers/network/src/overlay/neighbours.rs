//! Who is where: the forwarding table of a VXLAN interface, and the addresses that an interface knows.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use shoal_node_core_host::overlay::Segment;

use super::Walk;
use crate::expression::octets;
use crate::netlink::{Message, Request};

const HEAD_BYTES: usize = 12;
const DST: u16 = 1;
const LLADDR: u16 = 2;
const SELF: u8 = 2;
const PERMANENT: u16 = 0x80;
const NO_ARP: u16 = 0x40;
const AF_BRIDGE: u8 = 7;
const CREATE: u16 = libc::NLM_F_CREATE as u16 | libc::NLM_F_REPLACE as u16;

type Mac = [u8; 6];

impl Walk<'_> {
    /// To which node a VXLAN interface sends what is for a hardware address.
    pub(super) fn forwarding(&mut self, segment: &Segment, index: u32) {
        let there = match self.listed(AF_BRIDGE, index, &segment.vxlan) {
            Ok(messages) => messages,
            Err(error) => return self.fail(error),
        };
        let parse = |m: &Message| -> Option<(Mac, Ipv4Addr)> {
            let attributes = m.attributes(HEAD_BYTES);
            let dst: [u8; 4] = attributes.get(DST)?.try_into().ok()?;
            Some((attributes.get(LLADDR)?.try_into().ok()?, dst.into()))
        };
        // A bridge's own table has no addresses of nodes in it.
        let there: Vec<(Mac, Ipv4Addr)> = there.iter().filter_map(parse).collect();
        for (mac, addr) in &there {
            if segment.forwarding.get(mac) != Some(addr) {
                let mut request = Request::new();
                request.begin(libc::RTM_DELNEIGH, 0, &head(AF_BRIDGE, index, PERMANENT, SELF));
                request.put(LLADDR, mac).put(DST, &addr.octets());
                self.differs(
                    format!("remove {} by {addr} from {}", text(mac), segment.vxlan),
                    &mut request,
                );
            }
        }
        for (mac, addr) in &segment.forwarding {
            if !there.contains(&(*mac, *addr)) {
                let mut request = Request::new();
                request.begin(
                    libc::RTM_NEWNEIGH,
                    CREATE,
                    &head(AF_BRIDGE, index, PERMANENT | NO_ARP, SELF),
                );
                request.put(LLADDR, mac).put(DST, &addr.octets());
                self.differs(
                    format!("send {} by {addr} on {}", text(mac), segment.vxlan),
                    &mut request,
                );
            }
        }
    }

    /// Which hardware address an IP address has on an interface. Entries that the kernel learned are left to it, but for
    /// those of addresses that are planned otherwise.
    pub(super) fn neighbours(&mut self, name: &str, index: u32, planned: &BTreeMap<IpAddr, Mac>) {
        for v6 in [false, true] {
            let planned: BTreeMap<IpAddr, Mac> = planned
                .iter()
                .filter(|(address, _)| address.is_ipv6() == v6)
                .map(|(address, mac)| (*address, *mac))
                .collect();
            self.neighbours_of(name, index, &planned, v6);
        }
    }

    fn neighbours_of(&mut self, name: &str, index: u32, planned: &BTreeMap<IpAddr, Mac>, v6: bool) {
        let family = super::family(v6);
        let there = match self.listed(family, index, name) {
            Ok(messages) => messages,
            // A kernel without IPv6 has none of it.
            Err(_) if v6 && planned.is_empty() => return,
            Err(error) => return self.fail(error),
        };
        let parse = |m: &Message| -> Option<(IpAddr, Mac, bool)> {
            let attributes = m.attributes(HEAD_BYTES);
            let state = u16::from_ne_bytes(m.body.get(8..10)?.try_into().ok()?);
            let mac = attributes
                .get(LLADDR)
                .and_then(|v| v.try_into().ok())
                .unwrap_or([0; 6]);
            Some((super::address(attributes.get(DST)?)?, mac, state & PERMANENT != 0))
        };
        let there: BTreeMap<IpAddr, (Mac, bool)> = there
            .iter()
            .filter_map(parse)
            .map(|(address, mac, permanent)| (address, (mac, permanent)))
            .collect();
        for (address, (_, permanent)) in &there {
            if *permanent && !planned.contains_key(address) {
                let mut request = Request::new();
                request.begin(libc::RTM_DELNEIGH, 0, &head(family, index, 0, 0));
                request.put(DST, &octets(*address));
                self.differs(format!("remove {address} from {name}"), &mut request);
            }
        }
        for (address, mac) in planned {
            if there.get(address) != Some(&(*mac, true)) {
                let mut request = Request::new();
                request.begin(libc::RTM_NEWNEIGH, CREATE, &head(family, index, PERMANENT, 0));
                request.put(DST, &octets(*address)).put(LLADDR, mac);
                self.differs(
                    format!("answer {address} with {} on {name}", text(mac)),
                    &mut request,
                );
            }
        }
    }

    fn listed(&mut self, family: u8, index: u32, name: &str) -> crate::Result<Vec<Message>> {
        let build = |request: &mut Request| {
            request.begin(libc::RTM_GETNEIGH, 0, &head(family, 0, 0, 0));
        };
        let mut all = self.socket.dump(build, &format!("list what {name} knows"))?;
        all.retain(|m| m.u32(4) == Some(index));
        Ok(all)
    }
}

/// `struct ndmsg`
fn head(family: u8, index: u32, state: u16, flags: u8) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[0] = family;
    head[4..8].copy_from_slice(&index.to_ne_bytes());
    head[8..10].copy_from_slice(&state.to_ne_bytes());
    head[10] = flags;
    head
}

fn text(mac: &Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
