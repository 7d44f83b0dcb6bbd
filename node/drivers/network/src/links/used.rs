//! Addresses and routes of the host, of both families.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::error::Result;
use crate::netlink::{Message, Request, Socket};

const ADDRESS_HEAD_BYTES: usize = 8;
const ROUTE_HEAD_BYTES: usize = 12;
/// No other host is asked whether it has this IPv6 address: we know that none has, and the answer takes a second.
const FLAG_NO_DAD: u8 = 0x02;

/// Every address with the index of its interface, link-local ones of IPv6 left out: each interface has one.
pub(super) fn addresses(socket: &mut Socket) -> Result<Vec<(u32, IpNet)>> {
    let build = |request: &mut Request| {
        request.begin(libc::RTM_GETADDR, 0, &[0; ADDRESS_HEAD_BYTES]);
    };
    let messages = socket.dump(build, "list addresses")?;
    let parse = |message: &Message| {
        let attributes = message.attributes(ADDRESS_HEAD_BYTES);
        let octets = attributes
            .get(libc::IFA_LOCAL)
            .or_else(|| attributes.get(libc::IFA_ADDRESS))?;
        let length = *message.body.get(1)?;
        Some((message.u32(4)?, IpNet::new(address(octets)?, length).ok()?))
    };
    Ok(messages
        .iter()
        .filter_map(parse)
        .filter(|(_, net)| !is_link_local(net.addr()))
        .collect())
}

/// Every route of the main table with the index of its interface.
pub(super) fn routes(socket: &mut Socket) -> Result<Vec<(u32, IpNet)>> {
    let build = |request: &mut Request| {
        request.begin(libc::RTM_GETROUTE, 0, &[0; ROUTE_HEAD_BYTES]);
    };
    let messages = socket.dump(build, "list routes")?;
    let parse = |message: &Message| {
        let attributes = message.attributes(ROUTE_HEAD_BYTES);
        let (family, length) = (*message.body.first()?, *message.body.get(1)?);
        // The kernel's own are what follows from an address.
        if *message.body.get(4)? != libc::RT_TABLE_MAIN {
            return None;
        }
        let target = match attributes.get(libc::RTA_DST) {
            Some(octets) => address(octets)?,
            None if i32::from(family) == libc::AF_INET6 => Ipv6Addr::UNSPECIFIED.into(),
            None => Ipv4Addr::UNSPECIFIED.into(),
        };
        let index = attributes.u32(libc::RTA_OIF).unwrap_or(0);
        Some((index, IpNet::new(target, length).ok()?))
    };
    Ok(messages
        .iter()
        .filter_map(parse)
        .filter(|(_, net)| !is_link_local(net.addr()) && !net.addr().is_multicast())
        .collect())
}

pub(super) fn add_address(request: &mut Request, index: u32, address: IpNet, broadcast: bool) {
    let mut head = [0; ADDRESS_HEAD_BYTES];
    head[0] = family(address.addr());
    head[1] = address.prefix_len();
    if address.addr().is_ipv6() {
        head[2] = FLAG_NO_DAD;
    }
    head[4..8].copy_from_slice(&index.to_ne_bytes());
    request.begin(
        libc::RTM_NEWADDR,
        libc::NLM_F_CREATE as u16 | libc::NLM_F_EXCL as u16,
        &head,
    );
    let octets = octets(address.addr());
    request
        .put(libc::IFA_LOCAL, &octets)
        .put(libc::IFA_ADDRESS, &octets);
    if let IpNet::V4(v4) = address
        && broadcast
        && v4.prefix_len() < 31
    {
        request.put(libc::IFA_BROADCAST, &v4.broadcast().octets());
    }
}

/// A route to everywhere over `gateway`, or straight onto the link when there is none. It replaces the one that is there.
pub(super) fn add_default_route(request: &mut Request, index: u32, gateway: IpAddr) {
    let mut head = route_head(gateway);
    if gateway.is_unspecified() && gateway.is_ipv4() {
        head[6] = libc::RT_SCOPE_LINK;
    }
    request.begin(
        libc::RTM_NEWROUTE,
        libc::NLM_F_CREATE as u16 | libc::NLM_F_REPLACE as u16,
        &head,
    );
    if !gateway.is_unspecified() {
        request.put(libc::RTA_GATEWAY, &octets(gateway));
    }
    request.put_u32(libc::RTA_OIF, index);
}

/// The default route of this family, whichever it is.
pub(super) fn remove_default_route(request: &mut Request, v6: bool) {
    let any = if v6 {
        IpAddr::from(Ipv6Addr::UNSPECIFIED)
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    };
    let mut head = route_head(any);
    head[5] = 0;
    head[6] = libc::RT_SCOPE_NOWHERE;
    head[7] = 0;
    request.begin(libc::RTM_DELROUTE, 0, &head);
}

fn route_head(target: IpAddr) -> [u8; ROUTE_HEAD_BYTES] {
    let mut head = [0; ROUTE_HEAD_BYTES];
    head[0] = family(target);
    head[4] = libc::RT_TABLE_MAIN;
    head[5] = libc::RTPROT_BOOT;
    head[6] = libc::RT_SCOPE_UNIVERSE;
    head[7] = libc::RTN_UNICAST;
    head
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => Some(<[u8; 4]>::try_from(octets).ok()?.into()),
        16 => Some(<[u8; 16]>::try_from(octets).ok()?.into()),
        _ => None,
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80)
}
