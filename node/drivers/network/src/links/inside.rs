//! What is set up inside of a container's namespace once an interface is there: addresses, switches, routes.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Counters, LINK_HEAD_BYTES, Links, UP, check_name, counters, link, link_head, parse, used};
use crate::error::{Error, Result};
use crate::netlink::Request;
use crate::netns::Netns;

/// The loopback interface has this number in every network namespace.
const LOOPBACK_INDEX: u32 = 1;

/// An interface as the container sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// `eth0`
    pub name: String,
    pub addresses: Vec<IpNet>,
    /// The default routes that go over this interface. An unspecified address is the link itself.
    pub gateways: Vec<IpAddr>,
    /// Switches below /proc/sys/net with their values: `ipv4/conf/eth0/log_martians`.
    pub switches: Vec<(String, String)>,
}

/// A default route of a running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WayOut {
    pub name: String,
    pub gateway: IpAddr,
}

impl Links {
    /// Brings up the loopback of a container that has no other network.
    pub fn loopback_up(netns: &Netns) -> Result<()> {
        let mut request = Request::new();
        request.begin(libc::RTM_NEWLINK, 0, &link_head(LOOPBACK_INDEX, UP, UP));
        netns
            .socket()
            .lock()
            .exchange(&mut request, |_| "bring up loopback".into())
            .map(drop)
    }

    /// Makes the default routes of a running container these; a family without one has none.
    pub fn set_ways_out(netns: &Netns, v4: Option<&WayOut>, v6: Option<&WayOut>) -> Result<()> {
        let mut socket = netns.socket().lock();
        for (way, is_v6) in [(v4, false), (v6, true)] {
            let mut request = Request::new();
            // Removed first: a route that is replaced must be the same one in all else.
            used::remove_default_route(&mut request, is_v6);
            match socket.exchange(&mut request, |_| "remove the default route".into()) {
                Err(e) if !e.is_not_found() && e.errno() != Some(libc::ESRCH) => return Err(e),
                _ => {}
            }
            let Some(way) = way else { continue };
            let index = link(&mut socket, &way.name)?
                .as_ref()
                .and_then(parse)
                .map(|shown| shown.index)
                .ok_or_else(|| super::missing(&way.name))?;
            let mut request = Request::new();
            used::add_default_route(&mut request, index, way.gateway);
            socket.exchange(&mut request, |_| {
                format!("add a default route over {} to {}", way.gateway, way.name)
            })?;
        }
        Ok(())
    }

    /// Traffic of an interface that has no end on the host.
    pub fn counters_inside(netns: &Netns, name: &str) -> Result<Counters> {
        counters(&mut netns.socket().lock(), name)
    }

    /// Names of the interfaces in a namespace.
    pub fn list_inside(netns: &Netns) -> Result<Vec<String>> {
        let build = |request: &mut Request| {
            request.begin(libc::RTM_GETLINK, 0, &[0; LINK_HEAD_BYTES]);
        };
        let messages = netns.socket().lock().dump(build, "list interfaces")?;
        Ok(messages
            .iter()
            .filter_map(parse)
            .map(|shown| shown.name)
            .collect())
    }
}

/// One write inside: loopback and the interface up, with addresses and routes.
pub(super) fn set_up(netns: &Netns, inside: &Inside, index: u32) -> Result<()> {
    check_name(&inside.name)?;
    let v6 = inside.addresses.iter().any(|a| a.addr().is_ipv6());
    if v6 || !inside.switches.is_empty() {
        netns.visit(|| {
            if v6 {
                set(&format!("ipv6/conf/{}/disable_ipv6", inside.name), "0")?;
            }
            inside
                .switches
                .iter()
                .try_for_each(|(key, value)| set(key, value))
        })?;
    }
    let mut request = Request::new();
    request.begin(libc::RTM_NEWLINK, 0, &link_head(LOOPBACK_INDEX, UP, UP));
    request.begin(libc::RTM_NEWLINK, 0, &link_head(index, UP, UP));
    for address in &inside.addresses {
        used::add_address(&mut request, index, *address, true);
    }
    for gateway in &inside.gateways {
        used::add_default_route(&mut request, index, *gateway);
    }
    let what = |at: usize| {
        let name = &inside.name;
        let addresses = inside.addresses.len();
        match at {
            0 => "bring up loopback".to_owned(),
            1 => format!("bring up {name}"),
            _ => match (
                inside.addresses.get(at - 2),
                inside.gateways.get((at - 2).wrapping_sub(addresses)),
            ) {
                (Some(address), _) => format!("give {name} the address {address}"),
                (_, Some(gateway)) => format!("add a default route over {gateway} to {name}"),
                _ => format!("set up {name}"),
            },
        }
    };
    netns.socket().lock().exchange(&mut request, what).map(drop)
}

/// The key was checked by whoever gave it: it leads nowhere but below /proc/sys/net.
fn set(key: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/net/{key}");
    std::fs::write(&path, value).map_err(|e| Error::io(format!("write {path}"), e))
}
