//! Addresses and routes of the host.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::error::Result;
use crate::netlink::{Request, Socket};

const ADDRESS_HEAD_BYTES: usize = 8;
const ROUTE_HEAD_BYTES: usize = 12;

/// Every IPv4 address with the index of its interface.
pub(super) fn addresses(socket: &mut Socket) -> Result<Vec<(u32, Ipv4Net)>> {
    let mut head = [0; ADDRESS_HEAD_BYTES];
    head[0] = libc::AF_INET as u8;
    let build = |request: &mut Request| {
        request.begin(libc::RTM_GETADDR, 0, &head);
    };
    let messages = socket.dump(build, "list addresses")?;
    let parse = |message: &crate::netlink::Message| {
        let attributes = message.attributes(ADDRESS_HEAD_BYTES);
        let octets = attributes
            .get(libc::IFA_LOCAL)
            .or_else(|| attributes.get(libc::IFA_ADDRESS))?;
        let octets: [u8; 4] = octets.try_into().ok()?;
        let length = *message.body.get(1)?;
        Some((
            message.u32(4)?,
            Ipv4Net::new(Ipv4Addr::from(octets), length).ok()?,
        ))
    };
    Ok(messages.iter().filter_map(parse).collect())
}

/// Every IPv4 route of the main table with the index of its interface.
pub(super) fn routes(socket: &mut Socket) -> Result<Vec<(u32, Ipv4Net)>> {
    let mut head = [0; ROUTE_HEAD_BYTES];
    head[0] = libc::AF_INET as u8;
    let build = |request: &mut Request| {
        request.begin(libc::RTM_GETROUTE, 0, &head);
    };
    let messages = socket.dump(build, "list routes")?;
    let parse = |message: &crate::netlink::Message| {
        let attributes = message.attributes(ROUTE_HEAD_BYTES);
        let (length, table) = (*message.body.get(1)?, *message.body.get(4)?);
        if table != libc::RT_TABLE_MAIN {
            return None;
        }
        let octets: [u8; 4] = attributes.get(libc::RTA_DST).unwrap_or(&[0; 4]).try_into().ok()?;
        let index = attributes.u32(libc::RTA_OIF).unwrap_or(0);
        Some((index, Ipv4Net::new(Ipv4Addr::from(octets), length).ok()?))
    };
    Ok(messages.iter().filter_map(parse).collect())
}

pub(super) fn add_address(request: &mut Request, index: u32, address: Ipv4Net, broadcast: bool) {
    let mut head = [0; ADDRESS_HEAD_BYTES];
    head[0] = libc::AF_INET as u8;
    head[1] = address.prefix_len();
    head[4..8].copy_from_slice(&index.to_ne_bytes());
    request.begin(
        libc::RTM_NEWADDR,
        libc::NLM_F_CREATE as u16 | libc::NLM_F_EXCL as u16,
        &head,
    );
    let octets = address.addr().octets();
    request
        .put(libc::IFA_LOCAL, &octets)
        .put(libc::IFA_ADDRESS, &octets);
    if broadcast && address.prefix_len() < 31 {
        request.put(libc::IFA_BROADCAST, &address.broadcast().octets());
    }
}

/// A route to everywhere over `gateway`.
pub(super) fn add_default_route(request: &mut Request, index: u32, gateway: Ipv4Addr) {
    let mut head = [0; ROUTE_HEAD_BYTES];
    head[0] = libc::AF_INET as u8;
    head[4] = libc::RT_TABLE_MAIN;
    head[5] = libc::RTPROT_BOOT;
    head[6] = libc::RT_SCOPE_UNIVERSE;
    head[7] = libc::RTN_UNICAST;
    request.begin(
        libc::RTM_NEWROUTE,
        libc::NLM_F_CREATE as u16 | libc::NLM_F_EXCL as u16,
        &head,
    );
    request
        .put(libc::RTA_GATEWAY, &gateway.octets())
        .put_u32(libc::RTA_OIF, index);
}
