//! Cluster networks, brought along by changes: after each of them the kernel is what the whole plan says.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use shoal_node_core_host::overlay::{Changes, Layout, Plan, Tracks};
use shoal_node_drivers_network::Netns;
use shoal_node_drivers_network::overlay::{Inside, Overlays};
use shoal_raft_objects::network::{OVERLAY, mac_of};
use shoal_raft_objects::track::{EndpointTrack, PeerTrack, ServiceTrack};
use shoal_raft_objects::{Attachment, Network, NodeId, PortConfig, Subnet, Track, VirtualIp};

use crate::{on_new_host, run};

const SID: &str = "changes1";
const MESH: &str = "mesh";

type Pieces = BTreeMap<String, Option<Arc<Track>>>;

fn network(id: &str, n: u8) -> Track {
    let subnet = |subnet: String, gateway: String| Subnet {
        subnet,
        gateway,
        ..Default::default()
    };
    let mut network = Network {
        id: id.into(),
        vni: Some(4096 + u32::from(n)),
        subnets: vec![
            subnet(format!("10.{n}.0.0/16"), format!("10.{n}.0.1")),
            subnet(format!("fd00:{n}::/64"), format!("fd00:{n}::1")),
        ],
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
        address: Ipv4Addr::new(10, n, 1, last),
        prefix_len: 16,
        address6: None,
        mac: mac_of(holder, network),
        aliases: Vec::new(),
    }
}

fn frame() -> Tracks {
    let nodes = (0..3u8).map(|n| {
        let node = format!("n{n}");
        Track::Peer(PeerTrack {
            addr: format!("192.0.2.{}", n + 1),
            port: 4789,
            places: vec![place(&node, "ing", 0, 2 + n)],
            node: node.as_str().into(),
            ..Default::default()
        })
    });
    let all = nodes.chain([network("ing", 0), network(MESH, 1)]);
    all.map(|track| (track.key(), track.into())).collect()
}

fn service(n: u8, port: bool) -> Track {
    Track::Service(ServiceTrack {
        service: format!("s{n}").as_str().into(),
        name: format!("s{n}"),
        networks: vec![MESH.into()],
        virtual_ips: vec![VirtualIp {
            network: MESH.into(),
            address: Ipv4Addr::new(10, 1, 2, n),
            prefix_len: 16,
        }],
        ports: match port {
            true => vec![PortConfig {
                protocol: "tcp".into(),
                target_port: 80,
                published_port: 8000 + u16::from(n),
                ..Default::default()
            }],
            false => Vec::new(),
        },
        ..Default::default()
    })
}

fn task(n: u8, service: u8, node: u8, live: bool) -> Track {
    let id = format!("t{n}");
    Track::Endpoint(EndpointTrack {
        places: vec![place(&id, "ing", 0, 20 + n), place(&id, MESH, 1, 20 + n)],
        task: id.as_str().into(),
        service: format!("s{service}").as_str().into(),
        node: format!("n{node}").as_str().into(),
        name: id,
        live,
        ..Default::default()
    })
}

/// A container on the network, brought along as the engine does it.
struct Container {
    _netns: Netns,
    inside: Inside,
}

impl Container {
    fn change(&self, plan: &Plan, changes: &Changes) {
        let balance = &plan.segments[MESH].balance;
        let vips = changes.addresses.get(MESH).into_iter().flatten();
        let changed: Vec<_> = vips.map(|vip| (*vip, balance.get(vip))).collect();
        if changed.is_empty() {
            return;
        }
        if balance.is_empty() || !self.inside.change(&changed).expect("its addresses") {
            self.inside.balance(balance, false, true).expect("its table");
        }
    }

    fn differences(&self, plan: &Plan) -> Vec<String> {
        let balance = &plan.segments[MESH].balance;
        self.inside
            .balance(balance, true, false)
            .expect("its table is read")
    }
}

#[test]
fn a_look_reads_a_containers_table_only_after_somebody_changed_one() {
    on_new_host(|| {
        let netns = Netns::create().expect("a namespace");
        let inside = Inside::of(&netns).expect("its tables");
        let mut layout = Layout::of(SID, &NodeId::from("n0"), frame());
        let bring = |layout: &Layout, recheck: bool| {
            let balance = &layout.plan().segments[MESH].balance;
            inside.balance(balance, recheck, true).expect("its table")
        };
        let more: Pieces = [service(1, false), task(1, 1, 1, true), task(2, 1, 1, true)]
            .map(|track| (track.key(), Some(track.into())))
            .into();
        layout.change(more).expect("no network changed");
        assert_ne!(bring(&layout, false), [""; 0]);
        let before = inside.reads();
        assert_eq!(bring(&layout, true), [""; 0]);
        let first = inside.reads();
        assert!(first <= before + 1);
        for _ in 0..3 {
            assert_eq!(bring(&layout, true), [""; 0]);
        }
        assert_eq!(inside.reads(), first, "nobody changed anything");

        // What we change ourselves is known.
        let (gone, new) = (task(2, 1, 1, true), task(3, 1, 1, true));
        let changes = layout
            .change([(gone.key(), None), (new.key(), Some(new.into()))].into())
            .expect("no network changed");
        let segment = &layout.plan().segments[MESH];
        let vips: Vec<_> = changes.addresses[MESH]
            .iter()
            .map(|vip| (*vip, segment.balance.get(vip)))
            .collect();
        assert!(inside.change(&vips).expect("a change"));
        assert_eq!(bring(&layout, true), [""; 0]);
        assert_eq!(inside.reads(), first, "only we changed anything");

        // Somebody else's table, and somebody's hand in ours.
        let by_hand = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            netns.run(|| run("nft", &words)).expect("entered");
        };
        by_hand("add table inet others");
        assert_eq!(bring(&layout, true), [""; 0]);
        assert_eq!(inside.reads(), first + 1);
        by_hand("flush ruleset");
        // A comparison alone takes nobody's word.
        let balance = &layout.plan().segments[MESH].balance;
        assert_ne!(inside.balance(balance, true, false).expect("compared"), [""; 0]);
        assert_ne!(bring(&layout, true), [""; 0], "it is laid again");
        assert_eq!(inside.balance(balance, true, false).expect("compared"), [""; 0]);
    });
}

#[test]
fn a_change_brings_the_kernel_to_the_whole_plan() {
    on_new_host(|| {
        run("ip", &["address", "add", "192.0.2.1/24", "dev", "lo"]);
        let overlays = Overlays::open(SID).expect("netlink");
        let netns = Netns::create().expect("a namespace");
        let container = Container {
            inside: Inside::of(&netns).expect("its tables"),
            _netns: netns,
        };
        let mut layout = Layout::of(SID, &NodeId::from("n0"), frame());
        overlays.converge(layout.plan(), true).1.expect("it is laid");
        let mut seed = 7u32;
        let mut dice = |sides: u8| -> u8 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u8::try_from((seed >> 16) % u32::from(sides)).expect("a side")
        };
        let mut anew = 0;
        for step in 0..120 {
            let mut pieces = Pieces::new();
            for _ in 0..=dice(3) {
                let (n, of) = (dice(12), dice(4));
                let piece = match dice(6) {
                    0 => (format!("s/s{of}"), None),
                    1 => (format!("e/t{n}"), None),
                    2 => (format!("s/s{of}"), Some(service(of, dice(2) == 0).into())),
                    _ => (format!("e/t{n}"), Some(task(n, of, dice(3), dice(4) > 0).into())),
                };
                pieces.extend([piece]);
            }
            let changes = layout.change(pieces).expect("no network changed");
            let plan = layout.plan();
            let (found, done) = overlays.change(plan, &changes);
            done.expect("the change is laid");
            container.change(plan, &changes);
            anew += found.iter().filter(|f| f.starts_with("write nftables")).count();
            let differs = overlays.compare(plan).expect("the kernel is read");
            assert_eq!(differs, [""; 0], "after step {step}: {changes:#?}");
            assert_eq!(
                container.differences(plan),
                [""; 0],
                "after step {step}: {changes:#?}"
            );
        }
        assert_eq!(anew, 0, "the table was never written anew");

        // What somebody took away is all there again with the next change that meets it.
        run("nft", &["flush", "ruleset"]);
        let vxlan = layout.plan().segments[MESH].vxlan.clone();
        run("ip", &["link", "delete", &vxlan]);
        let more = [service(9, true), task(13, 9, 1, true)];
        let pieces: Pieces = more.map(|track| (track.key(), Some(track.into()))).into();
        let changes = layout.change(pieces).expect("no network changed");
        let (_, done) = overlays.change(layout.plan(), &changes);
        done.expect("the change is laid");
        let differs = overlays.compare(layout.plan()).expect("the kernel is read");
        assert_eq!(differs, [""; 0]);

        overlays.clear().expect("nothing stays");
        assert!(!run("ip", &["-br", "link"]).contains("changes"));
        assert_eq!(run("nft", &["list", "tables"]), "");
    });
}
