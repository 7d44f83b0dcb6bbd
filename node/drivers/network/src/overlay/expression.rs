//! The parts of a rule, as far as cluster networks need them.

use crate::netlink::Request;

const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
pub(super) const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
/// Sixteen-byte register, and the four-byte ones in a row.
const REGISTER: u32 = 1;
const PART: [u32; 3] = [8, 9, 10];
const META_MARK: u32 = 3;
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_IIFTYPE: u32 = 8;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;
const NFPROTO_IPV4: u8 = 2;
const BASE_LINK: u32 = 0;
const BASE_NETWORK: u32 = 1;
const BASE_TRANSPORT: u32 = 2;
const CT_DIRECTION: u32 = 1;
const CT_STATUS: u32 = 2;
const CT_MARK: u32 = 3;
const STATUS_DNAT: u32 = 0x20;
const ARPHRD_ETHER: u16 = 1;
const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;
const DNAT: u32 = 1;

#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    Drop = 0,
}

/// What a connection's direction is: that of its first packet, or the other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Direction {
    Original = 0,
    Reply = 1,
}

/// A rule that is being written. Each test breaks off the rule when it fails.
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

    pub fn arrives_not_by(self, name: &str) -> Self {
        self.meta(META_IIFNAME, REGISTER)
            .compare(NOT_EQUAL, &interface(name))
    }

    pub fn leaves_by(self, name: &str) -> Self {
        self.meta(META_OIFNAME, REGISTER).compare(EQUAL, &interface(name))
    }

    pub fn leaves_not_by(self, name: &str) -> Self {
        self.meta(META_OIFNAME, REGISTER)
            .compare(NOT_EQUAL, &interface(name))
    }

    pub fn ipv4(self) -> Self {
        self.meta(META_NFPROTO, REGISTER).compare(EQUAL, &[NFPROTO_IPV4])
    }

    pub fn protocol(self, number: u8) -> Self {
        self.meta(META_L4PROTO, REGISTER).compare(EQUAL, &[number])
    }

    /// An ICMP message of this type.
    pub fn icmp(self, kind: u8) -> Self {
        self.protocol(libc::IPPROTO_ICMP as u8)
            .payload(BASE_TRANSPORT, 0, 1, REGISTER)
            .compare(EQUAL, &[kind])
    }

    pub fn direction(self, direction: Direction) -> Self {
        self.ct(CT_DIRECTION).compare(EQUAL, &[direction as u8])
    }

    /// The connection was not sent on from somewhere else.
    pub fn not_redirected(self) -> Self {
        self.ct(CT_STATUS)
            .mask(&STATUS_DNAT.to_ne_bytes())
            .compare(EQUAL, &[0; 4])
    }

    /// 127.0.0.0/8
    pub fn source_loopback(self) -> Self {
        self.ipv4()
            .payload(BASE_NETWORK, 12, 1, REGISTER)
            .compare(EQUAL, &[127])
    }

    /// The packet is for the host itself.
    pub fn target_local(self) -> Self {
        const ADDRESS_TYPE: u32 = 3;
        const OF_TARGET: u32 = 2;
        self.add("fib", |data| {
            data.put_u32_be(1, REGISTER)
                .put_u32_be(2, ADDRESS_TYPE)
                .put_u32_be(3, OF_TARGET);
        })
        .compare(EQUAL, &u32::from(libc::RTN_LOCAL).to_ne_bytes())
    }

    /// Where `map` leads from the packet's target address and a number drawn below `count`.
    pub fn balance_address(self, map: &str, count: u32) -> Self {
        self.ipv4()
            .payload(BASE_NETWORK, 16, 4, PART[0])
            .draw(count, PART[1])
            .lookup(map, PART[0], PART[0])
            .add("nat", |data| {
                data.put_u32_be(1, DNAT)
                    .put_u32_be(2, u32::from(NFPROTO_IPV4))
                    .put_u32_be(3, PART[0]);
            })
    }

    /// Where `map` leads from the packet's protocol and port and a number drawn below `count`.
    pub fn balance_port(self, map: &str, count: u32) -> Self {
        self.ipv4()
            .meta(META_L4PROTO, PART[0])
            .payload(BASE_TRANSPORT, 2, 2, PART[1])
            .draw(count, PART[2])
            .lookup(map, PART[0], PART[0])
            .add("nat", |data| {
                data.put_u32_be(1, DNAT)
                    .put_u32_be(2, u32::from(NFPROTO_IPV4))
                    .put_u32_be(3, PART[0])
                    .put_u32_be(5, PART[1]);
            })
    }

    /// The packet's target address is in `set`.
    pub fn target_in(self, set: &str) -> Self {
        self.ipv4()
            .payload(BASE_NETWORK, 16, 4, PART[0])
            .add("lookup", |data| {
                data.put_text(1, set).put_u32_be(2, PART[0]);
            })
    }

    /// The packet's protocol and port are in `set`.
    pub fn port_in(self, set: &str) -> Self {
        self.ipv4()
            .meta(META_L4PROTO, PART[0])
            .payload(BASE_TRANSPORT, 2, 2, PART[1])
            .add("lookup", |data| {
                data.put_text(1, set).put_u32_be(2, PART[0]);
            })
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

    /// Marks the packet as its connection is.
    pub fn mark_as_connection(self) -> Self {
        self.ct(CT_MARK).add("meta", |data| {
            data.put_u32_be(2, META_MARK).put_u32_be(3, REGISTER);
        })
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

    /// A TCP reset, or "port unreachable" for what is not TCP.
    pub fn refuse(self, tcp: bool) -> Self {
        const UNREACHABLE: u32 = 2;
        const RESET: u32 = 1;
        const NO_PORT: u8 = 1;
        self.add("reject", |data| {
            data.put_u32_be(1, if tcp { RESET } else { UNREACHABLE })
                .put_u8(2, NO_PORT);
        })
    }

    pub fn masquerade(self) -> Self {
        self.add("masq", |_| {})
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

    fn lookup(self, map: &str, from: u32, to: u32) -> Self {
        self.add("lookup", |data| {
            data.put_text(1, map).put_u32_be(2, from).put_u32_be(3, to);
        })
    }

    fn ct(self, key: u32) -> Self {
        self.add("ct", |data| {
            data.put_u32_be(1, REGISTER).put_u32_be(2, key);
        })
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

fn interface(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    bytes
}
