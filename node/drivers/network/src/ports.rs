//! Ports of the host that containers publish. A reserved port is held by a bound socket, so that no program of the host
//! takes it and none that has it is cut off.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, sockopt};
use shoal_node_core_host::netplan::Protocol;

use crate::error::{BindError, Error, Result};
use crate::passing::Passing;

/// Used when the kernel's own range cannot be read.
const DYNAMIC_DEFAULT: (u16, u16) = (32_768, 60_999);
const DYNAMIC_FILE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// Which host port is wanted: `first..=last` takes the first that is free, 0 to 0 any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// `0.0.0.0` and `::` are every address of their family.
    pub ips: Vec<IpAddr>,
    pub first: u16,
    pub last: u16,
    pub protocol: Protocol,
}

/// The ports that this daemon's containers hold. A cheap handle.
#[derive(Clone, Debug, Default)]
pub struct Ports {
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    /// Addresses on which a port is held.
    ports: HashMap<(Protocol, u16), Vec<IpAddr>>,
    /// Where the last dynamic port was found: the next search begins behind it.
    last_dynamic: u16,
}

/// Holds a port until it is dropped.
#[derive(Debug)]
pub struct PortGuard {
    held: Arc<Mutex<Held>>,
    protocol: Protocol,
    address: SocketAddr,
    by: By,
}

#[derive(Debug)]
enum By {
    Socket(OwnedFd),
    /// What comes here is passed on.
    Passing(Passing),
    /// Between the two, or neither could be had.
    Nothing,
}

impl Ports {
    pub fn new() -> Ports {
        Ports::default()
    }

    /// Reserves one port on all these addresses, which are as many as the families that it is published for. A port that
    /// another container of this daemon holds is refused in other words than one that a program of the host uses.
    pub fn reserve(&self, wanted: &HostPort) -> Result<Vec<PortGuard>> {
        if wanted.first == 0 {
            return self.reserve_dynamic(wanted);
        }
        let mut refusal = None;
        for port in wanted.first..=wanted.last.max(wanted.first) {
            match self.reserve_all(wanted, port) {
                Ok(guards) => return Ok(guards),
                // The first refusal of a single port says it best; a range says that it is full.
                Err(e @ (Error::PortTaken(_) | Error::PortBusy { .. })) => refusal = refusal.or(Some(e)),
                Err(e) => return Err(e),
            }
        }
        match refusal {
            Some(e) if wanted.first >= wanted.last => Err(e),
            _ => Err(Error::PortsExhausted),
        }
    }

    /// As [`Ports::reserve`]; a refusal says for which port of which container, in Docker's form.
    pub fn reserve_for(&self, wanted: &HostPort, targets: &[SocketAddr]) -> Result<Vec<PortGuard>> {
        self.reserve(wanted).map_err(|error| match error {
            Error::PortBusy {
                address,
                protocol,
                source,
                ..
            } => Error::PortBusy {
                address,
                container: targets
                    .iter()
                    .copied()
                    .find(|target| target.is_ipv4() == address.is_ipv4()),
                protocol,
                source,
            },
            other => other,
        })
    }

    fn reserve_dynamic(&self, wanted: &HostPort) -> Result<Vec<PortGuard>> {
        let (first, last) = dynamic_range();
        let count = u32::from(last - first) + 1;
        let begin = {
            let held = self.held.lock();
            if (first..last).contains(&held.last_dynamic) {
                held.last_dynamic + 1
            } else {
                first
            }
        };
        for step in 0..count {
            let port = first + ((u32::from(begin - first) + step) % count) as u16;
            match self.reserve_all(wanted, port) {
                Ok(guards) => {
                    self.held.lock().last_dynamic = port;
                    return Ok(guards);
                }
                Err(
                    Error::PortTaken(_)
                    | Error::PortBusy {
                        source: BindError::InUse,
                        ..
                    },
                ) => {}
                Err(e) => return Err(e),
            }
        }
        Err(Error::PortsExhausted)
    }

    fn reserve_all(&self, wanted: &HostPort, port: u16) -> Result<Vec<PortGuard>> {
        wanted
            .ips
            .iter()
            .map(|ip| self.reserve_one(*ip, port, wanted.protocol))
            .collect()
    }

    fn reserve_one(&self, ip: IpAddr, port: u16, protocol: Protocol) -> Result<PortGuard> {
        let address = SocketAddr::new(ip, port);
        let mut held = self.held.lock();
        let holders = held.ports.entry((protocol, port)).or_default();
        if holders
            .iter()
            .filter(|other| other.is_ipv6() == ip.is_ipv6())
            .any(|other| *other == ip || other.is_unspecified() || ip.is_unspecified())
        {
            return Err(Error::PortTaken(address));
        }
        // Under the lock: two threads must not find the same port free.
        let socket = hold(address, protocol).map_err(|e| Error::PortBusy {
            address,
            container: None,
            protocol,
            source: match e {
                Errno::ADDRINUSE => BindError::InUse,
                Errno::ADDRNOTAVAIL => BindError::NoSuchAddress,
                other => BindError::Other(other.into()),
            },
        });
        match socket {
            Ok(socket) => {
                holders.push(ip);
                Ok(PortGuard {
                    held: self.held.clone(),
                    protocol,
                    address,
                    by: By::Socket(socket),
                })
            }
            Err(e) => {
                if holders.is_empty() {
                    held.ports.remove(&(protocol, port));
                }
                Err(e)
            }
        }
    }
}

impl PortGuard {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// From now on what the packet rules lead nowhere is passed on to this port of a container, or ended at once where
    /// there is none. Only IPv6 needs it, and SCTP cannot have it. Within a runtime of tokio.
    pub fn lead_to(&mut self, target: Option<SocketAddr>) -> Result<()> {
        if self.address.is_ipv4() || self.protocol == Protocol::Sctp {
            return Ok(());
        }
        self.by = match std::mem::replace(&mut self.by, By::Nothing) {
            By::Socket(socket) if target.is_some() => {
                let address = self.address;
                let passing = Passing::start(socket, self.protocol);
                By::Passing(passing.map_err(|e| Error::io(format!("pass on what comes to {address}"), e))?)
            }
            other => other,
        };
        if let By::Passing(passing) = &self.by {
            passing.lead_to(target);
        }
        Ok(())
    }
}

/// Whether this host speaks IPv6 at all.
pub fn has_v6() -> bool {
    std::net::TcpListener::bind((std::net::Ipv6Addr::LOCALHOST, 0)).is_ok()
}

impl Drop for PortGuard {
    fn drop(&mut self) {
        let mut held = self.held.lock();
        let key = (self.protocol, self.address.port());
        if let Some(holders) = held.ports.get_mut(&key) {
            holders.retain(|ip| *ip != self.address.ip());
            if holders.is_empty() {
                held.ports.remove(&key);
            }
        }
    }
}

/// Binds as a server would, so that any other server is refused and the other way round. Nothing of IPv4 ever arrives here:
/// our rules send it on to the container.
fn hold(address: SocketAddr, protocol: Protocol) -> rustix::io::Result<OwnedFd> {
    let (kind, number) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, rustix::net::ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, rustix::net::ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, rustix::net::ipproto::SCTP),
    };
    let family = if address.is_ipv6() {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    };
    let open = || rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(number));
    let socket = match open() {
        // A kernel without SCTP has no other user of its ports either.
        Err(Errno::PROTONOSUPPORT) if protocol == Protocol::Sctp => {
            return rustix::net::socket_with(
                AddressFamily::UNIX,
                SocketType::DGRAM,
                SocketFlags::CLOEXEC,
                None,
            );
        }
        other => other?,
    };
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
        // No rule leads from ::1 into a container. A socket that does not listen refuses whoever comes that way, and
        // keeps the port as long as it shares it with nobody.
        if bind(&socket, &address).is_ok() {
            return Ok(socket);
        }
    }
    if kind == SocketType::STREAM {
        // Connections of an earlier server that still linger do not count; a server that listens does.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    bind(&socket, &address)?;
    if kind == SocketType::STREAM {
        listen(&socket, 1)?;
    }
    Ok(socket)
}

fn dynamic_range() -> (u16, u16) {
    let text = std::fs::read_to_string(DYNAMIC_FILE).unwrap_or_default();
    let mut numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(first), Some(last)) if first > 0 && first < last => (first, last),
        _ => DYNAMIC_DEFAULT,
    }
}
