//! What the mesh costs with few services and with many: a connection by a service's address and by a published port beside
//! one to the same server without either, and one service more: planned and laid as a change (`hear`, `lay`, `inside` a
//! container), and laid as a whole, as now and then and after a fault. All sizes stand side by side, each on a host (a network
//! namespace) of its own, and are asked in turn, so that whatever else the machine does meets all of them. Prints tables and
//! how far the figures are from flat; needs root.
//!
//!   cargo run --release -p shoal-node-drivers-network --example mesh_cost [SERVICES…]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use rustix::thread::UnshareFlags;
use shoal_node_core_host::overlay::{Layout, Plan, Target, Tracks, Vip};
use shoal_node_drivers_network::Netns;
use shoal_node_drivers_network::overlay::{Inside, Overlays};
use shoal_raft_objects::network::{OVERLAY, mac_of};
use shoal_raft_objects::track::{EndpointTrack, PeerTrack, ServiceTrack};
use shoal_raft_objects::{Attachment, Network, NodeId, PortConfig, Subnet, Track, VirtualIp};

/// In a round of each kind, on each host.
const CONNECTS: usize = 100;
const ROUNDS: usize = 40;
/// Not counted: caches, and sockets' tables that grow.
const ROUNDS_BEFORE: usize = 2;
/// A service comes and goes so often on each host.
const TURNS: usize = 100;
const WHOLES: usize = 3;
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
fn connects(to: SocketAddr) -> Vec<f64> {
    let connect = || {
        let began = Instant::now();
        let mut stream = TcpStream::connect(to).expect("a connection");
        stream.write_all(b"x").expect("a question");
        stream.read_exact(&mut [0]).expect("an answer");
        began.elapsed().as_secs_f64() * 1e6
    };
    (0..CONNECTS).map(|_| connect()).collect()
}

fn ms(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64() * 1e3
}

/// Of each hundred samples, so many are smaller.
fn percentile(all: &[f64], percent: usize) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    all[(all.len() * percent / 100).min(all.len() - 1)]
}

fn middle(all: &[f64]) -> f64 {
    percentile(all, 50)
}

/// The ways to the server: without the mesh, by a published port; and in a container: without it, by the service's address.
const WAYS: [&str; 4] = ["direct", "port", "direct inside", "address"];

/// One host with so many services, a container on it, and what was measured there.
struct Mesh {
    size: usize,
    host: Netns,
    container: Netns,
    overlays: Overlays,
    inside: Inside,
    layout: Layout,
    connects: [Vec<f64>; WAYS.len()],
    hears: Vec<f64>,
    lays: Vec<f64>,
    insides: Vec<f64>,
    wholes: Vec<f64>,
}

impl Mesh {
    fn make(size: usize) -> Mesh {
        let host = Netns::create().expect("a namespace");
        let overlays = host.run(|| {
            run("ip link set lo up");
            run("ip address add 10.200.0.1/32 dev lo");
            run("ip address add 192.0.2.1/24 dev lo");
            serve();
            Overlays::open("meshcost").expect("netlink")
        });
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
        let mesh = Mesh {
            size,
            overlays: overlays.expect("a host"),
            inside: Inside::of(&container).expect("its tables"),
            layout: Layout::of("meshcost", &NodeId::from("n0"), tracks(size)),
            host,
            container,
            connects: Default::default(),
            hears: Vec::new(),
            lays: Vec::new(),
            insides: Vec::new(),
            wholes: Vec::new(),
        };
        mesh.lay_whole();
        let mut balance = mesh.layout.plan().segments["ing"].balance.clone();
        let server = Target {
            address: SERVER.into(),
            port: 0,
        };
        balance.set(Vip::Address(SERVICE.into()), [server]);
        mesh.inside.balance(&balance, true, true).expect("inside");
        mesh
    }

    fn lay_whole(&self) {
        let plan = with_server(self.layout.plan());
        let lay = || self.overlays.converge(&plan, true).1;
        self.host.run(lay).expect("a host").expect("it is laid");
    }

    fn connect(&mut self, way: usize) {
        let (on, to) = match way {
            0 => (&self.host, SocketAddr::from((SERVER, SERVER_PORT))),
            1 => (&self.host, (Ipv4Addr::new(192, 0, 2, 1), PUBLISHED).into()),
            2 => (&self.container, (SERVER, SERVER_PORT).into()),
            _ => (&self.container, (SERVICE, SERVER_PORT).into()),
        };
        self.connects[way].extend(on.run(|| connects(to)).expect("entered"));
    }

    /// One service more, or it goes again.
    fn change(&mut self, comes: bool) {
        let pieces = service(self.size).map(|(key, track)| (key, comes.then_some(track)));
        let mut changes = None;
        self.hears
            .push(ms(|| changes = self.layout.change(pieces.into())));
        let changes = changes.expect("a service is a change");
        let (overlays, inside, plan) = (&self.overlays, &self.inside, self.layout.plan());
        let segment = &plan.segments["ing"];
        let vips = changes.addresses["ing"].iter();
        let vips: Vec<_> = vips.map(|vip| (*vip, segment.balance.get(vip))).collect();
        let both = self.host.run(|| {
            let lay = ms(|| overlays.change(plan, &changes).1.expect("one more"));
            (
                lay,
                ms(|| assert!(inside.change(&vips).expect("one more inside"))),
            )
        });
        let (lay, inside) = both.expect("a host");
        self.lays.push(lay);
        self.insides.push(inside);
    }

    /// Milliseconds from hearing of one service more to where the kernel has it, in the host and in a container.
    fn one_more(&self) -> f64 {
        middle(&self.hears) + middle(&self.lays) + middle(&self.insides)
    }
}

fn main() {
    // SAFETY: no other thread runs yet, and only the network namespace changes.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
        .expect("a network namespace; are you root?");
    let given: Vec<usize> = std::env::args().skip(1).filter_map(|n| n.parse().ok()).collect();
    let sizes = if given.is_empty() {
        vec![1, 10, 100, 1_000, 10_000]
    } else {
        given
    };
    let mut meshes: Vec<Mesh> = sizes.into_iter().map(Mesh::make).collect();
    for round in 0..ROUNDS_BEFORE + ROUNDS {
        for way in 0..WAYS.len() {
            for mesh in &mut meshes {
                mesh.connect((way + round) % WAYS.len());
            }
        }
        if round + 1 == ROUNDS_BEFORE {
            let all = meshes.iter_mut().flat_map(|mesh| &mut mesh.connects);
            all.for_each(Vec::clear);
        }
    }
    for turn in 0..2 * TURNS {
        meshes.iter_mut().for_each(|mesh| mesh.change(turn % 2 == 0));
    }
    for _ in 0..WHOLES {
        for mesh in &mut meshes {
            let whole = ms(|| mesh.lay_whole());
            mesh.wholes.push(whole);
        }
    }
    print_connects(&meshes);
    print_changes(&meshes);
    for mesh in &meshes {
        let clear = || mesh.overlays.clear();
        mesh.host.run(clear).expect("a host").expect("nothing stays");
    }
}

fn print_connects(meshes: &[Mesh]) {
    let head = WAYS.map(|way| format!("{way:>13} µs      p99")).concat();
    println!(
        "{:>8}{head}{:>14}{:>14}",
        "services", "port/direct", "addr./direct"
    );
    for mesh in meshes {
        print!("{:>8}", mesh.size);
        for way in &mesh.connects {
            print!("{:>16.1} {:>8.1}", middle(way), percentile(way, 99));
        }
        let ratio = |way: usize| middle(&mesh.connects[way]) / middle(&mesh.connects[way - 1]);
        println!("{:>14.3}{:>14.3}", ratio(1), ratio(3));
    }
    for (way, name) in WAYS.iter().enumerate() {
        let medians: Vec<f64> = meshes.iter().map(|mesh| middle(&mesh.connects[way])).collect();
        let most = medians.iter().copied().fold(0.0, f64::max);
        let least = medians.iter().copied().fold(f64::INFINITY, f64::min);
        println!(
            "{name}: from the fewest µs to the most, {:.1} %",
            (most / least - 1.0) * 100.0
        );
    }
}

fn print_changes(meshes: &[Mesh]) {
    println!(
        "\n{:>8} {:>10} {:>10} {:>10} {:>12} {:>10}",
        "services", "hear ms", "lay ms", "inside ms", "one more ms", "whole ms"
    );
    for mesh in meshes {
        println!(
            "{:>8} {:>10.3} {:>10.3} {:>10.3} {:>12.3} {:>10.1}",
            mesh.size,
            middle(&mesh.hears),
            middle(&mesh.lays),
            middle(&mesh.insides),
            mesh.one_more(),
            middle(&mesh.wholes)
        );
    }
    let of = |size: usize| meshes.iter().find(|mesh| mesh.size == size).map(Mesh::one_more);
    if let (Some(few), Some(many)) = (of(10), of(10_000)) {
        println!(
            "one service more to 10,000: {:.2} times one more to 10",
            many / few
        );
    }
}
