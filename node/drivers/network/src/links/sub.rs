//! Interfaces that share one of the host's: macvlan, with a hardware address of their own, and ipvlan, with the host's.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU32, Ordering};

use super::inside::{Inside, set_up};
use super::{FILTER_SKIP_STATS, Links, UP, ask_link, check_name, link, link_head, parse};
use crate::error::{Error, Result};
use crate::netlink::Request;
use crate::netns::Netns;

const MACVLAN_MODE: u16 = 1;
const IPVLAN_MODE: u16 = 1;
const IPVLAN_FLAGS: u16 = 2;
const VLAN_ID: u16 = 1;
const VETH_PEER: u16 = 1;
/// Numbers for names that interfaces have on their way into a container.
static PASSING: AtomicU32 = AtomicU32::new(0);
const CREATE: u16 = libc::NLM_F_CREATE as u16 | libc::NLM_F_EXCL as u16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubKind {
    /// `MACVLAN_MODE_…`
    Macvlan { mode: u32 },
    /// `IPVLAN_MODE_…` and `IPVLAN_F_…`
    Ipvlan { mode: u16, flags: u16 },
}

/// What to make on which interface of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sub {
    pub parent: String,
    pub kind: SubKind,
    pub inside: Inside,
    pub mac: Option<[u8; 6]>,
    pub mtu: Option<u32>,
}

impl SubKind {
    fn name(self) -> &'static str {
        match self {
            SubKind::Macvlan { .. } => "macvlan",
            SubKind::Ipvlan { .. } => "ipvlan",
        }
    }

    fn describe(self, request: &mut Request) {
        request.nest(libc::IFLA_LINKINFO, |info| {
            info.put_text(libc::IFLA_INFO_KIND, self.name());
            info.nest(libc::IFLA_INFO_DATA, |data| match self {
                SubKind::Macvlan { mode } => drop(data.put_u32(MACVLAN_MODE, mode)),
                SubKind::Ipvlan { mode, flags } => {
                    data.put(IPVLAN_MODE, &mode.to_ne_bytes())
                        .put(IPVLAN_FLAGS, &flags.to_ne_bytes());
                }
            });
        });
    }
}

impl Links {
    /// Makes the interface on its parent, already inside of the container, and sets it up there.
    pub fn plug_sub(&self, netns: &Netns, sub: &Sub) -> Result<()> {
        check_name(&sub.inside.name)?;
        let mut socket = self.socket.lock();
        let parent = link(&mut socket, &sub.parent)?
            .as_ref()
            .and_then(parse)
            .ok_or_else(|| super::missing(&sub.parent))?;
        // Kernels before 6.13 look for the name among the host's interfaces too, and the host may well have an eth0.
        let passing = format!(
            "st{:x}-{:x}",
            std::process::id(),
            PASSING.fetch_add(1, Ordering::Relaxed) & 0xffff
        );
        let mut request = Request::new();
        request.begin(libc::RTM_NEWLINK, CREATE, &link_head(0, 0, 0));
        request
            .put_text(libc::IFLA_IFNAME, &passing)
            .put_u32(libc::IFLA_LINK, parent.index)
            .put_u32(libc::IFLA_NET_NS_FD, netns.as_fd().as_raw_fd() as u32);
        if let Some(mtu) = sub.mtu {
            request.put_u32(libc::IFLA_MTU, mtu);
        }
        if let (Some(mac), SubKind::Macvlan { .. }) = (sub.mac, sub.kind) {
            request.put(libc::IFLA_ADDRESS, &mac);
        }
        sub.kind.describe(&mut request);
        socket.exchange(&mut request, |_| {
            format!("make a {} interface on {}", sub.kind.name(), sub.parent)
        })?;
        drop(socket);
        let done = name_inside(netns, &passing, &sub.inside.name)
            .and_then(|index| set_up(netns, &sub.inside, index));
        if done.is_err() {
            for name in [&passing, &sub.inside.name] {
                let _ = Self::unplug_inside(netns, name);
            }
        }
        done
    }

    /// Removes an interface inside of a namespace; one that is not there is no error.
    pub fn unplug_inside(netns: &Netns, name: &str) -> Result<()> {
        check_name(name)?;
        let mut request = Request::new();
        request.begin(libc::RTM_DELLINK, 0, &link_head(0, 0, 0));
        request.put_text(libc::IFLA_IFNAME, name);
        match netns
            .socket()
            .lock()
            .exchange(&mut request, |_| format!("remove interface {name}"))
        {
            Err(e) if !e.is_not_found() => Err(e),
            _ => Ok(()),
        }
    }

    /// Whether the kernel has this kind of interface: one is made between nothing and nothing, and is gone again.
    pub fn has_kind(&self, kind: SubKind, parent: &str) -> Result<()> {
        let probe = format!("sp{}", std::process::id());
        let mut socket = self.socket.lock();
        let index = link(&mut socket, parent)?
            .as_ref()
            .and_then(parse)
            .map(|shown| shown.index)
            .ok_or_else(|| super::missing(parent))?;
        let mut request = Request::new();
        request.begin(libc::RTM_NEWLINK, CREATE, &link_head(0, 0, 0));
        request
            .put_text(libc::IFLA_IFNAME, &probe)
            .put_u32(libc::IFLA_LINK, index);
        kind.describe(&mut request);
        let made = socket.exchange(&mut request, |_| format!("make a {} interface", kind.name()));
        drop(socket);
        match made {
            Ok(_) => self.remove(&probe),
            Err(e) if e.errno() == Some(libc::EOPNOTSUPP) => Err(Error::Invalid(format!(
                "this host's kernel has no {} interfaces (CONFIG_{}): the {} driver cannot be used here",
                kind.name(),
                kind.name().to_uppercase(),
                kind.name()
            ))),
            // The parent does not take one now (it is busy with another kind), but the kernel knows what it is.
            Err(e) if e.errno() == Some(libc::EBUSY) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// A parent of our own that leads nowhere, for a network that was given none.
    pub fn ensure_dummy(&self, name: &str) -> Result<()> {
        let dummy = self.make(name, |request| {
            request.nest(libc::IFLA_LINKINFO, |info| {
                info.put_text(libc::IFLA_INFO_KIND, "dummy");
            });
        });
        match dummy {
            // A cable whose other end hangs loose leads as little anywhere.
            Err(e) if e.errno() == Some(libc::EOPNOTSUPP) => self.make_loose(name),
            done => done,
        }
    }

    fn make_loose(&self, name: &str) -> Result<()> {
        let end = name.replacen("dm-", "dl-", 1);
        self.make(name, |request| {
            request.nest(libc::IFLA_LINKINFO, |info| {
                info.put_text(libc::IFLA_INFO_KIND, "veth");
                info.nest(libc::IFLA_INFO_DATA, |data| {
                    data.nest(VETH_PEER, |peer| {
                        peer.raw(&link_head(0, 0, 0));
                        peer.put_text(libc::IFLA_IFNAME, &end);
                    });
                });
            });
            // Without it the first one has no carrier, and nothing passes between the interfaces on it.
            request.begin(libc::RTM_NEWLINK, 0, &link_head(0, UP, UP));
            request.put_text(libc::IFLA_IFNAME, &end);
        })
    }

    /// The part of `parent` that carries frames of this VLAN.
    pub fn ensure_vlan(&self, name: &str, parent: &str, vlan: u16) -> Result<()> {
        let index = self.get(parent)?.ok_or_else(|| super::missing(parent))?.index;
        self.make(name, |request| {
            request.put_u32(libc::IFLA_LINK, index);
            request.nest(libc::IFLA_LINKINFO, |info| {
                info.put_text(libc::IFLA_INFO_KIND, "vlan");
                info.nest(libc::IFLA_INFO_DATA, |data| {
                    data.put(VLAN_ID, &vlan.to_ne_bytes());
                });
            });
        })
    }

    fn make(&self, name: &str, describe: impl FnOnce(&mut Request)) -> Result<()> {
        check_name(name)?;
        let mut request = Request::new();
        request.begin(libc::RTM_NEWLINK, CREATE, &link_head(0, UP, UP));
        request.put_text(libc::IFLA_IFNAME, name);
        describe(&mut request);
        match self
            .socket
            .lock()
            .exchange(&mut request, |_| format!("make interface {name}"))
        {
            Err(e) if !e.is_exists() => Err(e),
            _ => Ok(()),
        }
    }
}

/// Gives an interface inside of a namespace its name. Answers its number.
fn name_inside(netns: &Netns, passing: &str, name: &str) -> Result<u32> {
    let what = || format!("look up interface {passing}");
    let mut inside = netns.socket().lock();
    let mut request = Request::new();
    ask_link(&mut request, passing, FILTER_SKIP_STATS);
    let answers = inside.exchange(&mut request, |_| what())?;
    let index = answers
        .iter()
        .find(|(_, m)| m.kind == libc::RTM_NEWLINK)
        .and_then(|(_, m)| m.u32(4))
        .ok_or_else(|| Error::Malformed { what: what() })?;
    let mut request = Request::new();
    request.begin(libc::RTM_NEWLINK, 0, &link_head(index, 0, 0));
    request.put_text(libc::IFLA_IFNAME, name);
    inside.exchange(&mut request, |_| format!("name interface {passing} {name}"))?;
    Ok(index)
}
