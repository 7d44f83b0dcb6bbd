//! The parts of a rule of nftables. Each test breaks off the rule when it fails; what stands last is done.

mod actions;
mod matches;

use std::net::IpAddr;

use crate::netlink::Request;

pub(crate) use actions::Verdict;
pub(crate) use matches::Direction;

const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
pub(crate) const DATA_VALUE: u16 = 1;

/// Sixteen-byte register, and the four-byte ones that lie in a row.
const REGISTER: u32 = 1;
const PART_0: u32 = 8;
const PART_1: u32 = 9;

const META_MARK: u32 = 3;
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_IIFTYPE: u32 = 8;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;
const BASE_LINK: u32 = 0;
const BASE_NETWORK: u32 = 1;
const BASE_TRANSPORT: u32 = 2;
const TRANSPORT_TARGET_PORT: u32 = 2;
const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;

/// A rule that is being written.
#[derive(Debug)]
pub(crate) struct Expressions(Request);

impl Expressions {
    pub fn new() -> Expressions {
        Expressions(Request::new())
    }

    pub fn finish(self) -> Vec<u8> {
        self.0.into_attributes()
    }

    fn load(self, register: u32, value: &[u8]) -> Self {
        self.add("immediate", |data| {
            data.put_u32_be(1, register).nest(2, |nested| {
                nested.put(DATA_VALUE, value);
            });
        })
    }

    fn meta(self, key: u32, register: u32) -> Self {
        self.add("meta", |data| {
            data.put_u32_be(1, register).put_u32_be(2, key);
        })
    }

    fn ct(self, key: u32) -> Self {
        self.add("ct", |data| {
            data.put_u32_be(1, REGISTER).put_u32_be(2, key);
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

    /// The packet's target address into the first registers.
    fn target(self, v6: bool) -> Self {
        let (offset, length) = if v6 { (24, 16) } else { (16, 4) };
        self.payload(BASE_NETWORK, offset, length, PART_0)
    }

    fn lookup(self, map: &str, from: u32, to: u32) -> Self {
        self.add("lookup", |data| {
            data.put_text(1, map).put_u32_be(2, from).put_u32_be(3, to);
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

/// The first register behind an address that fills the ones before it.
fn behind(v6: bool) -> u32 {
    PART_0 + if v6 { 4 } else { 1 }
}

fn nfproto(v6: bool) -> u8 {
    const NFPROTO_IPV4: u8 = 2;
    const NFPROTO_IPV6: u8 = 10;
    if v6 { NFPROTO_IPV6 } else { NFPROTO_IPV4 }
}

pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
