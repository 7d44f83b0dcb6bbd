use super::*;
use shoal_raft_objects::network::{OVERLAY, mac_of};
use shoal_raft_objects::track::{EndpointTrack, PeerTrack, ServiceTrack};
use shoal_raft_objects::{Attachment, Network, NodeId, PortConfig, Subnet, Track, VirtualIp};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

fn shared(tracks: &BTreeMap<String, Track>) -> Tracks {
    let pieces = tracks.iter();
    pieces
        .map(|(key, track)| (key.clone(), track.clone().into()))
        .collect()
}

fn plan(sid: &str, me: &NodeId, tracks: &BTreeMap<String, Track>) -> Plan {
    Layout::of(sid, me, shared(tracks)).plan().clone()
}

fn names(tracks: &BTreeMap<String, Track>) -> Names {
    Layout::of("abcdef01", &NodeId::from("n1"), shared(tracks))
        .names()
        .clone()
}

fn led(balance: &Balance, vip: Vip) -> Vec<IpAddr> {
    let targets = balance.get(&vip).into_iter().flatten();
    targets.map(|target| target.address).collect()
}

fn network(id: &str, vni: u32, subnet: &str, ingress: bool) -> Track {
    let mut network = Network {
        id: id.into(),
        vni: Some(vni),
        subnets: vec![Subnet {
            subnet: format!("{subnet}.0/24"),
            gateway: format!("{subnet}.1"),
            ..Default::default()
        }],
        ..Default::default()
    };
    network.spec.annotations.name = id.into();
    network.spec.driver = OVERLAY.into();
    network.spec.ingress = ingress;
    Track::Network(network)
}

fn place(holder: &str, network: &str, address: &str) -> Attachment {
    Attachment {
        network: network.into(),
        address: address.parse().unwrap(),
        prefix_len: 24,
        address6: None,
        mac: mac_of(holder, network),
        aliases: vec!["alias".into()],
    }
}

fn peer(node: &str, addr: &str, ingress: &str) -> Track {
    Track::Peer(PeerTrack {
        node: node.into(),
        addr: addr.into(),
        port: 4789,
        places: vec![place(node, "ing", ingress)],
        ..Default::default()
    })
}

fn task(id: &str, node: &str, last: u8, live: bool) -> Track {
    Track::Endpoint(EndpointTrack {
        task: id.into(),
        service: "s".into(),
        node: node.into(),
        name: format!("web.{last}.{id}"),
        container: "0123456789abcdef".into(),
        places: vec![
            place(id, "mesh", &format!("10.0.1.{last}")),
            place(id, "ing", &format!("10.0.0.{last}")),
        ],
        live,
    })
}

/// Two nodes, a service of three tasks of which one does not run yet.
fn tracks() -> BTreeMap<String, Track> {
    let service = Track::Service(ServiceTrack {
        service: "s".into(),
        name: "Web".into(),
        networks: vec!["mesh".into(), "ing".into()],
        virtual_ips: vec![VirtualIp {
            network: "mesh".into(),
            address: Ipv4Addr::new(10, 0, 1, 2),
            prefix_len: 24,
        }],
        aliases: vec![("mesh".into(), vec!["front".into()])],
        ports: vec![PortConfig {
            protocol: "tcp".into(),
            target_port: 80,
            published_port: 8080,
            publish_mode: "ingress".into(),
            ..Default::default()
        }],
        ..Default::default()
    });
    let all = [
        network("ing", 4096, "10.0.0", true),
        network("mesh", 4097, "10.0.1", false),
        peer("n1", "192.0.2.1", "10.0.0.2"),
        peer("n2", "192.0.2.2", "10.0.0.3"),
        task("t1", "n1", 11, true),
        task("t2", "n2", 12, true),
        task("t3", "n2", 13, false),
        service,
    ];
    all.into_iter().map(|t| (t.key(), t)).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn four(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

#[test]
fn every_place_on_another_node_is_known_and_none_of_ones_own() {
    let plan = plan("abcdef01", &NodeId::from("n1"), &tracks());
    assert!(plan.problems.is_empty());
    let mesh = &plan.segments["mesh"];
    assert_eq!(
        (mesh.bridge.as_str(), mesh.vxlan.as_str()),
        ("obabcdef1001", "ovabcdef1001")
    );
    assert_eq!((mesh.local, mesh.port, mesh.mtu), (four("192.0.2.1"), 4789, 1450));
    let known: Vec<_> = mesh.neighbours.keys().copied().collect();
    assert_eq!(
        known,
        [ip("10.0.1.12"), ip("10.0.1.13")],
        "also what does not run yet"
    );
    assert_eq!(mesh.forwarding[&mac_of("t2", "mesh")], four("192.0.2.2"));
}

#[test]
fn a_virtual_address_leads_to_live_tasks_alone() {
    let plan = plan("abcdef01", &NodeId::from("n1"), &tracks());
    let vip = Vip::Address(ip("10.0.1.2"));
    let targets = led(&plan.segments["mesh"].balance, vip);
    assert_eq!(targets, [ip("10.0.1.11"), ip("10.0.1.12")]);
    let mut none = tracks();
    none.retain(|key, _| !key.starts_with("e/"));
    let plan = self::plan("abcdef01", &NodeId::from("n1"), &none);
    let balance = &plan.segments["mesh"].balance;
    assert!(balance.get(&vip).is_some_and(|targets| targets.is_empty()));
}

#[test]
fn a_port_that_is_local_first_leads_to_the_own_tasks_while_there_are_any() {
    let mut tracks = tracks();
    if let Some(Track::Service(service)) = tracks.get_mut("s/s") {
        service.local_first = vec![("tcp".into(), 8080)];
    }
    let targets = |tracks: &BTreeMap<String, Track>, node: &str| -> Vec<IpAddr> {
        let plan = plan("abcdef01", &NodeId::from(node), tracks);
        led(&plan.ingress.unwrap().balance, Vip::Port(6, 8080))
    };
    assert_eq!(targets(&tracks, "n1"), [ip("10.0.0.11")]);
    assert_eq!(targets(&tracks, "n2"), [ip("10.0.0.12")]);
    tracks.remove("e/t1");
    assert_eq!(targets(&tracks, "n1"), [ip("10.0.0.12")]);
    // The PROXY protocol goes with it.
    if let Some(Track::Service(service)) = tracks.get_mut("s/s") {
        service.proxied = vec![("tcp".into(), 8080)];
    }
    let ingress = plan("abcdef01", &NodeId::from("n1"), &tracks).ingress.unwrap();
    assert!(ingress.balance.is_empty(), "{:?}", ingress.balance);
    let relayed: Vec<_> = ingress.relayed[&Vip::Port(6, 8080)].iter().collect();
    assert_eq!(
        (relayed.len(), relayed[0].address, relayed[0].port),
        (1, ip("10.0.0.12"), 80)
    );
    // The names inside lead to all of them.
    let mesh = &plan("abcdef01", &NodeId::from("n2"), &self::tracks()).segments["mesh"];
    assert_eq!(led(&mesh.balance, Vip::Address(ip("10.0.1.2"))).len(), 2);
}

#[test]
fn a_published_port_goes_through_the_tasks_node_and_comes_back_the_same_way() {
    let plan = plan("abcdef01", &NodeId::from("n1"), &tracks());
    let ingress = plan.ingress.unwrap();
    assert_eq!(ingress.address.to_string(), "10.0.0.2/24");
    assert_eq!(ingress.routes[&ip("10.0.0.12")], ip("10.0.0.3"));
    assert!(
        !ingress.routes.contains_key(&ip("10.0.0.11")),
        "its own task is on its own bridge"
    );
    let target = ingress
        .balance
        .get(&Vip::Port(6, 8080))
        .and_then(|all| all.last());
    assert_eq!(target.map(|t| (t.address, t.port)), Some((ip("10.0.0.12"), 80)));
    assert_eq!(ingress.peers[&four("10.0.0.3")].mac, mac_of("n2", "ing"));
}

#[test]
fn names_lead_to_the_virtual_address_and_to_tasks() {
    let names = names(&tracks());
    let on = |name: &str| -> Vec<String> {
        let found = names["mesh"]
            .get(name)
            .map(|n| n.addresses.clone())
            .unwrap_or_default();
        found.iter().map(ToString::to_string).collect()
    };
    assert_eq!(on("web"), ["10.0.1.2"]);
    assert_eq!(on("front"), ["10.0.1.2"]);
    assert_eq!(on("tasks.web"), ["10.0.1.11", "10.0.1.12"]);
    assert_eq!(on("web.11.t1"), ["10.0.1.11"]);
    assert!(on("web.13.t3").is_empty(), "it does not run yet");
}

#[test]
fn an_encrypted_network_is_never_laid_plain() {
    let mut tracks = tracks();
    if let Some(Track::Network(network)) = tracks.get_mut("n/mesh") {
        network
            .spec
            .driver_options
            .insert("encrypted".into(), String::new());
    }
    let plan = plan("abcdef01", &NodeId::from("n1"), &tracks);
    assert!(!plan.segments.contains_key("mesh"));
    assert!(plan.problems["mesh"].why.contains("encrypted"));
    assert_eq!(plan.tunnel, None);

    // With a key of its own it goes by the tunnel, to those who have one, too.
    for (node, key) in [("p/n1", 1), ("p/n2", 2)] {
        if let Some(Track::Peer(peer)) = tracks.get_mut(node) {
            peer.key = write_key(&[key; 32]);
        }
    }
    let whole = self::plan("abcdef01", &NodeId::from("n1"), &tracks);
    let mesh = &whole.segments["mesh"];
    assert_eq!(mesh.tunnel.as_deref(), Some("owabcdef"));
    assert_eq!(mesh.mtu, 1390);
    assert_eq!(whole.segments["ing"].tunnel, None);
    let tunnel = whole.tunnel.unwrap();
    assert_eq!((tunnel.port, tunnel.vxlan_port, tunnel.mtu), (4790, 4789, 1440));
    assert_eq!(tunnel.vnis, [mesh.vni].into());
    let addr = mesh.forwarding.values().next().unwrap();
    assert_eq!(tunnel.peers, [([2; 32], *addr)].into());
    if let Some(Track::Peer(peer)) = tracks.get_mut("p/n2") {
        peer.key = "no key".into();
    }
    let without = self::plan("abcdef01", &NodeId::from("n1"), &tracks);
    assert!(without.segments["mesh"].forwarding.is_empty());
    assert!(without.tunnel.unwrap().peers.is_empty());
}

#[test]
fn a_network_with_ipv6_has_everything_in_both_families() {
    let mut tracks = tracks();
    for (key, subnet) in [("n/mesh", "fd00:1::"), ("n/ing", "fd00:2::")] {
        if let Some(Track::Network(network)) = tracks.get_mut(key) {
            network.subnets.push(Subnet {
                subnet: format!("{subnet}/64"),
                gateway: format!("{subnet}1"),
                ..Default::default()
            });
        }
    }
    let plan = plan("abcdef01", &NodeId::from("n1"), &tracks);
    let mesh = &plan.segments["mesh"];
    assert_eq!(mesh.neighbours[&ip("fd00:1::a00:10c")], mac_of("t2", "mesh"));
    let vip = Vip::Address(ip("fd00:1::a00:102"));
    assert_eq!(
        led(&mesh.balance, vip),
        [ip("fd00:1::a00:10b"), ip("fd00:1::a00:10c")]
    );
    let ingress = plan.ingress.as_ref().unwrap();
    assert_eq!(ingress.address6.unwrap().to_string(), "fd00:2::a00:2/64");
    assert_eq!(ingress.routes[&ip("fd00:2::a00:c")], ip("fd00:2::a00:3"));
    let target = ingress
        .balance
        .get(&Vip::Port6(6, 8080))
        .and_then(|all| all.last());
    assert_eq!(
        target.map(|t| (t.address, t.port)),
        Some((ip("fd00:2::a00:c"), 80))
    );
    let four = plan.without_six();
    let mesh = &four.segments["mesh"];
    assert!(mesh.six.is_none() && mesh.neighbours.len() == 2 && mesh.balance.iter().count() == 1);
    assert!(
        four.ingress
            .is_some_and(|i| i.address6.is_none() && i.balance.iter().count() == 1)
    );
    let names = names(&tracks);
    let web: Vec<_> = names["mesh"]["web"]
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(web, ["10.0.1.2", "fd00:1::a00:102"]);
}
