//! A cable between a bridge and a container: a pair of virtual interfaces.

use std::os::fd::{AsFd, AsRawFd};

use super::inside::{Inside, set_up};
use super::{FILTER_SKIP_STATS, LINK_HEAD_BYTES, Links, UP, ask_link, check_name, link_head};
use crate::error::{Error, Result};
use crate::netlink::{Message, Request};
use crate::netns::Netns;

const PEER: u16 = 1;
const INFO_SLAVE_KIND: u16 = 4;
const INFO_SLAVE_DATA: u16 = 5;
const PORT_HAIRPIN: u16 = 4;
const PORT_ISOLATED: u16 = 33;
const BRIDGED_FILE: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/// What to plug in where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cable {
    pub bridge: String,
    /// The host's end, see `netplan::host_link`.
    pub host_link: String,
    /// The container's end.
    pub inside: Inside,
    pub mac: [u8; 6],
    pub mtu: u32,
    /// Other containers of the bridge cannot reach it (`icc` off).
    pub isolated: bool,
}

impl Links {
    /// Lays the cable: one write on the host's side makes the pair with its far end already in the container, one write
    /// inside sets loopback, address and route. On an error the cable is gone again. A cable of the same name is replaced.
    pub fn plug(&self, netns: &Netns, cable: &Cable) -> Result<()> {
        check_name(&cable.host_link)?;
        check_name(&cable.inside.name)?;
        let peer = match self.lay(netns, cable) {
            // The cable of the container's last life: the kernel takes it away a moment after the last process.
            Err(e) if e.is_exists() => {
                self.remove(&cable.host_link)?;
                self.lay(netns, cable)?
            }
            other => other?,
        };
        let inside = set_up(netns, &cable.inside, peer);
        if inside.is_err() {
            let _ = self.remove(&cable.host_link);
        }
        inside
    }

    /// Takes the cable away; one that is not there is no error. This waits some tens of milliseconds until no processor
    /// of the host can still see it. A namespace that nobody holds any more takes its cables with it in the background,
    /// so a container that ends needs no unplugging.
    pub fn unplug(&self, host_link: &str) -> Result<()> {
        self.remove(host_link)
    }

    /// Answers the index of the far end.
    fn lay(&self, netns: &Netns, cable: &Cable) -> Result<u32> {
        let mut socket = self.socket.lock();
        // The bridge's index is asked for each time: it may have been made anew.
        let mut request = Request::new();
        ask_link(&mut request, &cable.bridge, FILTER_SKIP_STATS);
        let what = || format!("look up bridge {}", cable.bridge);
        let answers = socket.exchange(&mut request, |_| what())?;
        let bridge = index_of(&answers).ok_or_else(|| Error::Malformed { what: what() })?;

        let mut request = Request::new();
        let create = libc::NLM_F_CREATE as u16 | libc::NLM_F_EXCL as u16;
        request.begin(libc::RTM_NEWLINK, create, &link_head(0, UP, UP));
        // One queue: the kernel would make one for each processor of the host, and a cable needs no locks between them.
        request
            .put_text(libc::IFLA_IFNAME, &cable.host_link)
            .put_u32(libc::IFLA_MTU, cable.mtu)
            .put_u32(libc::IFLA_MASTER, bridge)
            .put_u32(libc::IFLA_NUM_TX_QUEUES, 1)
            .put_u32(libc::IFLA_NUM_RX_QUEUES, 1);
        request.nest(libc::IFLA_LINKINFO, |info| {
            info.put_text(libc::IFLA_INFO_KIND, "veth");
            info.nest(libc::IFLA_INFO_DATA, |data| {
                data.nest(PEER, |peer| {
                    // It cannot come up yet: the other end does not exist while it is made.
                    peer.raw(&link_head(0, 0, 0));
                    peer.put_text(libc::IFLA_IFNAME, &cable.inside.name)
                        .put_u32(libc::IFLA_MTU, cable.mtu)
                        .put(libc::IFLA_ADDRESS, &cable.mac)
                        .put_u32(libc::IFLA_NUM_TX_QUEUES, 1)
                        .put_u32(libc::IFLA_NUM_RX_QUEUES, 1)
                        .put_u32(libc::IFLA_NET_NS_FD, netns.as_fd().as_raw_fd() as u32);
                });
            });
        });
        set_port(&mut request, &cable.host_link, cable.isolated);
        ask_link(&mut request, &cable.host_link, FILTER_SKIP_STATS);
        let what = || format!("plug {} into bridge {}", cable.host_link, cable.bridge);
        let answers = match socket.exchange(&mut request, |_| what()) {
            Ok(answers) => answers,
            Err(e) => {
                drop(socket);
                // Of somebody else's making it is only when it was there before.
                if !e.is_exists() {
                    let _ = self.remove(&cable.host_link);
                }
                return Err(e);
            }
        };
        peer_of(&answers).ok_or_else(|| Error::Malformed { what: what() })
    }
}

/// How the bridge treats a cable. Where the host's IP rules see bridged packets, a connection to the container's own
/// published port turns round on the bridge, and the rules keep neighbours apart. Elsewhere it is routed, and rules see
/// no neighbours.
pub(super) fn set_port(request: &mut Request, host_link: &str, isolated: bool) {
    let bridged = std::fs::read_to_string(BRIDGED_FILE).is_ok_and(|on| on.trim() == "1");
    let option = match (bridged, isolated) {
        (true, _) => PORT_HAIRPIN,
        (false, true) => PORT_ISOLATED,
        (false, false) => return,
    };
    request.begin(libc::RTM_NEWLINK, 0, &link_head(0, 0, 0));
    request
        .put_text(libc::IFLA_IFNAME, host_link)
        .nest(libc::IFLA_LINKINFO, |info| {
            info.put_text(INFO_SLAVE_KIND, "bridge")
                .nest(INFO_SLAVE_DATA, |data| {
                    data.put_u8(option, 1);
                });
        });
}

fn index_of(answers: &[(usize, Message)]) -> Option<u32> {
    answers
        .iter()
        .find(|(_, m)| m.kind == libc::RTM_NEWLINK)?
        .1
        .u32(4)
}

/// What the host's end says about the other one: its index over there.
fn peer_of(answers: &[(usize, Message)]) -> Option<u32> {
    answers
        .iter()
        .find(|(_, m)| m.kind == libc::RTM_NEWLINK)?
        .1
        .attributes(LINK_HEAD_BYTES)
        .u32(libc::IFLA_LINK)
}
