//! Bridges and VXLAN interfaces.

use std::net::Ipv4Addr;

use shoal_node_core_host::overlay::{Plan, Segment, tunnel_name};

use super::{Known, Walk};
use crate::links::{LINK_HEAD_BYTES, UP, link_head};
use crate::netlink::{Message, Request};

const VXLAN_ID: u16 = 1;
const VXLAN_LINK: u16 = 3;
const VXLAN_LOCAL: u16 = 4;
const VXLAN_LEARNING: u16 = 7;
const VXLAN_PROXY: u16 = 11;
const VXLAN_PORT: u16 = 15;
const CREATE: u16 = libc::NLM_F_CREATE as u16 | libc::NLM_F_EXCL as u16;
const FILTER_SKIP_STATS: u32 = 8;

pub(super) struct Shown {
    pub index: u32,
    pub up: bool,
    pub mtu: u32,
    master: u32,
    address: Vec<u8>,
    pub kind: String,
    vxlan: Option<Vxlan>,
}

#[derive(PartialEq, Eq)]
struct Vxlan {
    id: u32,
    /// What it sends by, whatever the routes say; 0 is by the routes.
    link: u32,
    local: Option<Ipv4Addr>,
    learning: bool,
    proxy: bool,
    port: u16,
}

impl Walk<'_> {
    /// Makes what is planned and removes what is not. Answers the interfaces; nothing when they cannot be listed.
    pub(super) fn links(&mut self, prefixes: &[String], plan: &Plan) -> Option<Known> {
        let build = |request: &mut Request| {
            request.begin(libc::RTM_GETLINK, 0, &[0; LINK_HEAD_BYTES]);
            request.put_u32(libc::IFLA_EXT_MASK, FILTER_SKIP_STATS);
        };
        let messages = match self.socket.dump(build, "list interfaces") {
            Ok(messages) => messages,
            Err(error) => {
                self.fail(error);
                return None;
            }
        };
        let tunnel = tunnel_name(self.sid);
        let ours =
            |name: &str| name == tunnel || prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
        let mut there: std::collections::BTreeMap<String, Shown> = messages
            .iter()
            .filter_map(parse)
            .filter(|(name, _)| ours(name))
            .collect();
        // Before what is bound to it. VXLAN interfaces go with a tunnel that goes.
        let by = self.tunnel(plan.tunnel.as_ref(), there.remove(&tunnel).as_ref());
        let planned = |name: &str| {
            plan.segments
                .values()
                .any(|s| s.bridge == name || s.vxlan == name)
        };
        let mut gone: Vec<String> = there.keys().filter(|name| !planned(name)).cloned().collect();
        // An interface cannot be told another address or port: it is made anew.
        for segment in plan.segments.values() {
            let fits = there
                .get(&segment.vxlan)
                .is_none_or(|s| s.vxlan.is_some() && s.vxlan == wanted(segment, by));
            if !fits {
                gone.push(segment.vxlan.clone());
            }
        }
        for name in gone {
            self.remove_link(&name);
            there.remove(&name);
        }
        let mut known = Known::new();
        known.extend(by.map(|index| (tunnel, index)));
        for segment in plan.segments.values() {
            let Some(bridge) = self.bridge(segment, there.get(&segment.bridge)) else {
                continue;
            };
            known.insert(segment.bridge.clone(), bridge);
            if let Some(vxlan) = self.vxlan(segment, (bridge, by), there.get(&segment.vxlan)) {
                known.insert(segment.vxlan.clone(), vxlan);
            }
        }
        Some(known)
    }

    fn bridge(&mut self, segment: &Segment, shown: Option<&Shown>) -> Option<u32> {
        let mac = segment.mac;
        let name = &segment.bridge;
        if let Some(shown) = shown {
            if shown.kind != "bridge" {
                self.found.push(format!("interface {name} is no bridge"));
                return None;
            }
            if !shown.up || shown.mtu != segment.mtu || shown.address != mac {
                let mut request = Request::new();
                request.begin(libc::RTM_NEWLINK, 0, &link_head(shown.index, UP, UP));
                request
                    .put_u32(libc::IFLA_MTU, segment.mtu)
                    .put(libc::IFLA_ADDRESS, &mac);
                self.differs(format!("set up bridge {name}"), &mut request);
            }
            return Some(shown.index);
        }
        let mut request = Request::new();
        request.begin(libc::RTM_NEWLINK, CREATE, &link_head(0, 0, 0));
        request
            .put_text(libc::IFLA_IFNAME, name)
            .put_u32(libc::IFLA_MTU, segment.mtu)
            .put(libc::IFLA_ADDRESS, &mac)
            .nest(libc::IFLA_LINKINFO, |info| {
                info.put_text(libc::IFLA_INFO_KIND, "bridge");
            });
        self.differs(
            format!("create bridge {name} of network {}", segment.name),
            &mut request,
        );
        let index = self.index(name)?;
        // No address that nobody asked for; a kernel without IPv6 has no such file.
        let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
        let mut request = Request::new();
        request.begin(libc::RTM_NEWLINK, 0, &link_head(index, UP, UP));
        self.differs(format!("bring up bridge {name}"), &mut request);
        Some(index)
    }

    fn vxlan(
        &mut self,
        segment: &Segment,
        (bridge, tunnel): (u32, Option<u32>),
        shown: Option<&Shown>,
    ) -> Option<u32> {
        let name = &segment.vxlan;
        if let Some(shown) = shown {
            if !shown.up || shown.mtu != segment.mtu || shown.master != bridge {
                let mut request = Request::new();
                request.begin(libc::RTM_NEWLINK, 0, &link_head(shown.index, UP, UP));
                request
                    .put_u32(libc::IFLA_MTU, segment.mtu)
                    .put_u32(libc::IFLA_MASTER, bridge);
                self.differs(format!("set up VXLAN interface {name}"), &mut request);
            }
            return Some(shown.index);
        }
        let vxlan = wanted(segment, tunnel)?;
        let mut request = Request::new();
        request.begin(libc::RTM_NEWLINK, CREATE, &link_head(0, 0, 0));
        request
            .put_text(libc::IFLA_IFNAME, name)
            .put_u32(libc::IFLA_MTU, segment.mtu)
            .nest(libc::IFLA_LINKINFO, |info| {
                info.put_text(libc::IFLA_INFO_KIND, "vxlan");
                info.nest(libc::IFLA_INFO_DATA, |data| {
                    data.put_u32(VXLAN_ID, vxlan.id);
                    if vxlan.link != 0 {
                        data.put_u32(VXLAN_LINK, vxlan.link);
                    }
                    data.put(VXLAN_LOCAL, &segment.local.octets())
                        .put_u8(VXLAN_LEARNING, 0)
                        .put_u8(VXLAN_PROXY, 1)
                        .put(VXLAN_PORT, &vxlan.port.to_be_bytes());
                });
            });
        self.differs(
            format!(
                "create VXLAN interface {name} ({}) of network {} on {}",
                segment.vni, segment.name, segment.local
            ),
            &mut request,
        );
        let index = self.index(name)?;
        let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
        let mut request = Request::new();
        request.begin(libc::RTM_NEWLINK, 0, &link_head(index, UP, UP));
        request.put_u32(libc::IFLA_MASTER, bridge);
        self.differs(format!("bring up VXLAN interface {name}"), &mut request);
        Some(index)
    }

    /// Of an interface that was just made; nothing when only looking.
    pub(super) fn index(&mut self, name: &str) -> Option<u32> {
        let mut request = Request::new();
        request.begin(libc::RTM_GETLINK, 0, &link_head(0, 0, 0));
        request
            .put_text(libc::IFLA_IFNAME, name)
            .put_u32(libc::IFLA_EXT_MASK, FILTER_SKIP_STATS);
        let answers = self
            .socket
            .exchange(&mut request, |_| format!("look up interface {name}"));
        let answers = answers.ok()?;
        answers
            .iter()
            .find(|(_, m)| m.kind == libc::RTM_NEWLINK)?
            .1
            .u32(4)
    }
}

/// Nothing for an encrypted network while there is no tunnel.
fn wanted(segment: &Segment, tunnel: Option<u32>) -> Option<Vxlan> {
    Some(Vxlan {
        id: segment.vni,
        link: match segment.tunnel {
            Some(_) => tunnel?,
            None => 0,
        },
        local: Some(segment.local),
        learning: false,
        proxy: true,
        port: segment.port,
    })
}

fn parse(message: &Message) -> Option<(String, Shown)> {
    let attributes = message.attributes(LINK_HEAD_BYTES);
    let info = attributes.nested(libc::IFLA_LINKINFO);
    let kind = info
        .and_then(|i| i.text(libc::IFLA_INFO_KIND))
        .unwrap_or_default();
    let data = info.and_then(|i| i.nested(libc::IFLA_INFO_DATA));
    let byte = |attribute: u16| {
        data.and_then(|d| d.get(attribute))
            .and_then(|v| v.first().copied())
    };
    let vxlan = (kind == "vxlan").then(|| Vxlan {
        id: data.and_then(|d| d.u32(VXLAN_ID)).unwrap_or(0),
        link: data.and_then(|d| d.u32(VXLAN_LINK)).unwrap_or(0),
        local: data
            .and_then(|d| d.get(VXLAN_LOCAL))
            .and_then(|v| <[u8; 4]>::try_from(v).ok())
            .map(Ipv4Addr::from),
        learning: byte(VXLAN_LEARNING) != Some(0),
        proxy: byte(VXLAN_PROXY) == Some(1),
        port: data
            .and_then(|d| d.get(VXLAN_PORT))
            .and_then(|v| <[u8; 2]>::try_from(v).ok())
            .map_or(0, u16::from_be_bytes),
    });
    let shown = Shown {
        index: message.u32(4)?,
        up: message.u32(8)? & UP != 0,
        mtu: attributes.u32(libc::IFLA_MTU).unwrap_or(0),
        master: attributes.u32(libc::IFLA_MASTER).unwrap_or(0),
        address: attributes.get(libc::IFLA_ADDRESS).unwrap_or_default().to_vec(),
        kind: kind.to_owned(),
        vxlan,
    };
    Some((attributes.text(libc::IFLA_IFNAME)?.to_owned(), shown))
}
