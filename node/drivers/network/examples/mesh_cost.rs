//! What the mesh costs with few services and with many: a connection by a service's address and by a published port, and
//! laying one service more. Prints a table; needs root, and makes everything in a network namespace of its own.
//!
//!   cargo run --release -p shoal-node-drivers-network --example mesh_cost [SERVICES…]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::thread::UnshareFlags;
use shoal_node_core_host::overlay::{Balance, Plan, Target, Vip, plan};
use shoal_node_drivers_network::Netns;
use shoal_node_drivers_network::overlay::{Inside, Overlays};
use shoal_raft_objects::network::{OVERLAY, mac_of};
use shoal_raft_objects::track::{EndpointTrack, PeerTrack, ServiceTrack};
use shoal_raft_objects::{Attachment, Network, NodeId, PortConfig, Subnet, Track};

const CONNECTS: usize = 2_000;
const NODES: usize = 4;
/// On the loopback: whoever is asked in the end.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 1);
const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 201, 0, 1);
const SERVER_PORT: u16 = 80;
const PUBLISHED: u16 = 7;

fn run(line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let done = Command::new(words[0]).args(&words[1..]).status();
    assert!(done.is_ok_and(|s| s.success()), "{line}");
}

fn place(holder: &str, n: u32) -> Attachment {
    Attachment {
        network: "ing".into(),
        address: Ipv4Addr::from(0x0a00_0000 + n),
        prefix_len: 8,
        address6: None,
        mac: mac_of(holder, "ing"),
        aliases: Vec::new(),
    }
}

/// Services with a published port and one task each, on all nodes in turn.
fn tracks(services: usize) -> BTreeMap<String, Track> {
    let mut network = Network {
        id: "ing".into(),
        vni: Some(4096),
        subnets: vec![Subnet {
            subnet: "10.0.0.0/8".into(),
            gateway: "10.0.0.1".into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    network.spec.annotations.name = "ingress".into();
    network.spec.driver = OVERLAY.into();
    network.spec.ingress = true;
    let mut all = vec![Track::Network(network)];
    for n in 0..NODES {
        let node = format!("n{n}");
        all.push(Track::Peer(PeerTrack {
            addr: format!("192.0.2.{}", n + 1),
            port: 4789,
            places: vec![place(&node, 2 + n as u32)],
            node: node.as_str().into(),
            ..Default::default()
        }));
    }
    for n in 0..services {
        let (service, task) = (format!("s{n}"), format!("t{n}"));
        all.push(Track::Service(ServiceTrack {
            service: service.as_str().into(),
            name: service.clone(),
            networks: vec!["ing".into()],
            ports: vec![PortConfig {
                protocol: "tcp".into(),
                target_port: 80,
                published_port: 20_000 + n as u16,
                ..Default::default()
            }],
            ..Default::default()
        }));
        all.push(Track::Endpoint(EndpointTrack {
            places: vec![place(&task, 100 + n as u32)],
            task: task.as_str().into(),
            service: service.as_str().into(),
            node: format!("n{}", n % NODES).as_str().into(),
            live: true,
            ..Default::default()
        }));
    }
    all.into_iter().map(|track| (track.key(), track)).collect()
}

fn planned(tracks: &BTreeMap<String, Track>) -> Plan {
    let mut plan = plan("meshcost", &NodeId::from("n0"), tracks);
    if let Some(ingress) = &mut plan.ingress {
        let server = Target {
            address: SERVER.into(),
            port: SERVER_PORT,
        };
        ingress.balance.add(Vip::Port(6, PUBLISHED), [server]);
    }
    plan
}

/// Answers one byte with one byte.
fn serve() {
    let listener = TcpListener::bind((SERVER, SERVER_PORT)).expect("a server");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut byte = [0];
            let _ = stream
                .read_exact(&mut byte)
                .and_then(|()| stream.write_all(&byte));
        }
    });
}

/// Of connection, question and answer, in microseconds.
fn median(to: SocketAddr) -> f64 {
    let mut all: Vec<Duration> = (0..CONNECTS)
        .map(|_| {
            let began = Instant::now();
            let mut stream = TcpStream::connect(to).expect("a connection");
            stream.write_all(b"x").expect("a question");
            stream.read_exact(&mut [0]).expect("an answer");
            began.elapsed()
        })
        .collect();
    all.sort();
    all[all.len() / 2].as_secs_f64() * 1e6
}

fn ms(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64() * 1e3
}

fn middle(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn main() {
    // SAFETY: no other thread runs yet, and only the network namespace changes.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
        .expect("a network namespace; are you root?");
    run("ip link set lo up");
    run("ip address add 10.200.0.1/32 dev lo");
    run("ip address add 192.0.2.1/24 dev lo");
    serve();
    let given: Vec<usize> = std::env::args().skip(1).filter_map(|n| n.parse().ok()).collect();
    let sizes = if given.is_empty() {
        vec![1, 10, 100, 1_000, 10_000]
    } else {
        given
    };
    let overlays = Overlays::open("meshcost").expect("netlink");
    let container = Netns::create().expect("a namespace");
    container
        .run(|| {
            run("ip link set lo up");
            run("ip address add 10.200.0.1/32 dev lo");
            // So that the address has a way before it is sent on.
            run("ip address add 10.201.0.1/16 dev lo");
            serve();
        })
        .expect("a container");
    let inside = Inside::of(&container).expect("its tables");
    println!(
        "{:>8} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "services", "direct µs", "address µs", "port µs", "plan ms", "lay ms", "inside ms"
    );
    for size in sizes {
        let mut known = tracks(size);
        overlays.converge(&planned(&known), true).1.expect("it is laid");
        let mut balance = Balance::default();
        for n in 0..size as u32 {
            let to = |a: u32| IpAddr::from(Ipv4Addr::from(a));
            let target = Target {
                address: to(0x0a00_0064 + n),
                port: 0,
            };
            balance.add(Vip::Address(to(0x0ac9_0001 + n + 1)), [target]);
        }
        balance.add(
            Vip::Address(SERVICE.into()),
            [Target {
                address: SERVER.into(),
                port: 0,
            }],
        );
        inside.balance(&balance, true, true).expect("inside");

        let direct = median((SERVER, SERVER_PORT).into());
        let by_port = median((Ipv4Addr::new(192, 0, 2, 1), PUBLISHED).into());
        let by_address = container
            .run(|| median((SERVICE, SERVER_PORT).into()))
            .expect("inside");
        // One service more, and it goes again.
        let more = tracks(size + 1);
        let (mut plans, mut lays, mut insides) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..7 {
            known = more.clone();
            let mut next = Plan::default();
            plans.push(ms(|| next = planned(&known)));
            lays.push(ms(|| overlays.converge(&next, false).1.expect("one more")));
            let mut with = balance.clone();
            let last = Ipv4Addr::new(10, 202, 0, 1);
            with.add(
                Vip::Address(last.into()),
                [Target {
                    address: SERVER.into(),
                    port: 0,
                }],
            );
            insides.push(ms(|| drop(inside.balance(&with, false, true).expect("one more"))));
            known = tracks(size);
            overlays.converge(&planned(&known), false).1.expect("one less");
            inside.balance(&balance, false, true).expect("one less");
        }
        println!(
            "{size:>8} {direct:>10.1} {by_address:>10.1} {by_port:>10.1} {:>10.2} {:>10.2} {:>10.2}",
            middle(plans),
            middle(lays),
            middle(insides)
        );
    }
    overlays.clear().expect("nothing stays");
}
