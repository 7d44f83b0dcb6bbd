//! Connections through the rules. The host has an uplink to a machine outside:
//!
//! ```text
//!   outside 192.0.2.9 ─── 192.0.2.1 host ─┬─ docker0 172.17.0.1 ─┬─ 172.17.0.2
//!                                         │                      └─ 172.17.0.3
//!                                         └─ br-two 172.18.0.1 ──── 172.18.0.2
//! ```

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use shoal_node_core_host::netplan::{Bridge, Protocol};
use shoal_node_drivers_network::{Links, Netns, Nft, Place, conntrack, forwarding};

use crate::{bridge, gateway, on_new_host, plugged, published, rules_of, run};

const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

struct World {
    links: Links,
    nft: Nft,
    outside: Netns,
    one: Bridge,
    two: Bridge,
    a: (Netns, Ipv4Addr),
    b: (Netns, Ipv4Addr),
    c: (Netns, Ipv4Addr),
}

fn world(change: impl FnOnce(&mut Bridge, &mut Bridge)) -> World {
    let links = Links::open().unwrap();
    let (mut one, mut two) = (
        bridge("docker0", "172.17.0.1/16"),
        bridge("br-two", "172.18.0.1/16"),
    );
    change(&mut one, &mut two);
    links.ensure_bridge(&one).unwrap();
    links.ensure_bridge(&two).unwrap();
    let a = plugged(&links, &one, "svtest1", 2);
    let b = plugged(&links, &one, "svtest2", 3);
    let c = plugged(&links, &two, "svtest3", 2);
    let outside = Netns::create().unwrap();
    run(
        "ip",
        &["link", "add", "uplink", "type", "veth", "peer", "name", "uplinkx"],
    );
    let path = hold(&outside);
    run("ip", &["link", "set", "uplinkx", "netns", &path]);
    run("ip", &["address", "add", "192.0.2.1/24", "dev", "uplink"]);
    run("ip", &["link", "set", "uplink", "up"]);
    let set = |args: &[&str]| outside.run(|| run("ip", args)).unwrap();
    set(&["link", "set", "lo", "up"]);
    set(&["address", "add", "192.0.2.9/24", "dev", "uplinkx"]);
    set(&["link", "set", "uplinkx", "up"]);
    // The machine outside knows the way to the containers, as an attacker on the same wire would.
    set(&["route", "add", "172.16.0.0/12", "via", "192.0.2.1"]);
    forwarding::enable().unwrap();
    World {
        links,
        nft: Nft::open("shoal-test").unwrap(),
        outside,
        one,
        two,
        a,
        b,
        c,
    }
}

/// A path under which `ip` finds the namespace: this process holds it open.
fn hold(netns: &Netns) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/{}/fd/{}", std::process::id(), netns.as_fd().as_raw_fd())
}

/// A server in a namespace that answers each connection with the address it came from.
fn serve(netns: &Netns, port: u16) -> OwnedFd {
    let listener = netns
        .run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap())
        .unwrap();
    let keep = listener.as_fd().try_clone_to_owned().unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            if let Ok(peer) = connection.peer_addr() {
                let _ = write!(connection, "{}", peer.ip());
            }
        }
    });
    keep
}

/// Who the server sees when we connect from this thread's namespace; `None` when the connection does not come about.
fn ask(ip: Ipv4Addr, port: u16) -> Option<Ipv4Addr> {
    ask_for(Duration::from_millis(400), ip, port)
}

/// As `ask`, for a connection that should come about: on a busy machine a first packet may be lost.
fn reach(ip: Ipv4Addr, port: u16) -> Option<Ipv4Addr> {
    ask_for(Duration::from_secs(8), ip, port)
}

fn reach_from(netns: &Netns, ip: Ipv4Addr, port: u16) -> Option<Ipv4Addr> {
    netns.run(|| reach(ip, port)).unwrap()
}

fn ask_for(limit: Duration, ip: Ipv4Addr, port: u16) -> Option<Ipv4Addr> {
    let address = SocketAddr::V4(SocketAddrV4::new(ip, port));
    let mut stream = TcpStream::connect_timeout(&address, limit).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    match text.parse().ok()? {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    }
}

fn ask_from(netns: &Netns, ip: Ipv4Addr, port: u16) -> Option<Ipv4Addr> {
    netns.run(|| ask(ip, port)).unwrap()
}

#[test]
fn published_ports_are_reached_from_everywhere() {
    on_new_host(|| {
        with_bridged_rules(false);
        reach_published_ports();
    });
}

fn reach_published_ports() {
    let w = world(|_, _| {});
    let (a, b) = (w.a.1, w.b.1);
    let ports = [
        published(None, 8080, a, 80),
        published(Some(LOCAL), 9090, a, 80),
        published(Some(HOST), 7070, b, 80),
    ];
    w.nft
        .converge(&rules_of(&[w.one.clone(), w.two.clone()], &ports))
        .unwrap();
    let _servers = [serve(&w.a.0, 80), serve(&w.b.0, 80)];

    assert_eq!(
        reach_from(&w.outside, HOST, 8080),
        Some(OUTSIDE),
        "from outside, with the client's own address"
    );
    assert_eq!(reach(HOST, 8080), Some(HOST), "from the host, by its address");
    assert_eq!(
        reach(LOCAL, 8080),
        Some(gateway(&w.one)),
        "from the host, by loopback"
    );
    assert_eq!(
        reach(gateway(&w.one), 8080),
        Some(gateway(&w.one)),
        "from the host, by the bridge's address"
    );
    assert_eq!(
        reach_from(&w.a.0, HOST, 8080),
        Some(gateway(&w.one)),
        "from the container itself"
    );
    assert_eq!(
        reach_from(&w.b.0, HOST, 8080),
        Some(gateway(&w.one)),
        "from its neighbour"
    );
    assert_eq!(
        reach_from(&w.c.0, HOST, 8080),
        Some(gateway(&w.one)),
        "from another network, which is outside"
    );

    assert_eq!(reach(LOCAL, 9090), Some(gateway(&w.one)), "published on loopback");
    assert_eq!(ask_from(&w.outside, HOST, 9090), None, "and there only");
    assert_eq!(
        reach_from(&w.outside, HOST, 7070),
        Some(OUTSIDE),
        "published on one address"
    );
    assert_eq!(ask(LOCAL, 7070), None, "and there only");

    // A neighbour that sends packets for our loopback to us is no part of this host.
    w.outside
        .run(|| {
            run("ip", &["route", "flush", "table", "local"]);
            run(
                "ip",
                &[
                    "route",
                    "add",
                    "local",
                    "192.0.2.9",
                    "dev",
                    "uplinkx",
                    "table",
                    "local",
                ],
            );
            run(
                "ip",
                &[
                    "route",
                    "add",
                    "127.0.0.0/8",
                    "via",
                    "192.0.2.1",
                    "dev",
                    "uplinkx",
                ],
            );
            std::fs::write("/proc/sys/net/ipv4/conf/uplinkx/route_localnet", "1").unwrap();
        })
        .unwrap();
    assert_eq!(
        ask_from(&w.outside, LOCAL, 9090),
        None,
        "nor by a route to loopback"
    );
    assert_eq!(
        ask_from(&w.outside, LOCAL, 8080),
        None,
        "nor by a route to loopback"
    );

    w.nft
        .converge(&rules_of(&[w.one.clone(), w.two.clone()], &ports[1..]))
        .unwrap();
    assert_eq!(ask_from(&w.outside, HOST, 8080), None, "no longer published");
}

#[test]
fn containers_are_shielded() {
    on_new_host(|| {
        let w = world(|_, _| {});
        let (a, b, c) = (w.a.1, w.b.1, w.c.1);
        w.nft
            .converge(&rules_of(
                &[w.one.clone(), w.two.clone()],
                &[published(None, 8080, a, 80)],
            ))
            .unwrap();
        let _servers = [
            serve(&w.a.0, 80),
            serve(&w.b.0, 80),
            serve(&w.c.0, 80),
            serve(&w.outside, 80),
        ];

        assert_eq!(ask_from(&w.outside, b, 80), None, "no way in around the host");
        assert_eq!(
            ask_from(&w.outside, a, 80),
            None,
            "not to a published container either"
        );
        assert_eq!(ask_from(&w.c.0, a, 80), None, "nor from another network");
        assert_eq!(ask_from(&w.a.0, c, 80), None);
        assert_eq!(reach_from(&w.a.0, b, 80), Some(a), "the own network is open");
        assert_eq!(
            reach(b, 80),
            Some(gateway(&w.one)),
            "and so is the way from the host"
        );
        assert_eq!(
            reach_from(&w.a.0, OUTSIDE, 80),
            Some(HOST),
            "out with the host's address"
        );

        // route_localnet must not open the host's loopback to a container that sends there by its gateway.
        let netns = Netns::of_path(std::path::Path::new("/proc/thread-self/ns/net")).unwrap();
        let _service = serve(&netns, 5000);
        assert_eq!(reach(LOCAL, 5000), Some(LOCAL));
        w.a.0
            .run(|| {
                run("ip", &["link", "set", "lo", "down"]);
                run("ip", &["address", "flush", "dev", "lo"]);
                run("ip", &["route", "flush", "table", "local"]);
                run(
                    "ip",
                    &[
                        "route",
                        "add",
                        "local",
                        &a.to_string(),
                        "dev",
                        "eth0",
                        "table",
                        "local",
                    ],
                );
                std::fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1").unwrap();
                std::fs::write("/proc/sys/net/ipv4/conf/eth0/route_localnet", "1").unwrap();
                run(
                    "ip",
                    &["route", "add", "127.0.0.0/8", "via", "172.17.0.1", "dev", "eth0"],
                );
            })
            .unwrap();
        assert_eq!(
            ask_from(&w.a.0, LOCAL, 5000),
            None,
            "the host's loopback is closed"
        );
        // It is our rule that closes it.
        w.nft.delete_table().unwrap();
        assert_eq!(
            reach_from(&w.a.0, LOCAL, 5000),
            Some(a),
            "(without our table it would be open)"
        );
    });
}

/// Both ways in which a host may treat packets that stay on a bridge.
fn with_bridged_rules(on: bool) {
    // A kernel without the bridge's rules has no such file: then there is one way only.
    let _ = std::fs::write(
        "/proc/sys/net/bridge/bridge-nf-call-iptables",
        if on { "1" } else { "0" },
    );
}

#[test]
fn published_ports_are_reached_from_everywhere_with_bridged_rules() {
    on_new_host(|| {
        with_bridged_rules(true);
        reach_published_ports();
    });
}

#[test]
fn internal_networks_and_icc_off_keep_traffic_in() {
    for on in [false, true] {
        on_new_host(|| {
            with_bridged_rules(on);
            keep_traffic_in();
        });
    }
}

fn keep_traffic_in() {
    let w = world(|one, two| {
        one.rules.icc = false;
        two.rules.internal = true;
    });
    let (b, c) = (w.b.1, w.c.1);
    w.nft
        .converge(&rules_of(
            &[w.one.clone(), w.two.clone()],
            &[published(None, 8080, b, 80)],
        ))
        .unwrap();
    let _servers = [
        serve(&w.a.0, 80),
        serve(&w.b.0, 80),
        serve(&w.c.0, 80),
        serve(&w.outside, 80),
    ];
    assert_eq!(ask_from(&w.a.0, b, 80), None, "neighbours are apart");
    assert_eq!(
        reach_from(&w.a.0, HOST, 8080),
        Some(gateway(&w.one)),
        "but published ports are open"
    );
    assert_eq!(reach_from(&w.a.0, OUTSIDE, 80), Some(HOST), "and the way out");
    assert_eq!(
        reach(c, 80),
        Some(gateway(&w.two)),
        "the host reaches an internal network"
    );
    w.c.0
        .run(|| run("ip", &["route", "add", "default", "via", "172.18.0.1"]))
        .unwrap();
    assert_eq!(
        ask_from(&w.c.0, OUTSIDE, 80),
        None,
        "which reaches nothing outside"
    );
    w.links.unplug("svtest2").unwrap();
}

#[test]
fn datagrams_follow_a_published_port_to_its_new_container() {
    use std::net::UdpSocket;
    on_new_host(|| {
        let w = world(|_, _| {});
        let bridges = [w.one.clone(), w.two.clone()];
        let to = |container_ip| {
            let mut port = published(None, 5353, container_ip, 53);
            port.protocol = Protocol::Udp;
            rules_of(&bridges, &[port])
        };
        let answer = |netns: &Netns, word: &'static str| {
            let socket = netns.run(|| UdpSocket::bind("0.0.0.0:53").unwrap()).unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 16];
                while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(&[word.as_bytes(), &buffer[..length]].concat(), peer);
                }
            });
        };
        answer(&w.a.0, "old");
        answer(&w.b.0, "new");
        let client = w.outside.run(|| UdpSocket::bind("0.0.0.0:0").unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        // Each question has a number, so that a late answer to an earlier one is not taken for its own.
        let mut question = 0u8;
        let mut ask = || {
            let mut buffer = [0; 16];
            for _ in 0..20 {
                question += 1;
                client.send_to(&[question], (HOST, 5353)).unwrap();
                while let Ok(length) = client.recv(&mut buffer) {
                    if let Some((&number, word)) = buffer[..length].split_last()
                        && number == question
                    {
                        return String::from_utf8(word.to_vec()).unwrap();
                    }
                }
            }
            panic!("no answer to twenty datagrams");
        };
        w.nft.converge(&to(w.a.1)).unwrap();
        assert_eq!(ask(), "old");
        w.nft.converge(&to(w.b.1)).unwrap();
        assert_eq!(ask(), "old", "(this is why it must be told to forget)");
        assert_eq!(
            conntrack::forget(Protocol::Tcp, &[w.a.1.into()].into()).unwrap(),
            0
        );
        assert_eq!(
            conntrack::forget(Protocol::Udp, &[w.a.1.into()].into()).unwrap(),
            1
        );
        assert_eq!(ask(), "new");
    });
}

#[test]
fn a_bridge_that_was_deleted_comes_back_with_its_containers() {
    on_new_host(|| {
        let w = world(|_, _| {});
        w.nft
            .converge(&rules_of(
                &[w.one.clone(), w.two.clone()],
                &[published(None, 8080, w.a.1, 80)],
            ))
            .unwrap();
        let _server = serve(&w.a.0, 80);
        let place = |link: &str, bridge: &Bridge| Place {
            host_link: link.into(),
            bridge: bridge.name.clone(),
            isolated: false,
        };
        let places = [
            place("svtest1", &w.one),
            place("svtest3", &w.two),
            place("svgone", &w.one),
        ];
        assert!(
            w.links.attach(&places).unwrap().is_empty(),
            "all is as it should be"
        );
        run("ip", &["link", "delete", "docker0"]);
        assert_eq!(ask_from(&w.outside, HOST, 8080), None);
        w.links.ensure_bridge(&w.one).unwrap();
        assert_eq!(w.links.attach(&places).unwrap(), ["svtest1"]);
        assert_eq!(reach_from(&w.outside, HOST, 8080), Some(OUTSIDE));
        assert_eq!(
            reach_from(&w.a.0, HOST, 8080),
            Some(gateway(&w.one)),
            "and its port turns round again"
        );
    });
}
