//! What is done with a packet.

use std::net::{IpAddr, Ipv6Addr};

use super::*;

const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const CT_MARK: u32 = 3;
const CT_ZONE: u32 = 17;
const ARPHRD_ETHER: u16 = 1;
const SOURCE_NAT: u32 = 0;
const TARGET_NAT: u32 = 1;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict {
    Drop = 0,
    Accept = 1,
}

impl Expressions {
    pub fn verdict(self, verdict: Verdict) -> Self {
        const REGISTER_VERDICT: u32 = 0;
        self.add("immediate", |data| {
            data.put_u32_be(1, REGISTER_VERDICT).nest(2, |value| {
                value.nest(DATA_VERDICT, |code| {
                    code.put_u32_be(VERDICT_CODE, verdict as u32);
                });
            });
        })
    }

    /// A TCP reset, or "port unreachable" for what is not TCP.
    pub fn refuse(self, tcp: bool) -> Self {
        /// In the words of either family.
        const UNREACHABLE: u32 = 2;
        const RESET: u32 = 1;
        const NO_PORT: u8 = 1;
        self.add("reject", |data| {
            data.put_u32_be(1, if tcp { RESET } else { UNREACHABLE })
                .put_u8(2, NO_PORT);
        })
    }

    /// The frame leaves by the interface that `map` names for the hardware address that it is for, as it is.
    pub fn leave_by_target(self, map: &str) -> Self {
        self.payload(BASE_LINK, 0, 6, REGISTER)
            .lookup(map, REGISTER, REGISTER)
            .add("fwd", |data| {
                data.put_u32_be(1, REGISTER);
            })
    }

    pub fn masquerade(self) -> Self {
        self.add("masq", |_| {})
    }

    /// Leaves with this source address.
    pub fn leave_as(self, address: IpAddr) -> Self {
        self.load(PART_0, &octets(address)).add("nat", |data| {
            data.put_u32_be(1, SOURCE_NAT)
                .put_u32_be(2, u32::from(nfproto(address.is_ipv6())))
                .put_u32_be(3, PART_0);
        })
    }

    /// Goes to this port of this address instead.
    pub fn redirect_to(self, address: IpAddr, port: u16) -> Self {
        self.load(PART_0, &octets(address))
            .load(behind(address.is_ipv6()), &port.to_be_bytes())
            .redirect(address.is_ipv6(), true)
    }

    /// Looks the packet's target up in a map and sends it where that says. `with_address` keys by address, protocol and
    /// port, else by protocol and port.
    pub fn redirect_by(self, map: &str, with_address: bool, v6: bool) -> Self {
        let (this, at) = match with_address {
            true => (self.target(v6), behind(v6)),
            false => (self, PART_0),
        };
        this.meta(META_L4PROTO, at)
            .payload(BASE_TRANSPORT, TRANSPORT_TARGET_PORT, 2, at + 1)
            .lookup(map, PART_0, PART_0)
            .redirect(v6, true)
    }

    /// Where `map` leads from the packet's target address and a number drawn below `count`.
    pub fn balance_address(self, map: &str, count: u32, v6: bool) -> Self {
        self.family(v6)
            .target(v6)
            .draw(count, behind(v6))
            .lookup(map, PART_0, PART_0)
            .redirect(v6, false)
    }

    /// Where `map` leads from the packet's protocol and port and a number drawn below `count`.
    pub fn balance_port(self, map: &str, count: u32, v6: bool) -> Self {
        self.family(v6)
            .meta(META_L4PROTO, PART_0)
            .payload(BASE_TRANSPORT, TRANSPORT_TARGET_PORT, 2, PART_1)
            .draw(count, PART_1 + 1)
            .lookup(map, PART_0, PART_0)
            .redirect(v6, true)
    }

    /// As [`Expressions::balance_port`], but what has a place in the map goes to this port of `::1`.
    pub fn relay_port(self, map: &str, count: u32, port: u16) -> Self {
        self.family(true)
            .meta(META_L4PROTO, PART_0)
            .payload(BASE_TRANSPORT, TRANSPORT_TARGET_PORT, 2, PART_1)
            .draw(count, PART_1 + 1)
            .lookup(map, PART_0, PART_0)
            .redirect_to(IpAddr::V6(Ipv6Addr::LOCALHOST), port)
    }

    /// Marks the connection with what `map` says of the hardware address that the packet came from.
    pub fn mark_connection_by_sender(self, map: &str) -> Self {
        self.meta(META_IIFTYPE, REGISTER)
            .compare(EQUAL, &ARPHRD_ETHER.to_ne_bytes())
            .payload(BASE_LINK, 6, 6, REGISTER)
            .lookup(map, REGISTER, REGISTER)
            .add("ct", |data| {
                data.put_u32_be(2, CT_MARK).put_u32_be(4, REGISTER);
            })
    }

    /// The packet's connection is one of those that `map` numbers for the hardware address that it came from: only their
    /// answers may not be confused with others'. Before connections are looked at.
    pub fn set_apart_by_sender(self, map: &str) -> Self {
        self.meta(META_IIFTYPE, REGISTER)
            .compare(EQUAL, &ARPHRD_ETHER.to_ne_bytes())
            .payload(BASE_LINK, 6, 6, REGISTER)
            .lookup(map, REGISTER, REGISTER)
            .add("ct", |data| {
                data.put_u32_be(2, CT_ZONE)
                    .put_u8(3, Direction::Original as u8)
                    .put_u32_be(4, REGISTER);
            })
    }

    /// Marks the packet as its connection is.
    pub fn mark_as_connection(self) -> Self {
        self.ct(CT_MARK).add("meta", |data| {
            data.put_u32_be(2, META_MARK).put_u32_be(3, REGISTER);
        })
    }

    /// The address lies in the first registers, the port, where there is one, behind it.
    fn redirect(self, v6: bool, with_port: bool) -> Self {
        self.add("nat", |data| {
            data.put_u32_be(1, TARGET_NAT)
                .put_u32_be(2, u32::from(nfproto(v6)))
                .put_u32_be(3, PART_0);
            if with_port {
                data.put_u32_be(5, behind(v6));
            }
        })
    }

    fn draw(self, below: u32, register: u32) -> Self {
        const RANDOM: u32 = 1;
        self.add("numgen", |data| {
            data.put_u32_be(1, register)
                .put_u32_be(2, below)
                .put_u32_be(3, RANDOM)
                .put_u32_be(4, 0);
        })
    }
}
