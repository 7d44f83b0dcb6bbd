//! The parts of a rule. Each test breaks off the rule when it fails; what stands last is done.

use std::net::IpAddr;

use ipnet::IpNet;
use shoal_node_core_host::netplan::Protocol;

use crate::netlink::Request;

const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
pub(super) const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;

/// Sixteen-byte register, and the four-byte ones that lie in a row.
const REGISTER: u32 = 1;
const PART_0: u32 = 8;
const PART_1: u32 = 9;
const PART_2: u32 = 10;
/// Behind an IPv6 address, which fills four of them.
const PART_4: u32 = 12;
const PART_5: u32 = 13;

const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;
const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_ICMP6: u8 = 58;
const BASE_NETWORK: u32 = 1;
const BASE_TRANSPORT: u32 = 2;
const IP_SOURCE: u32 = 12;
const IP_TARGET: u32 = 16;
const IP6_SOURCE: u32 = 8;
const IP6_TARGET: u32 = 24;
const TRANSPORT_TARGET_PORT: u32 = 2;
const CT_STATE: u32 = 0;
const CT_STATUS: u32 = 2;
const STATE_ESTABLISHED: u32 = 2;
const STATE_RELATED: u32 = 4;
const STATUS_DNAT: u32 = 0x20;
const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;
const INTERFACE_BYTES: usize = 16;

#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    Drop = 0,
    Accept = 1,
}

/// A rule that is being written.
#[derive(Debug)]
pub(super) struct Expressions(Request);

impl Expressions {
    pub fn new() -> Expressions {
        Expressions(Request::new())
    }

    pub fn finish(self) -> Vec<u8> {
        self.0.into_attributes()
    }

    pub fn arrives_by(self, name: &str) -> Self {
        self.meta(META_IIFNAME, REGISTER).compare(EQUAL, &interface(name))
    }

    pub fn leaves_by(self, name: &str) -> Self {
        self.meta(META_OIFNAME, REGISTER).compare(EQUAL, &interface(name))
    }

    pub fn leaves_not_by(self, name: &str) -> Self {
        self.meta(META_OIFNAME, REGISTER)
            .compare(NOT_EQUAL, &interface(name))
    }

    pub fn arrives_not_by(self, name: &str) -> Self {
        self.meta(META_IIFNAME, REGISTER)
            .compare(NOT_EQUAL, &interface(name))
    }

    pub fn family(self, v6: bool) -> Self {
        self.meta(META_NFPROTO, REGISTER).compare(EQUAL, &[nfproto(v6)])
    }

    pub fn source_in(self, net: IpNet) -> Self {
        self.address_in(IP_SOURCE, IP6_SOURCE, net)
    }

    pub fn target_in(self, net: IpNet) -> Self {
        self.address_in(IP_TARGET, IP6_TARGET, net)
    }

    pub fn target_is_not_loopback6(self) -> Self {
        self.payload(BASE_NETWORK, IP6_TARGET, 16, REGISTER)
            .compare(NOT_EQUAL, &std::net::Ipv6Addr::LOCALHOST.octets())
    }

    /// Pings and what the protocol itself has to say.
    pub fn control(self, v6: bool) -> Self {
        self.transport(if v6 { PROTOCOL_ICMP6 } else { PROTOCOL_ICMP })
    }

    pub fn target_port(self, protocol: Protocol, port: u16) -> Self {
        self.transport(protocol.number())
            .payload(BASE_TRANSPORT, TRANSPORT_TARGET_PORT, 2, REGISTER)
            .compare(EQUAL, &port.to_be_bytes())
    }

    fn transport(self, number: u8) -> Self {
        self.meta(META_L4PROTO, REGISTER).compare(EQUAL, &[number])
    }

    /// The packet is for the host itself.
    pub fn target_local(self) -> Self {
        const ADDRESS_TYPE: u32 = 3;
        const OF_TARGET: u32 = 2;
        const LOCAL: u32 = libc::RTN_LOCAL as u32;
        self.add("fib", |data| {
            data.put_u32_be(1, REGISTER)
                .put_u32_be(2, ADDRESS_TYPE)
                .put_u32_be(3, OF_TARGET);
        })
        .compare(EQUAL, &LOCAL.to_ne_bytes())
    }

    pub fn established(self) -> Self {
        self.track(CT_STATE, STATE_ESTABLISHED | STATE_RELATED)
    }

    /// The connection came in over a published port.
    pub fn redirected(self) -> Self {
        self.track(CT_STATUS, STATUS_DNAT)
    }

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

    pub fn masquerade(self) -> Self {
        self.add("masq", |_| {})
    }

    /// Leaves with this source address.
    pub fn leave_as(self, address: IpAddr) -> Self {
        const SOURCE: u32 = 0;
        self.load(PART_0, &octets(address)).add("nat", |data| {
            data.put_u32_be(1, SOURCE)
                .put_u32_be(2, u32::from(nfproto(address.is_ipv6())))
                .put_u32_be(3, PART_0);
        })
    }

    /// Goes to this port of this address instead.
    pub fn redirect_to(self, address: IpAddr, port: u16) -> Self {
        let behind = if address.is_ipv6() { PART_4 } else { PART_1 };
        self.load(PART_0, &octets(address))
            .load(behind, &port.to_be_bytes())
            .redirect(address.is_ipv6())
    }

    /// Looks the packet's target up in a map and sends it where that says. `with_address` keys by address, protocol and
    /// port, else by protocol and port.
    pub fn redirect_by(self, map: &str, with_address: bool, v6: bool) -> Self {
        let (target, length, behind, last) = if v6 {
            (IP6_TARGET, 16, PART_4, PART_5)
        } else {
            (IP_TARGET, 4, PART_1, PART_2)
        };
        let keyed = if with_address {
            self.payload(BASE_NETWORK, target, length, PART_0)
                .meta(META_L4PROTO, behind)
                .payload(BASE_TRANSPORT, TRANSPORT_TARGET_PORT, 2, last)
        } else {
            self.meta(META_L4PROTO, PART_0)
                .payload(BASE_TRANSPORT, TRANSPORT_TARGET_PORT, 2, PART_1)
        };
        keyed
            .add("lookup", |data| {
                data.put_text(1, map).put_u32_be(2, PART_0).put_u32_be(3, PART_0);
            })
            .redirect(v6)
    }

    /// The address lies in the first registers, the port behind it.
    fn redirect(self, v6: bool) -> Self {
        const TARGET: u32 = 1;
        self.add("nat", |data| {
            data.put_u32_be(1, TARGET)
                .put_u32_be(2, u32::from(nfproto(v6)))
                .put_u32_be(3, PART_0)
                .put_u32_be(5, if v6 { PART_4 } else { PART_1 });
        })
    }

    fn load(self, register: u32, value: &[u8]) -> Self {
        self.add("immediate", |data| {
            data.put_u32_be(1, register).nest(2, |nested| {
                nested.put(DATA_VALUE, value);
            });
        })
    }

    fn address_in(self, offset: u32, offset6: u32, net: IpNet) -> Self {
        let v6 = net.addr().is_ipv6();
        let this = if v6 {
            self.family(v6).payload(BASE_NETWORK, offset6, 16, REGISTER)
        } else {
            self.family(v6).payload(BASE_NETWORK, offset, 4, REGISTER)
        };
        let this = if net.prefix_len() < net.max_prefix_len() {
            this.mask(&octets(net.netmask()))
        } else {
            this
        };
        this.compare(EQUAL, &octets(net.network()))
    }

    fn track(self, key: u32, bits: u32) -> Self {
        self.add("ct", |data| {
            data.put_u32_be(1, REGISTER).put_u32_be(2, key);
        })
        .mask(&bits.to_ne_bytes())
        .compare(NOT_EQUAL, &[0; 4])
    }

    fn meta(self, key: u32, register: u32) -> Self {
        self.add("meta", |data| {
            data.put_u32_be(1, register).put_u32_be(2, key);
        })
    }

    fn payload(self, base: u32, offset: u32, length: u32, register: u32) -> Self {
        self.add("payload", |data| {
            data.put_u32_be(1, register)
                .put_u32_be(2, base)
                .put_u32_be(3, offset)
                .put_u32_be(4, length);
        })
    }

    fn mask(self, mask: &[u8]) -> Self {
        self.add("bitwise", |data| {
            data.put_u32_be(1, REGISTER)
                .put_u32_be(2, REGISTER)
                .put_u32_be(3, mask.len() as u32)
                .nest(4, |value| {
                    value.put(DATA_VALUE, mask);
                })
                .nest(5, |value| {
                    value.put(DATA_VALUE, &vec![0; mask.len()]);
                });
        })
    }

    fn compare(self, operator: u32, with: &[u8]) -> Self {
        self.add("cmp", |data| {
            data.put_u32_be(1, REGISTER)
                .put_u32_be(2, operator)
                .nest(3, |value| {
                    value.put(DATA_VALUE, with);
                });
        })
    }

    fn add(mut self, name: &str, data: impl FnOnce(&mut Request)) -> Self {
        self.0.nest(LIST_ELEMENT, |element| {
            element
                .put_text(EXPRESSION_NAME, name)
                .nest(EXPRESSION_DATA, data);
        });
        self
    }
}

fn nfproto(v6: bool) -> u8 {
    if v6 { NFPROTO_IPV6 } else { NFPROTO_IPV4 }
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn interface(name: &str) -> [u8; INTERFACE_BYTES] {
    let mut bytes = [0; INTERFACE_BYTES];
    for (to, from) in bytes.iter_mut().zip(name.bytes().take(INTERFACE_BYTES - 1)) {
        *to = from;
    }
    bytes
}
