//! The encrypted path between nodes: a WireGuard interface of the kernel, or where it has none, a TUN interface with
//! the same protocol spoken by a thread of this daemon. Never anything else: without either there is no key, and without
//! a key no encrypted network is laid.
//!
//! The private key is in this process and, with the kernel's WireGuard, in the kernel: on no disk, in no message. A daemon
//! that starts again takes up what the kernel has, so that nothing is interrupted; else each start makes a new one.

mod kernel;
mod tun;
mod user;

use boringtun::x25519::{PublicKey, StaticSecret};
use shoal_node_core_host::overlay::{Key, Tunnel, tunnel_name};

use super::Walk;
use super::links::Shown;
use crate::error::{Error, Result};
use crate::links::{UP, link_head};
use crate::netlink::Request;

/// The IPv4 dummy address of RFC 7600.
const DUMMY: std::net::Ipv4Addr = std::net::Ipv4Addr::new(192, 0, 0, 8);
const CREATE: u16 = libc::NLM_F_CREATE as u16 | libc::NLM_F_EXCL as u16;

/// This daemon's end of it.
pub(super) struct Path {
    link: String,
    secret: StaticSecret,
    kind: Kind,
}

enum Kind {
    Kernel(kernel::WireGuard),
    /// Running while there is an encrypted network.
    User(Option<user::Running>),
    None,
}

impl std::fmt::Debug for Path {
    // The key is nobody's to read.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Path")
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

impl Path {
    pub fn open(sid: &str) -> Result<Path> {
        let link = tunnel_name(sid);
        let (kind, kept) = match kernel::WireGuard::open()? {
            Some(mut kernel) => {
                let kept = kernel.private_key(&link);
                (Kind::Kernel(kernel), kept)
            }
            None if tun::is_there() => (Kind::User(None), None),
            None => (Kind::None, None),
        };
        Ok(Path {
            link,
            secret: kept.map_or_else(fresh, Ok)?,
            kind,
        })
    }

    /// What the others have to know; nothing where there is no encrypted path.
    pub fn public_key(&self) -> Option<Key> {
        match self.kind {
            Kind::None => None,
            _ => Some(PublicKey::from(&self.secret).to_bytes()),
        }
    }

    /// For a node that left its cluster: who knew the old key is nobody to it any more.
    pub fn forget(&mut self) -> Result<()> {
        self.secret = fresh()?;
        if let Kind::User(running) = &mut self.kind {
            *running = None;
        }
        Ok(())
    }
}

fn fresh() -> Result<StaticSecret> {
    let mut bytes = [0; 32];
    let mut filled = 0;
    while filled < bytes.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        filled +=
            rustix::rand::getrandom(&mut bytes[filled..], flags).map_err(|e| Error::io("make a key", e))?;
    }
    Ok(StaticSecret::from(bytes))
}

impl Walk<'_> {
    /// Makes the planned tunnel, or takes away what is not planned. Answers its number.
    pub(super) fn tunnel(&mut self, wanted: Option<&Tunnel>, shown: Option<&Shown>) -> Option<u32> {
        let Some(wanted) = wanted else {
            self.no_tunnel(shown);
            return None;
        };
        let index = match &mut self.path.kind {
            Kind::None => {
                self.fail(Error::Invalid(
                    "this kernel has neither WireGuard nor TUN interfaces".into(),
                ));
                return None;
            }
            Kind::Kernel(_) => match shown {
                Some(shown) if shown.kind == "wireguard" => shown.index,
                Some(_) => {
                    self.found
                        .push(format!("interface {} is no WireGuard", wanted.link));
                    return None;
                }
                None => self.create_wireguard(wanted)?,
            },
            Kind::User(_) => self.run_user(wanted, shown)?,
        };
        let right = shown.is_some_and(|s| s.index == index && s.up && s.mtu == wanted.mtu);
        if !right {
            let mut request = Request::new();
            request.begin(libc::RTM_NEWLINK, 0, &link_head(index, UP, UP));
            request.put_u32(libc::IFLA_MTU, wanted.mtu);
            self.differs(format!("bring up interface {}", wanted.link), &mut request);
        }
        // What comes by it has the address of a node, whose way is another: allowed where an interface has an address, whatever
        // that is. This one is nobody's, and is never the source of anything.
        self.switch(&wanted.link, "ipv4", "rp_filter", "2");
        let dummy = ipnet::Ipv4Net::new_assert(DUMMY, 32);
        self.address(&wanted.link, index, dummy.into(), libc::RT_SCOPE_HOST);
        self.switch(&wanted.link, "ipv6", "disable_ipv6", "1");
        self.keys(wanted, index);
        Some(index)
    }

    fn create_wireguard(&mut self, wanted: &Tunnel) -> Option<u32> {
        let mut request = Request::new();
        request.begin(libc::RTM_NEWLINK, CREATE, &link_head(0, 0, 0));
        request
            .put_text(libc::IFLA_IFNAME, &wanted.link)
            .put_u32(libc::IFLA_MTU, wanted.mtu)
            .nest(libc::IFLA_LINKINFO, |info| {
                info.put_text(libc::IFLA_INFO_KIND, "wireguard");
            });
        self.differs(
            format!("create WireGuard interface {}", wanted.link),
            &mut request,
        );
        self.index(&wanted.link)
    }

    /// The thread runs and has the interface that is there.
    fn run_user(&mut self, wanted: &Tunnel, shown: Option<&Shown>) -> Option<u32> {
        let Kind::User(running) = &mut self.path.kind else {
            return None;
        };
        let index = shown.map(|shown| shown.index);
        if let Some(index) = index
            && running.as_ref().is_some_and(|r| r.serves(index, wanted.port))
        {
            return Some(index);
        }
        self.found.push(format!("serve TUN interface {}", wanted.link));
        if !self.change {
            return index;
        }
        *running = None;
        if shown.is_some() {
            // A daemon's interface goes with it; this one is somebody else's, or persists against our will.
            self.remove_link(&wanted.link);
        }
        let secret = self.path.secret.clone();
        let started = user::Running::start(&wanted.link, secret, wanted.port);
        let started = started.and_then(|started| {
            self.index(&wanted.link)
                .map(|index| started.with_index(index))
                .ok_or_else(|| Error::Invalid(format!("interface {} went away", wanted.link)))
        });
        match started {
            Ok(started) => {
                let index = started.index();
                self.path.kind = Kind::User(Some(started));
                Some(index)
            }
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    fn keys(&mut self, wanted: &Tunnel, index: u32) {
        let change = self.change;
        let found = match &mut self.path.kind {
            Kind::Kernel(kernel) => kernel.bring(wanted, index, &self.path.secret, change),
            Kind::User(Some(running)) => Ok(running.bring(wanted, change)),
            _ => Ok(Vec::new()),
        };
        match found {
            Ok(found) => self.found.extend(found),
            Err(error) => self.fail(error),
        }
    }

    fn no_tunnel(&mut self, shown: Option<&Shown>) {
        if self.change
            && let Kind::User(running) = &mut self.path.kind
            && running.take().is_some()
        {
            // Its interface went with it.
            self.found.push(format!("remove interface {}", self.path.link));
            return;
        }
        if shown.is_some() {
            let link = self.path.link.clone();
            self.remove_link(&link);
        }
    }

    pub(super) fn remove_link(&mut self, name: &str) {
        let mut request = Request::new();
        request.begin(libc::RTM_DELLINK, 0, &link_head(0, 0, 0));
        request.put_text(libc::IFLA_IFNAME, name);
        self.differs(format!("remove interface {name}"), &mut request);
    }
}
