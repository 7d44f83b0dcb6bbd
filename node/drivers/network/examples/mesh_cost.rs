//! What the mesh costs with few services and with many: a connection by a service's address and by a published port, and
//! one service more: planned and laid as a change (`hear`, `lay`, `inside` a container), and laid as a whole, as now and then
//! and after a fault. Prints a table; needs root, and makes everything in a network namespace of its own.
//!
//!   cargo run --release -p shoal-node-drivers-network --example mesh_cost [SERVICES…]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::thread::UnshareFlags;
use shoal_node_core_host::overlay::{Layout, Plan, Target, Tracks, Vip};
use shoal_node_drivers_network::Netns;
use shoal_node_drivers_network::overlay::{Inside, Overlays};
use shoal_raft_objects::network::{OVERLAY, mac_of};
use shoal_raft_objects::track::{EndpointTrack, PeerTrack, ServiceTrack};
use shoal_raft_objects::{Attachment, Network, NodeId, PortConfig, Subnet, Track, VirtualIp};

/// In a round of each kind.
const CONNECTS: usize = 500;
const ROUNDS: usize = 9;
/// A service comes and goes so often.
const TURNS: usize = 50;
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

/// One service with a published port, an address and one task.
fn service(n: usize) -> [(String, Arc<Track>); 2] {
    let (service, task) = (format!("s{n}"), format!("t{n}"));
    let pieces = [
        Track::Service(ServiceTrack {
            service: service.as_str().into(),
            name: service.clone(),
            networks: vec!["ing".into()],
            virtual_ips: vec![VirtualIp {
                network: "ing".into(),
                address: Ipv4Addr::from(0x0a80_0000 + n as u32),
                prefix_len: 8,
            }],
            ports: vec![PortConfig {
                protocol: "tcp".into(),
                target_port: 80,
                published_port: 20_000 + n as u16,
                ..Default::default()
            }],
            ..Default::default()
        }),
        Track::Endpoint(EndpointTrack {
            places: vec![place(&task, 100 + n as u32)],
            task: task.as_str().into(),
            service: service.as_str().into(),
            node: format!("n{}", n % NODES).as_str().into(),
            live: true,
            ..Default::default()
        }),
    ];
    pieces.map(|track| (track.key(), Arc::new(track)))
}

/// Services on all nodes in turn.
fn tracks(services: usize) -> Tracks {
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
    let frame = all.into_iter().map(|track| (track.key(), Arc::new(track)));
    frame.chain((0..services).flat_map(service)).collect()
}

/// With a port that leads to the server.
fn with_server(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    if let Some(ingress) = &mut plan.ingress {
        let server = Target {
            address: SERVER.into(),
            port: SERVER_PORT,
        };
        let ingress = Arc::make_mut(ingress);
        ingress.balance.set(Vip::Port(6, PUBLISHED), [server]);
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
        "{:>8} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "services", "direct µs", "address µs", "port µs", "hear ms", "lay ms", "inside ms", "whole ms"
    );
    for size in sizes {
        let mut layout = Layout::of("meshcost", &NodeId::from("n0"), tracks(size));
        let mut balance = layout.plan().segments["ing"].balance.clone();
        balance.set(
            Vip::Address(SERVICE.into()),
            [Target {
                address: SERVER.into(),
                port: 0,
            }],
        );
        let plan = with_server(layout.plan());
        overlays.converge(&plan, true).1.expect("it is laid");
        inside.balance(&balance, true, true).expect("inside");
        let (mut direct, mut by_address, mut by_port) = (Vec::new(), Vec::new(), Vec::new());
        // In turn, so that whatever else the machine does meets all of them.
        for _ in 0..ROUNDS {
            direct.push(median((SERVER, SERVER_PORT).into()));
            by_port.push(median((Ipv4Addr::new(192, 0, 2, 1), PUBLISHED).into()));
            let address = container.run(|| median((SERVICE, SERVER_PORT).into()));
            by_address.push(address.expect("inside"));
        }
        // One service more, and it goes again.
        let (mut hears, mut lays, mut insides, mut wholes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        drop(plan);
        for turn in 0..2 * TURNS {
            let comes = turn % 2 == 0;
            let pieces = service(size).map(|(key, track)| (key, comes.then_some(track)));
            let mut changes = None;
            hears.push(ms(|| changes = layout.change(pieces.into())));
            let changes = changes.expect("a service is a change");
            let plan = layout.plan();
            lays.push(ms(|| overlays.change(plan, &changes).1.expect("one more")));
            let segment = &plan.segments["ing"];
            let vips = changes.addresses["ing"].iter();
            let vips: Vec<_> = vips.map(|vip| (*vip, segment.balance.get(vip))).collect();
            insides.push(ms(|| assert!(inside.change(&vips).expect("one more inside"))));
        }
        for _ in 0..3 {
            let plan = with_server(layout.plan());
            wholes.push(ms(|| overlays.converge(&plan, true).1.expect("the whole")));
        }
        println!(
            "{size:>8} {:>10.1} {:>10.1} {:>10.1} {:>10.3} {:>10.3} {:>10.3} {:>10.1}",
            middle(direct),
            middle(by_address),
            middle(by_port),
            middle(hears),
            middle(lays),
            middle(insides),
            middle(wholes)
        );
    }
    overlays.clear().expect("nothing stays");
}
