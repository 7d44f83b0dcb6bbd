//! Published ports as elements of maps, two for each family: by port, and by address and port.

use std::collections::BTreeSet;
use std::net::IpAddr;

use shoal_node_core_host::netplan::{Protocol, Published};

use super::message::{HEAD_BYTES, Kind, begin};
use crate::error::Result;
use crate::expression::{DATA_VALUE, octets};
use crate::netlink::{Attributes, Request, Socket};

pub(super) struct Map {
    pub name: &'static str,
    pub by_address: bool,
    pub v6: bool,
}

/// In the order in which they are asked.
pub(super) const MAPS: [Map; 4] = [
    Map {
        name: "published-by-address",
        by_address: true,
        v6: false,
    },
    Map {
        name: "published",
        by_address: false,
        v6: false,
    },
    Map {
        name: "published6-by-address",
        by_address: true,
        v6: true,
    },
    Map {
        name: "published6",
        by_address: false,
        v6: true,
    },
];

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
const TYPE_ADDRESS6: u32 = 8;
const TYPE_PROTOCOL: u32 = 12;
const TYPE_PORT: u32 = 13;

/// An attribute's length has 16 bits, and an element has less than 64 bytes.
const ELEMENTS_PER_MESSAGE: usize = 800;

pub(super) fn add_maps(request: &mut Request, table: &str) {
    for (at, map) in MAPS.iter().enumerate() {
        let (address, bytes) = if map.v6 {
            (TYPE_ADDRESS6, 16)
        } else {
            (TYPE_ADDRESS, 4)
        };
        let by_port = TYPE_PROTOCOL << 6 | TYPE_PORT;
        let (key, length) = if map.by_address {
            (address << 12 | by_port, bytes + 8)
        } else {
            (by_port, 8)
        };
        begin(request, Kind::NewSet, libc::NLM_F_CREATE as u16);
        request
            .put_text(SET_TABLE, table)
            .put_text(SET_NAME, map.name)
            .put_u32_be(SET_FLAGS, FLAG_MAP)
            .put_u32_be(SET_KEY_TYPE, key)
            .put_u32_be(SET_KEY_LENGTH, length)
            .put_u32_be(SET_DATA_TYPE, address << 6 | TYPE_PORT)
            .put_u32_be(SET_DATA_LENGTH, bytes + 4)
            .put_u32_be(SET_ID, at as u32 + 1);
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
    for map in &MAPS {
        let chosen: Vec<&Published> = published
            .iter()
            .filter(|p| p.host_ip.is_some() == map.by_address && p.container_ip.is_ipv6() == map.v6)
            .collect();
        for part in chosen.chunks(ELEMENTS_PER_MESSAGE) {
            begin(request, kind, flags);
            request
                .put_text(LIST_TABLE, table)
                .put_text(LIST_SET, map.name)
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

/// What the maps hold. `None` when one of them is not there.
pub(super) fn read(socket: &mut Socket, table: &str) -> Result<Option<BTreeSet<Published>>> {
    let mut all = BTreeSet::new();
    for map in &MAPS {
        let build = |request: &mut Request| {
            begin(request, Kind::GetElement, 0);
            request.put_text(LIST_TABLE, table).put_text(LIST_SET, map.name);
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
                match parse(Attributes(element), map) {
                    Some(published) => all.insert(published),
                    // Not of our making: the table is written anew.
                    None => return Ok(None),
                };
            }
        }
    }
    Ok(Some(all))
}

/// Each part of a key fills a multiple of four bytes.
fn key(published: &Published) -> Vec<u8> {
    let mut key = Vec::with_capacity(24);
    if let Some(address) = published.host_ip {
        key.extend_from_slice(&octets(address));
    }
    key.extend_from_slice(&[published.protocol.number(), 0, 0, 0]);
    key.extend_from_slice(&published.host_port.to_be_bytes());
    key.extend_from_slice(&[0, 0]);
    key
}

fn target(published: &Published) -> Vec<u8> {
    let mut target = octets(published.container_ip);
    target.extend_from_slice(&published.container_port.to_be_bytes());
    target.extend_from_slice(&[0, 0]);
    target
}

fn parse(element: Attributes<'_>, map: &Map) -> Option<Published> {
    let key = element.nested(ELEMENT_KEY)?.get(DATA_VALUE)?;
    let data = element.nested(ELEMENT_DATA)?.get(DATA_VALUE)?;
    let bytes = if map.v6 { 16 } else { 4 };
    let (host_ip, rest) = if map.by_address {
        (Some(address(key.get(..bytes)?)?), key.get(bytes..)?)
    } else {
        (None, key)
    };
    let port = data.get(bytes..bytes + 2)?;
    let (kind, host_port) = (*rest.first()?, rest.get(4..6)?);
    let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
        .into_iter()
        .find(|p| p.number() == kind)?;
    Some(Published {
        protocol,
        host_ip,
        host_port: u16::from_be_bytes([host_port[0], host_port[1]]),
        container_ip: address(data.get(..bytes)?)?,
        container_port: u16::from_be_bytes([port[0], port[1]]),
    })
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => Some(<[u8; 4]>::try_from(octets).ok()?.into()),
        _ => Some(<[u8; 16]>::try_from(octets).ok()?.into()),
    }
}
