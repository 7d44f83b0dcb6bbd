//! Piece by piece or all at once: the same plan and the same names; and what is said to have changed is all that has.

use super::*;
use proptest::prelude::*;
use shoal_raft_objects::network::mac_of;
use shoal_raft_objects::track::{EndpointTrack, PeerTrack, ServiceTrack};
use shoal_raft_objects::{Attachment, Network, NodeId, PortConfig, Subnet, Track, VirtualIp};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

const NETWORKS: [&str; 3] = ["ing", "mesh", "other"];
const SERVICES: u8 = 4;
const TASKS: u8 = 8;
const NODES: u8 = 3;

/// One piece as it is from now on, or its end.
fn piece() -> impl Strategy<Value = (String, Option<Arc<Track>>)> {
    let service = (0..SERVICES, any::<(bool, bool, bool, bool)>(), 0..3u16);
    let service = service.prop_map(|(n, (vip, front, local, proxied), ports)| {
        Some(service_of(n, vip, front, local, proxied, ports))
    });
    let task = (0..TASKS, 0..=SERVICES, 0..NODES, any::<bool>(), 1..3usize);
    let task =
        task.prop_map(|(n, service, node, live, networks)| Some(task_of(n, service, node, live, networks)));
    let frame = (0..NODES, any::<bool>()).prop_map(|(n, six)| match six {
        true => Some(network_of(usize::from(n), true)),
        false => Some(peer_of(n, n)),
    });
    let gone = prop_oneof![
        (0..SERVICES).prop_map(|n| format!("s/s{n}")),
        (0..TASKS).prop_map(|n| format!("e/t{n}")),
        (1..NODES).prop_map(|n| format!("p/n{n}")),
    ];
    prop_oneof![
        4 => service.prop_map(|track| keyed(track.unwrap())),
        8 => task.prop_map(|track| keyed(track.unwrap())),
        1 => frame.prop_map(|track| keyed(track.unwrap())),
        4 => gone.prop_map(|key| (key, None)),
    ]
}

fn keyed(track: Track) -> (String, Option<Arc<Track>>) {
    (track.key(), Some(track.into()))
}

fn network_of(n: usize, six: bool) -> Track {
    let mut network = Network {
        id: NETWORKS[n].into(),
        vni: Some(4096 + n as u32),
        subnets: vec![Subnet {
            subnet: format!("10.0.{n}.0/24"),
            gateway: format!("10.0.{n}.1"),
            ..Default::default()
        }],
        ..Default::default()
    };
    if six {
        network.subnets.push(Subnet {
            subnet: format!("fd00:{n}::/64"),
            gateway: format!("fd00:{n}::1"),
            ..Default::default()
        });
    }
    network.spec.annotations.name = NETWORKS[n].into();
    network.spec.ingress = n == 0;
    Track::Network(network)
}

fn place(holder: &str, n: usize, last: u8) -> Attachment {
    Attachment {
        network: NETWORKS[n].into(),
        address: Ipv4Addr::new(10, 0, n as u8, last),
        prefix_len: 24,
        address6: None,
        mac: mac_of(holder, NETWORKS[n]),
        aliases: vec!["also".into()],
    }
}

fn peer_of(n: u8, addr: u8) -> Track {
    let node = format!("n{n}");
    Track::Peer(PeerTrack {
        addr: format!("192.0.2.{}", addr + 1),
        port: 4789,
        places: vec![place(&node, 0, 2 + n)],
        node: node.as_str().into(),
        ..Default::default()
    })
}

/// The last ones take each other's places and addresses now and then.
fn task_of(n: u8, service: u8, node: u8, live: bool, networks: usize) -> Track {
    let id = format!("t{n}");
    let last = 20 + n.min(TASKS - 2);
    Track::Endpoint(EndpointTrack {
        task: id.as_str().into(),
        service: match service {
            SERVICES => Default::default(),
            n => format!("s{n}").as_str().into(),
        },
        node: format!("n{node}").as_str().into(),
        name: format!("name{n}"),
        container: format!("{n:0>64}"),
        places: (0..=networks).map(|net| place(&id, net, last)).collect(),
        live,
    })
}

fn service_of(n: u8, vip: bool, front: bool, local: bool, proxied: bool, ports: u16) -> Track {
    let tcp = |port: u16| ("tcp".to_owned(), port);
    // The last two want the same port.
    let first = 8000 + 10 * u16::from(n.min(SERVICES - 2));
    Track::Service(ServiceTrack {
        service: format!("s{n}").as_str().into(),
        name: format!("Web{n}"),
        networks: vec!["mesh".into(), "ing".into()],
        virtual_ips: match vip {
            true => vec![VirtualIp {
                network: "mesh".into(),
                address: Ipv4Addr::new(10, 0, 1, 100 + n),
                prefix_len: 24,
            }],
            false => Vec::new(),
        },
        aliases: match front {
            true => vec![("mesh".into(), vec!["front".into()])],
            false => Vec::new(),
        },
        ports: (0..ports)
            .map(|port| PortConfig {
                protocol: if n == 1 { "sctp" } else { "tcp" }.into(),
                target_port: 80,
                published_port: first + port,
                ..Default::default()
            })
            .collect(),
        local_first: if local { vec![tcp(first)] } else { Vec::new() },
        proxied: if proxied { vec![tcp(first + 1)] } else { Vec::new() },
    })
}

/// Everything of a plan and of names that stands under keys which can change with a piece.
fn values(layout: &Layout) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut add = |what: &str, id: &str, key: String, value: String| {
        assert_eq!(all.insert(format!("{what} {id} {key}"), value), None);
    };
    for segment in layout.plan().segments.values() {
        for (key, value) in &segment.forwarding {
            add("forwarding", &segment.id, format!("{key:?}"), value.to_string());
        }
        for (key, value) in &segment.neighbours {
            add(
                "neighbours",
                &segment.id,
                format!("{key:?}"),
                format!("{value:?}"),
            );
        }
        for (key, value) in segment.balance.iter() {
            add("addresses", &segment.id, format!("{key:?}"), format!("{value:?}"));
        }
    }
    if let Some(ingress) = &layout.plan().ingress {
        for (key, value) in &ingress.routes {
            add("routes", "", format!("{key:?}"), value.to_string());
        }
        for (key, value) in &ingress.neighbours {
            add("near", "", format!("{key:?}"), format!("{value:?}"));
        }
        for (key, value) in ingress.balance.iter() {
            add("ports", "", format!("{key:?}"), format!("{value:?}"));
        }
    }
    for (network, names) in layout.names() {
        for (name, found) in names {
            add("names", network, name.clone(), format!("{:?}", found.addresses));
        }
    }
    all
}

fn said(changes: &Changes) -> BTreeSet<String> {
    let of = |what: &str, id: &str, key: String| format!("{what} {id} {key}");
    let forwarding = changes.forwarding.iter();
    let neighbours = changes.neighbours.iter();
    let addresses = changes.addresses.iter();
    let names = changes.names.iter();
    let all = forwarding
        .map(|(id, key)| of("forwarding", id, format!("{key:?}")))
        .chain(neighbours.map(|(id, key): &(String, IpAddr)| of("neighbours", id, format!("{key:?}"))))
        .chain(
            changes
                .routes
                .iter()
                .map(|key| of("routes", "", format!("{key:?}"))),
        )
        .chain(changes.near.iter().map(|key| of("near", "", format!("{key:?}"))))
        .chain(
            changes
                .ports
                .iter()
                .map(|key| of("ports", "", format!("{key:?}"))),
        )
        .chain(
            addresses
                .flat_map(|(id, all)| all.iter().map(move |key| of("addresses", id, format!("{key:?}")))),
        )
        .chain(names.flat_map(|(id, all)| all.iter().map(move |key| of("names", id, key.clone()))));
    all.collect()
}

fn frame() -> BTreeMap<String, Option<Arc<Track>>> {
    let networks = (0..3).map(|n| keyed(network_of(n, false)));
    let peers = (0..NODES).map(|n| keyed(peer_of(n, n)));
    networks.chain(peers).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn piece_by_piece_is_as_all_at_once(batches in proptest::collection::vec(proptest::collection::vec(piece(), 1..5), 1..30)) {
        let me = NodeId::from("n0");
        let mut known: Tracks = BTreeMap::new();
        let mut layout = Layout::of("abcdef01", &me, Tracks::new());
        let batches = batches.into_iter().map(|batch| batch.into_iter().collect());
        for batch in std::iter::once(frame()).chain(batches) {
            for (key, piece) in &batch {
                match piece {
                    Some(track) => drop(known.insert(key.clone(), track.clone())),
                    None => drop(known.remove(key)),
                }
            }
            let before = values(&layout);
            let relayed = |layout: &Layout| layout.plan().ingress.as_ref().map(|i| (i.relayed.clone(), i.associations.clone()));
            let relayed_before = relayed(&layout);
            let changes = layout.change(batch);
            let whole = Layout::of("abcdef01", &me, known.clone());
            prop_assert_eq!(layout.plan(), whole.plan());
            prop_assert_eq!(layout.names(), whole.names());
            let Some(changes) = changes else { continue };
            let after = values(&layout);
            let said = said(&changes);
            let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for key in keys {
                let differs = before.get(key) != after.get(key);
                prop_assert!(!differs || said.contains(key), "{} changed and is not said to have", key);
            }
            prop_assert!(changes.special || relayed_before == relayed(&layout));
        }
    }
}

#[test]
fn one_service_more_touches_its_own_entries_alone() {
    let mut layout = Layout::of("abcdef01", &NodeId::from("n0"), Tracks::new());
    let mut pieces = frame();
    for n in 0..3 {
        pieces.extend([
            keyed(service_of(n, true, false, false, false, 1)),
            keyed(task_of(n, n, n % NODES, true, 1)),
        ]);
    }
    assert_eq!(layout.change(pieces), None, "with the networks all may differ");
    let more = [
        keyed(service_of(3, true, false, false, false, 0)),
        keyed(task_of(5, 3, 1, true, 1)),
    ];
    let changes = layout.change(more.into()).expect("a few changes");
    let said: Vec<String> = said(&changes).into_iter().collect();
    let mac = |network: &str| format!("{:?}", mac_of("t5", network));
    let wanted = [
        "addresses mesh Address(10.0.1.103)".to_owned(),
        format!("forwarding ing {}", mac("ing")),
        format!("forwarding mesh {}", mac("mesh")),
        "names ing 000000000000".into(),
        "names ing also".into(),
        "names ing name5".into(),
        "names ing tasks.web3".into(),
        "names ing web3".into(),
        "names mesh 000000000000".into(),
        "names mesh name5".into(),
        "names mesh tasks.web3".into(),
        "names mesh web3".into(),
        "neighbours ing 10.0.0.25".into(),
        "neighbours mesh 10.0.1.25".into(),
        "routes  10.0.0.25".into(),
    ];
    assert_eq!(said, wanted);
    assert_eq!(layout.change(BTreeMap::new()), Some(Changes::default()));
}
