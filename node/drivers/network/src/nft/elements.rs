//! Published ports as elements of two maps: by port, and by address and port.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use shoal_node_core_host::netplan::{Protocol, Published};

use super::expression::DATA_VALUE;
use super::message::{HEAD_BYTES, Kind, begin};
use crate::error::Result;
use crate::netlink::{Attributes, Request, Socket};

pub(super) const MAP_ANY: &str = "published";
pub(super) const MAP_BY_ADDRESS: &str = "published-by-address";

const SET_TABLE: u16 = 1;
const SET_NAME: u16 = 2;
const SET_FLAGS: u16 = 3;
const SET_KEY_TYPE: u16 = 4;
const SET_KEY_LENGTH: u16 = 5;
const SET_DATA_TYPE: u16 = 6;
const SET_DATA_LENGTH: u16 = 7;
const SET_ID: u16 = 10;
const FLAG_MAP: u32 = 8;
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const LIST_ELEMENT: u16 = 1;
const ELEMENT_KEY: u16 = 1;
const ELEMENT_DATA: u16 = 2;

/// Type numbers by which the `nft` program shows what a map holds; several make one by shifts of six bits.
const TYPE_ADDRESS: u32 = 7;
const TYPE_PROTOCOL: u32 = 12;
const TYPE_PORT: u32 = 13;
const TYPE_TARGET: u32 = TYPE_ADDRESS << 6 | TYPE_PORT;

/// An attribute's length has 16 bits, and an element has less than 64 bytes.
const ELEMENTS_PER_MESSAGE: usize = 800;

pub(super) fn add_maps(request: &mut Request, table: &str) {
    let by_port = TYPE_PROTOCOL << 6 | TYPE_PORT;
    let by_address = (TYPE_ADDRESS << 6 | TYPE_PROTOCOL) << 6 | TYPE_PORT;
    for (id, name, key, length) in [(1, MAP_ANY, by_port, 8), (2, MAP_BY_ADDRESS, by_address, 12)] {
        begin(request, Kind::NewSet, libc::NLM_F_CREATE as u16);
        request
            .put_text(SET_TABLE, table)
            .put_text(SET_NAME, name)
            .put_u32_be(SET_FLAGS, FLAG_MAP)
            .put_u32_be(SET_KEY_TYPE, key)
            .put_u32_be(SET_KEY_LENGTH, length)
            .put_u32_be(SET_DATA_TYPE, TYPE_TARGET)
            .put_u32_be(SET_DATA_LENGTH, 8)
            .put_u32_be(SET_ID, id);
    }
}

pub(super) fn add(request: &mut Request, table: &str, published: &[Published]) {
    write(
        request,
        table,
        published,
        Kind::NewElement,
        libc::NLM_F_CREATE as u16 | libc::NLM_F_EXCL as u16,
    );
}

pub(super) fn remove(request: &mut Request, table: &str, published: &[Published]) {
    write(request, table, published, Kind::DelElement, 0);
}

fn write(request: &mut Request, table: &str, published: &[Published], kind: Kind, flags: u16) {
    for (map, by_address) in [(MAP_ANY, false), (MAP_BY_ADDRESS, true)] {
        let chosen: Vec<&Published> = published
            .iter()
            .filter(|p| p.host_ip.is_some() == by_address)
            .collect();
        for part in chosen.chunks(ELEMENTS_PER_MESSAGE) {
            begin(request, kind, flags);
            request
                .put_text(LIST_TABLE, table)
                .put_text(LIST_SET, map)
                .nest(LIST_ELEMENTS, |list| {
                    for one in part {
                        list.nest(LIST_ELEMENT, |element| {
                            element.nest(ELEMENT_KEY, |value| {
                                value.put(DATA_VALUE, &key(one));
                            });
                            element.nest(ELEMENT_DATA, |value| {
                                value.put(DATA_VALUE, &target(one));
                            });
                        });
                    }
                });
        }
    }
}

/// What both maps hold. `None` when one of them is not there.
pub(super) fn read(socket: &mut Socket, table: &str) -> Result<Option<BTreeSet<Published>>> {
    let mut all = BTreeSet::new();
    for map in [MAP_ANY, MAP_BY_ADDRESS] {
        let build = |request: &mut Request| {
            begin(request, Kind::GetElement, 0);
            request.put_text(LIST_TABLE, table).put_text(LIST_SET, map);
        };
        let messages = match socket.dump(build, &format!("read published ports of nftables table {table}")) {
            Ok(messages) => messages,
            Err(e) if e.is_not_found() => return Ok(None),
            Err(e) => return Err(e),
        };
        for message in messages.iter().filter(|m| m.kind == Kind::NewElement.number()) {
            let Some(list) = message.attributes(HEAD_BYTES).nested(LIST_ELEMENTS) else {
                continue;
            };
            for (_, element) in list.iter() {
                match parse(Attributes(element)) {
                    Some(published) => all.insert(published),
                    // Not of our making: the table is written anew.
                    None => return Ok(None),
                };
            }
        }
    }
    Ok(Some(all))
}

/// Each part of a key fills four bytes.
fn key(published: &Published) -> Vec<u8> {
    let mut key = Vec::with_capacity(12);
    if let Some(address) = published.host_ip {
        key.extend_from_slice(&address.octets());
    }
    key.extend_from_slice(&[published.protocol.number(), 0, 0, 0]);
    key.extend_from_slice(&published.host_port.to_be_bytes());
    key.extend_from_slice(&[0, 0]);
    key
}

fn target(published: &Published) -> [u8; 8] {
    let [a, b, c, d] = published.container_ip.octets();
    let [high, low] = published.container_port.to_be_bytes();
    [a, b, c, d, high, low, 0, 0]
}

fn parse(element: Attributes<'_>) -> Option<Published> {
    let key = element.nested(ELEMENT_KEY)?.get(DATA_VALUE)?;
    let data: [u8; 8] = element.nested(ELEMENT_DATA)?.get(DATA_VALUE)?.try_into().ok()?;
    let (host_ip, rest) = match key.len() {
        8 => (None, key),
        12 => (Some(Ipv4Addr::new(key[0], key[1], key[2], key[3])), &key[4..]),
        _ => return None,
    };
    let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
        .into_iter()
        .find(|p| p.number() == rest[0])?;
    Some(Published {
        protocol,
        host_ip,
        host_port: u16::from_be_bytes([rest[4], rest[5]]),
        container_ip: Ipv4Addr::new(data[0], data[1], data[2], data[3]),
        container_port: u16::from_be_bytes([data[4], data[5]]),
    })
}
