//! The short way of frames between containers of one network: from a cable to another cable, or to the VXLAN interface and
//! from there, past the bridge.
//!
//! A bridge on the host shows every frame to the host's rules (`bridge-nf-call-iptables`), ours and everybody else's, which
//! tells a third more than it costs to carry it. These rules are not about frames of an overlay, which begin and end in
//! containers. What this table does not name goes by the bridge as it would without it: broadcasts, and everything where the
//! kernel cannot do this. The ingress network has no short way, since its frames begin or end on the host.

use std::collections::BTreeMap;

use shoal_node_core_host::overlay::{Changes, Plan, Segment};

use super::leads::Part;
use super::ruleset::{Chain, Ruleset, Set, TYPE_ETHER, TYPE_INTERFACE};
use super::table::{FAMILY_NETDEV, Tables};
use super::{Differences, Overlays};
use crate::error::Result;
use crate::expression::Expressions;
use crate::links::{LINK_HEAD_BYTES, parse};
use crate::netlink::{Family, Socket};

const INGRESS: u32 = 0;
const PRIORITY: i32 = 0;

type Mac = [u8; 6];

/// A container's cable on a network, and who is at its other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub bridge: String,
    pub host_link: String,
    pub mac: Mac,
}

#[derive(Debug)]
pub(super) struct Short {
    tables: Tables,
    socket: Socket,
    /// Interfaces that were on their bridges when last looked at, with their numbers, by bridge.
    links: BTreeMap<String, BTreeMap<String, u32>>,
    /// The kernel would not have it: it is asked again at the next look, and nobody is told each time.
    refused: bool,
}

pub(super) fn table_name(sid: &str) -> String {
    format!("shoal-{sid}-short")
}

impl Short {
    pub fn open(sid: &str) -> Result<Short> {
        Ok(Short {
            tables: Tables::of_family(FAMILY_NETDEV, table_name(sid))?,
            socket: Socket::open(Family::Route)?,
            links: BTreeMap::new(),
            refused: false,
        })
    }

    pub fn port(&self) -> u32 {
        self.tables.port()
    }

    /// Interfaces by the bridge that they are on.
    fn look(&mut self) -> Result<BTreeMap<String, BTreeMap<String, u32>>> {
        let build = |request: &mut crate::netlink::Request| {
            request.begin(libc::RTM_GETLINK, 0, &[0; LINK_HEAD_BYTES]);
            request.put_u32(libc::IFLA_EXT_MASK, crate::links::FILTER_SKIP_STATS);
        };
        let messages = self.socket.dump(build, "list interfaces")?;
        let shown = messages.iter().filter_map(|message| {
            let master = message.attributes(LINK_HEAD_BYTES).u32(libc::IFLA_MASTER);
            Some((parse(message)?, master))
        });
        let shown: Vec<_> = shown.collect();
        let mut links: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
        let names: BTreeMap<u32, &str> = shown.iter().map(|(s, _)| (s.index, s.name.as_str())).collect();
        for (link, master) in &shown {
            if let Some(bridge) = master.and_then(|index| names.get(&index)) {
                let on = links.entry((*bridge).to_owned()).or_default();
                on.insert(link.name.clone(), link.index);
            }
        }
        Ok(links)
    }

    /// Nothing of it stays where it cannot be brought about: an interface that is named wrongly would get frames for nobody.
    fn bring(&mut self, wanted: Option<&Ruleset>, recheck: bool, change: bool) -> Result<Differences> {
        let done = self.tables.bring(wanted, recheck, change);
        match done {
            Ok(found) => {
                self.refused &= !change;
                Ok(found)
            }
            Err(error) => {
                let told = std::mem::replace(&mut self.refused, true);
                let removed = self.tables.remove();
                match told && removed.is_ok() {
                    true => Ok(Differences::new()),
                    false => Err(error),
                }
            }
        }
    }
}

impl Overlays {
    /// Lays the short ways between these ports and the other nodes, or tells how far they are from it. Interfaces are looked
    /// at anew, and ports are asked for when nobody else is at it. Without short ways all goes by the bridges, so an error is
    /// no reason to stop.
    pub fn shorten(
        &self,
        plan: &Plan,
        ports: impl FnOnce() -> Vec<Port>,
        recheck: bool,
        change: bool,
    ) -> Result<Differences> {
        let mut short = self.short.lock();
        let wanted = match plan.segments.is_empty() {
            true => None,
            false => {
                short.links = short.look()?;
                ruleset(plan, &short.links, &ports())
            }
        };
        if short.refused && !change {
            return Ok(Differences::new());
        }
        short.bring(wanted.as_ref(), recheck, change)
    }

    /// Who is on other nodes, where that alone has changed.
    pub fn change_short(&self, plan: &Plan, changes: &Changes) -> Result<()> {
        let mut short = self.short.lock();
        let parts = changes.forwarding.iter().filter_map(|(id, mac)| {
            let segment = plan.segments.get(id)?;
            let vxlan = *short.links.get(&segment.bridge)?.get(&segment.vxlan)?;
            let there = segment.forwarding.get(mac);
            Some(Part {
                set: segment.bridge.clone(),
                prefix: mac.to_vec(),
                elements: there.map(|_| element(mac, vxlan)).into_iter().collect(),
            })
        });
        let parts: Vec<Part> = parts.collect();
        let ingress = plan.ingress.as_ref().map(|ingress| ingress.bridge.as_str());
        let parts: Vec<Part> = parts
            .into_iter()
            .filter(|p| Some(p.set.as_str()) != ingress)
            .collect();
        if parts.is_empty() || short.refused {
            return Ok(());
        }
        // What has no place yet gets one at the next look.
        let changed = short.tables.change(&parts);
        if changed.is_err() {
            let _ = short.tables.remove();
        }
        changed.map(drop)
    }
}

/// One map for each network, so that nobody reaches another network by a hardware address, and one chain for each cable: the
/// kernel takes 256 interfaces in one, and who comes and goes is no reason to write the others anew. Nothing when there is no
/// network with somebody on it here.
fn ruleset(plan: &Plan, links: &BTreeMap<String, BTreeMap<String, u32>>, ports: &[Port]) -> Option<Ruleset> {
    let mut rules = Ruleset {
        sets: BTreeMap::new(),
        chains: Vec::new(),
    };
    let ingress = plan.ingress.as_ref().map(|ingress| ingress.bridge.as_str());
    for segment in plan.segments.values() {
        let bridge = segment.bridge.as_str();
        let Some(on) = links.get(bridge).filter(|_| ingress != Some(bridge)) else {
            continue;
        };
        let here: BTreeMap<&str, (Mac, u32)> = ports
            .iter()
            .filter(|port| port.bridge == bridge)
            .filter_map(|port| Some((port.host_link.as_str(), (port.mac, *on.get(&port.host_link)?))))
            .collect();
        if here.is_empty() {
            continue;
        }
        let vxlan = on
            .get(&segment.vxlan)
            .map(|index| (segment.vxlan.as_str(), *index));
        let cables = here.iter().map(|(name, (_, index))| (*name, *index));
        rules
            .sets
            .insert(bridge.to_owned(), map(segment, vxlan.map(|v| v.1), &here));
        rules.chains.extend(cables.chain(vxlan).map(|(name, index)| {
            let rule = Expressions::new().leave_by_target(bridge).finish();
            let mut chain = Chain::new(name.to_owned(), "filter", (INGRESS, PRIORITY), vec![rule]);
            chain.devices = [(name.to_owned(), index)].into();
            chain
        }));
    }
    (!rules.chains.is_empty()).then_some(rules)
}

fn map(segment: &Segment, vxlan: Option<u32>, here: &BTreeMap<&str, (Mac, u32)>) -> Set {
    let others = segment.forwarding.keys().zip(std::iter::repeat(vxlan));
    let others = others.filter_map(|(mac, vxlan)| Some(element(mac, vxlan?)));
    let own = here.values().map(|(mac, index)| element(mac, *index));
    Set {
        key_type: TYPE_ETHER,
        key_bytes: 6,
        data: Some((TYPE_INTERFACE, 4)),
        // Who is here is not elsewhere, whatever was heard of before.
        elements: others.chain(own).collect(),
    }
}

fn element(mac: &Mac, index: u32) -> (Vec<u8>, Vec<u8>) {
    (mac.to_vec(), index.to_ne_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shoal_node_core_host::overlay::{Layout, Tracks};
    use shoal_raft_objects::network::{OVERLAY, mac_of};
    use shoal_raft_objects::track::{EndpointTrack, PeerTrack};
    use shoal_raft_objects::{Attachment, Network, NodeId, Subnet, Track};

    use super::*;

    fn network(id: &str, n: u8) -> Track {
        let mut network = Network {
            id: id.into(),
            vni: Some(u32::from(n)),
            subnets: vec![Subnet {
                subnet: format!("10.{n}.0.0/16"),
                gateway: format!("10.{n}.0.1"),
                ..Default::default()
            }],
            ..Default::default()
        };
        network.spec.annotations.name = id.into();
        network.spec.driver = OVERLAY.into();
        network.spec.ingress = n == 0;
        Track::Network(network)
    }

    fn place(holder: &str, network: &str, n: u8, last: u8) -> Attachment {
        Attachment {
            network: network.into(),
            address: [10, n, 0, last].into(),
            prefix_len: 16,
            address6: None,
            mac: mac_of(holder, network),
            aliases: Vec::new(),
        }
    }

    /// This node and another one, which has a task on the ingress network and on two more.
    fn plan() -> Plan {
        let nodes = (0..2u8).map(|n| {
            let node = format!("n{n}");
            Track::Peer(PeerTrack {
                addr: format!("192.0.2.{}", n + 1),
                port: 4789,
                places: vec![place(&node, "ing", 0, 2 + n)],
                node: node.as_str().into(),
                ..Default::default()
            })
        });
        let task = Track::Endpoint(EndpointTrack {
            places: (0..3u8)
                .map(|n| place("far", ["ing", "mesh", "other"][usize::from(n)], n, 9))
                .collect(),
            task: "far".into(),
            node: "n1".into(),
            live: true,
            ..Default::default()
        });
        let networks = [network("ing", 0), network("mesh", 1), network("other", 2)];
        let all = nodes.chain(networks).chain([task]);
        let tracks: Tracks = all.map(|track| (track.key(), Arc::new(track))).collect();
        Layout::of("abcdef01", &NodeId::from("n0"), tracks).plan().clone()
    }

    fn links(plan: &Plan, more: &[(&str, &str, u32)]) -> BTreeMap<String, BTreeMap<String, u32>> {
        let mut links: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
        for segment in plan.segments.values() {
            let on = links.entry(segment.bridge.clone()).or_default();
            on.insert(segment.vxlan.clone(), 100 + segment.vni);
        }
        for (network, link, index) in more {
            let on = links.entry(plan.segments[*network].bridge.clone()).or_default();
            on.insert((*link).to_owned(), *index);
        }
        links
    }

    fn port(plan: &Plan, network: &str, host_link: &str, last: u8) -> Port {
        Port {
            bridge: plan.segments[network].bridge.clone(),
            host_link: host_link.into(),
            mac: [2, 0, 0, 0, 0, last],
        }
    }

    #[test]
    fn each_network_knows_its_own_and_the_ingress_network_has_no_short_way() {
        let plan = plan();
        let far = |network: &str| mac_of("far", network);
        let links = links(&plan, &[("mesh", "a", 7), ("mesh", "b", 8), ("ing", "c", 9)]);
        let ports = [
            port(&plan, "mesh", "a", 1),
            port(&plan, "mesh", "b", 2),
            // Not on its bridge, or not there any more.
            port(&plan, "mesh", "gone", 3),
            port(&plan, "ing", "c", 4),
        ];
        let rules = ruleset(&plan, &links, &ports).expect("somebody is there");
        let bridge = plan.segments["mesh"].bridge.as_str();
        let vxlan = plan.segments["mesh"].vxlan.as_str();
        let cables = [("a", 7), ("b", 8), (vxlan, 101)];
        let names: Vec<&str> = rules.chains.iter().map(|chain| chain.name.as_ref()).collect();
        assert_eq!(
            names,
            cables.map(|(name, _)| name),
            "nobody of ours is on the other one"
        );
        for (chain, (name, index)) in rules.chains.iter().zip(cables) {
            assert_eq!(chain.devices, [(name.to_owned(), index)].into());
        }
        let wanted = [
            ([2, 0, 0, 0, 0, 1], 7),
            ([2, 0, 0, 0, 0, 2], 8),
            (far("mesh"), 101),
        ];
        assert_eq!(
            rules.sets[bridge].elements,
            wanted.iter().map(|(mac, n)| element(mac, *n)).collect()
        );
        assert_eq!(rules.sets.len(), 1);
    }

    #[test]
    fn who_is_here_is_not_sent_to_the_node_that_had_it() {
        let plan = plan();
        let links = links(&plan, &[("mesh", "a", 7)]);
        let mut own = port(&plan, "mesh", "a", 1);
        own.mac = mac_of("far", "mesh");
        let rules = ruleset(&plan, &links, &[own.clone()]).expect("somebody is there");
        let map = &rules.sets[&own.bridge];
        assert_eq!(map.elements, [element(&own.mac, 7)].into());
        assert!(ruleset(&plan, &links, &[]).is_none());
    }
}
