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
const LINK: u16 = 8;
const SELF: u8 = 2;
const PERMANENT: u16 = 0x80;
const NO_ARP: u16 = 0x40;
const AF_BRIDGE: u8 = 7;
const CREATE: u16 = libc::NLM_F_CREATE as u16 | libc::NLM_F_REPLACE as u16;

type Mac = [u8; 6];

/// What all interfaces know, read at once: by interface, one table for each family.
pub(super) struct Entries {
    bridge: Listed,
    four: Listed,
    six: Option<Listed>,
}

type Listed = BTreeMap<u32, Vec<Message>>;

impl Walk<'_> {
    /// Read after the interfaces were made; nothing when the kernel does not tell.
    pub(super) fn entries(&mut self) -> Option<Entries> {
        let read = |walk: &mut Self| -> crate::Result<Entries> {
            Ok(Entries {
                bridge: walk.listed(AF_BRIDGE)?,
                four: walk.listed(super::family(false))?,
                // A kernel without IPv6 has none of it.
                six: walk.listed(super::family(true)).ok(),
            })
        };
        read(self).map_err(|error| self.fail(error)).ok()
    }

    /// To which node a VXLAN interface sends what is for a hardware address, and by which link if not as the routes say:
    /// an entry without a link would leave plain.
    pub(super) fn forwarding(&mut self, segment: &Segment, index: u32, by: Option<u32>, entries: &Entries) {
        let there = entries.bridge.get(&index).map(Vec::as_slice).unwrap_or_default();
        let parse = |m: &Message| -> Option<(Mac, Ipv4Addr, Option<u32>)> {
            let attributes = m.attributes(HEAD_BYTES);
            let dst: [u8; 4] = attributes.get(DST)?.try_into().ok()?;
            let mac = attributes.get(LLADDR)?.try_into().ok()?;
            Some((mac, dst.into(), attributes.u32(LINK)))
        };
        // A bridge's own table has no addresses of nodes in it.
        let there: Vec<(Mac, Ipv4Addr, Option<u32>)> = there.iter().filter_map(parse).collect();
        for (mac, addr, link) in &there {
            if segment.forwarding.get(mac) != Some(addr) || *link != by {
                self.stop_sending(&segment.vxlan, index, mac, Some((*addr, *link)));
            }
        }
        for (mac, addr) in &segment.forwarding {
            if !there.contains(&(*mac, *addr, by)) {
                self.send_by(&segment.vxlan, index, mac, (*addr, by));
            }
        }
    }

    /// Frames for this hardware address go to that node.
    pub(super) fn send_by(
        &mut self,
        vxlan: &str,
        index: u32,
        mac: &Mac,
        (addr, by): (Ipv4Addr, Option<u32>),
    ) {
        let mut request = Request::new();
        request.begin(
            libc::RTM_NEWNEIGH,
            CREATE,
            &head(AF_BRIDGE, index, PERMANENT | NO_ARP, SELF),
        );
        request.put(LLADDR, mac).put(DST, &addr.octets());
        if let Some(link) = by {
            request.put_u32(LINK, link);
        }
        self.differs(format!("send {} by {addr} on {vxlan}", text(mac)), &mut request);
    }

    /// Nor to that one, if one is named, any more.
    pub(super) fn stop_sending(
        &mut self,
        vxlan: &str,
        index: u32,
        mac: &Mac,
        by: Option<(Ipv4Addr, Option<u32>)>,
    ) {
        let mut request = Request::new();
        request.begin(libc::RTM_DELNEIGH, 0, &head(AF_BRIDGE, index, PERMANENT, SELF));
        request.put(LLADDR, mac);
        if let Some((addr, link)) = by {
            request.put(DST, &addr.octets());
            if let Some(link) = link {
                request.put_u32(LINK, link);
            }
        }
        self.differs(format!("remove {} from {vxlan}", text(mac)), &mut request);
    }

    /// Which hardware address an IP address has on an interface. Entries that the kernel learned are left to it, but for
    /// those of addresses that are planned otherwise.
    pub(super) fn neighbours(
        &mut self,
        name: &str,
        index: u32,
        planned: &BTreeMap<IpAddr, Mac>,
        entries: &Entries,
    ) {
        for v6 in [false, true] {
            let planned: BTreeMap<IpAddr, Mac> = planned
                .iter()
                .filter(|(address, _)| address.is_ipv6() == v6)
                .map(|(address, mac)| (*address, *mac))
                .collect();
            let listed = match v6 {
                false => Some(&entries.four),
                true => entries.six.as_ref(),
            };
            let there = listed.and_then(|all| all.get(&index)).map(Vec::as_slice);
            self.neighbours_of((name, index), &planned, there.unwrap_or_default());
        }
    }

    fn neighbours_of(
        &mut self,
        (name, index): (&str, u32),
        planned: &BTreeMap<IpAddr, Mac>,
        there: &[Message],
    ) {
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
                self.stop_answering(name, index, *address);
            }
        }
        for (address, mac) in planned {
            if there.get(address) != Some(&(*mac, true)) {
                self.answer(name, index, *address, mac);
            }
        }
    }

    /// This IP address has that hardware address on the interface.
    pub(super) fn answer(&mut self, name: &str, index: u32, address: IpAddr, mac: &Mac) {
        let family = super::family(address.is_ipv6());
        let mut request = Request::new();
        request.begin(libc::RTM_NEWNEIGH, CREATE, &head(family, index, PERMANENT, 0));
        request.put(DST, &octets(address)).put(LLADDR, mac);
        self.differs(
            format!("answer {address} with {} on {name}", text(mac)),
            &mut request,
        );
    }

    pub(super) fn stop_answering(&mut self, name: &str, index: u32, address: IpAddr) {
        let family = super::family(address.is_ipv6());
        let mut request = Request::new();
        request.begin(libc::RTM_DELNEIGH, 0, &head(family, index, 0, 0));
        request.put(DST, &octets(address));
        self.differs(format!("remove {address} from {name}"), &mut request);
    }

    fn listed(&mut self, family: u8) -> crate::Result<Listed> {
        let build = |request: &mut Request| {
            request.begin(libc::RTM_GETNEIGH, 0, &head(family, 0, 0, 0));
        };
        let mut listed = Listed::new();
        for message in self.socket.dump(build, "list what the interfaces know")? {
            if let Some(index) = message.u32(4) {
                listed.entry(index).or_default().push(message);
            }
        }
        Ok(listed)
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
