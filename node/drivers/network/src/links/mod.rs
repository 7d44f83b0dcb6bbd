//! Interfaces of the host: bridges, and the cables that lead from them into containers.

mod attach;
mod bridge;
mod cable;
mod gone;
mod inside;
mod sub;
mod used;
mod watch;

use ipnet::IpNet;
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::netlink::{Family, Message, Request, Socket};

pub use attach::Place;
pub use cable::Cable;
pub use gone::Until;
pub use inside::{Inside, WayOut};
pub use sub::{Sub, SubKind};
pub use watch::LinkWatch;

/// Length of `struct ifinfomsg`, which stands before a link's attributes.
pub(crate) const LINK_HEAD_BYTES: usize = 16;
pub(crate) const UP: u32 = libc::IFF_UP as u32;
/// Leaves the counters out of a link's description: they are most of it.
pub(crate) const FILTER_SKIP_STATS: u32 = 8;

/// The interfaces of the namespace that opened this (the daemon's).
#[derive(Debug)]
pub struct Links {
    socket: Mutex<Socket>,
}

/// An interface as the kernel shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub index: u32,
    pub name: String,
    /// `bridge`, `veth`, … ; empty for a hardware interface.
    pub kind: String,
    pub up: bool,
    pub mtu: u32,
    pub addresses: Vec<IpNet>,
}

/// Traffic of a container's end of a cable since it was plugged in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

impl Links {
    /// Of the calling thread's network namespace.
    pub fn open() -> Result<Links> {
        Ok(Links {
            socket: Mutex::new(Socket::open(Family::Route)?),
        })
    }

    /// The interface of this name, with its addresses.
    pub fn get(&self, name: &str) -> Result<Option<Shown>> {
        let mut socket = self.socket.lock();
        let Some(mut shown) = link(&mut socket, name)?.as_ref().and_then(parse) else {
            return Ok(None);
        };
        shown.addresses = used::addresses(&mut socket)?
            .into_iter()
            .filter(|(index, _)| *index == shown.index)
            .map(|(_, address)| address)
            .collect();
        Ok(Some(shown))
    }

    /// Names of the interfaces that begin with `prefix` (see `netplan::link_prefix`).
    pub fn list_ours(&self, prefix: &str) -> Result<Vec<String>> {
        let build = |request: &mut Request| {
            request.begin(libc::RTM_GETLINK, 0, &[0; LINK_HEAD_BYTES]);
            request.put_u32(libc::IFLA_EXT_MASK, FILTER_SKIP_STATS);
        };
        let messages = self.socket.lock().dump(build, "list interfaces")?;
        let mut names: Vec<String> = messages
            .iter()
            .filter_map(parse)
            .map(|shown| shown.name)
            .filter(|name| name.starts_with(prefix))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Subnets that the host's routes and addresses use: a new network keeps clear of them. Default routes and those of
    /// the interface `except` (a bridge that is about to be taken over) are left out.
    pub fn used_subnets(&self, except: Option<&str>) -> Result<Vec<IpNet>> {
        let mut socket = self.socket.lock();
        let except = match except {
            Some(name) => link(&mut socket, name)?
                .as_ref()
                .and_then(parse)
                .map(|shown| shown.index),
            None => None,
        };
        let mut all: Vec<(u32, IpNet)> = used::addresses(&mut socket)?;
        all.extend(used::routes(&mut socket)?);
        let mut nets: Vec<IpNet> = all
            .into_iter()
            .filter(|(index, _)| Some(*index) != except)
            .map(|(_, net)| net.trunc())
            .collect();
        nets.retain(|net| net.prefix_len() > 0);
        nets.sort();
        nets.dedup();
        Ok(nets)
    }

    /// Traffic over a cable, seen from its container.
    pub fn counters(&self, host_link: &str) -> Result<Counters> {
        // What the host's end sends is what the container receives.
        let seen = counters(&mut self.socket.lock(), host_link)?;
        Ok(Counters {
            rx_bytes: seen.tx_bytes,
            rx_packets: seen.tx_packets,
            rx_errors: seen.tx_errors,
            rx_dropped: seen.tx_dropped,
            tx_bytes: seen.rx_bytes,
            tx_packets: seen.rx_packets,
            tx_errors: seen.rx_errors,
            tx_dropped: seen.rx_dropped,
        })
    }
}

/// Of the namespace that the socket belongs to.
fn counters(socket: &mut Socket, name: &str) -> Result<Counters> {
    let message = link_with(socket, name, 0)?.ok_or_else(|| missing(name))?;
    let stats = message
        .attributes(LINK_HEAD_BYTES)
        .get(libc::IFLA_STATS64)
        .unwrap_or_default();
    let at = |field: usize| {
        stats
            .get(field * 8..field * 8 + 8)
            .and_then(|b| b.try_into().ok())
            .map_or(0, u64::from_ne_bytes)
    };
    Ok(Counters {
        rx_packets: at(0),
        tx_packets: at(1),
        rx_bytes: at(2),
        tx_bytes: at(3),
        rx_errors: at(4),
        tx_errors: at(5),
        rx_dropped: at(6),
        tx_dropped: at(7),
    })
}

/// `struct ifinfomsg`: `change` says which of `flags` count.
pub(crate) fn link_head(index: u32, flags: u32, change: u32) -> [u8; LINK_HEAD_BYTES] {
    let mut head = [0; LINK_HEAD_BYTES];
    head[4..8].copy_from_slice(&index.to_ne_bytes());
    head[8..12].copy_from_slice(&flags.to_ne_bytes());
    head[12..16].copy_from_slice(&change.to_ne_bytes());
    head
}

/// Asks for the interface of this name.
pub(crate) fn ask_link(request: &mut Request, name: &str, filter: u32) -> usize {
    let at = request.begin(libc::RTM_GETLINK, 0, &link_head(0, 0, 0));
    request
        .put_text(libc::IFLA_IFNAME, name)
        .put_u32(libc::IFLA_EXT_MASK, filter);
    at
}

fn link(socket: &mut Socket, name: &str) -> Result<Option<Message>> {
    link_with(socket, name, FILTER_SKIP_STATS)
}

fn link_with(socket: &mut Socket, name: &str, filter: u32) -> Result<Option<Message>> {
    check_name(name)?;
    let mut request = Request::new();
    ask_link(&mut request, name, filter);
    match socket.exchange(&mut request, |_| format!("look up interface {name}")) {
        Ok(answers) => Ok(answers
            .into_iter()
            .map(|(_, message)| message)
            .find(|m| m.kind == libc::RTM_NEWLINK)),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(e),
    }
}

pub(crate) fn parse(message: &Message) -> Option<Shown> {
    let attributes = message.attributes(LINK_HEAD_BYTES);
    let kind = attributes
        .nested(libc::IFLA_LINKINFO)
        .and_then(|info| info.text(libc::IFLA_INFO_KIND));
    Some(Shown {
        index: message.u32(4)?,
        name: attributes.text(libc::IFLA_IFNAME)?.to_owned(),
        kind: kind.unwrap_or_default().to_owned(),
        up: message.u32(8)? & UP != 0,
        mtu: attributes.u32(libc::IFLA_MTU).unwrap_or(0),
        addresses: Vec::new(),
    })
}

fn missing(name: &str) -> Error {
    Error::Refused {
        what: format!("look up interface {name}"),
        source: std::io::Error::from_raw_os_error(libc::ENODEV),
        said: None,
    }
}

pub(crate) fn check_name(name: &str) -> Result<()> {
    let fits = !name.is_empty() && name.len() <= shoal_node_core_host::netplan::LINK_NAME_BYTES_MAX;
    if fits
        && !name
            .bytes()
            .any(|b| b == b'/' || b == 0 || b.is_ascii_whitespace())
        && name != "."
        && name != ".."
    {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{name:?} is no name for an interface: 1 to 15 bytes, no slash or blank"
    )))
}
