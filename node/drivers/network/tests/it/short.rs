//! Frames between containers of one overlay go past the bridge, and so past the host's rules; to another network they do not
//! go at all.
//!
//! ```text
//!   a 10.1.1.20 ─┐                    c 10.2.1.20 ── bridge of "other"
//!   b 10.1.1.21 ─┴─ bridge of "mesh"
//! ```

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use shoal_node_core_host::overlay::{Layout, Plan, Tracks};
use shoal_node_drivers_network::overlay::{Overlays, Port};
use shoal_node_drivers_network::{Cable, Inside, Links, Netns};
use shoal_raft_objects::network::{OVERLAY, mac_of};
use shoal_raft_objects::track::{EndpointTrack, PeerTrack};
use shoal_raft_objects::{Attachment, Network, NodeId, Subnet, Track};

use crate::{on_new_host, run};

const SID: &str = "shorts01";
const BRIDGED: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";
const PORT: u16 = 80;

fn network(id: &str, n: u8) -> Track {
    let mut network = Network {
        id: id.into(),
        vni: Some(4096 + u32::from(n)),
        subnets: vec![Subnet {
            subnet: format!("10.{n}.0.0/16"),
            gateway: format!("10.{n}.0.1"),
            ..Default::default()
        }],
        ..Default::default()
    };
    network.spec.annotations.name = id.into();
    network.spec.driver = OVERLAY.into();
    Track::Network(network)
}

fn elsewhere(task: &str, last: u8) -> Track {
    Track::Endpoint(EndpointTrack {
        places: vec![Attachment {
            network: "mesh".into(),
            address: Ipv4Addr::new(10, 1, 1, last),
            prefix_len: 16,
            address6: None,
            mac: mac_of(task, "mesh"),
            aliases: Vec::new(),
        }],
        task: task.into(),
        node: "n1".into(),
        name: task.into(),
        live: true,
        ..Default::default()
    })
}

fn tracks() -> Tracks {
    let nodes = (0..2u8).map(|n| {
        Track::Peer(PeerTrack {
            addr: format!("192.0.2.{}", n + 1),
            port: 4789,
            node: format!("n{n}").as_str().into(),
            ..Default::default()
        })
    });
    let all = nodes.chain([network("mesh", 1), network("other", 2), elsewhere("far", 30)]);
    all.map(|track| (track.key(), Arc::new(track))).collect()
}

struct World {
    links: Links,
    overlays: Overlays,
    layout: Layout,
    ports: Vec<Port>,
}

impl World {
    /// Its networks, and nobody on them.
    fn laid() -> World {
        run("ip", &["address", "add", "192.0.2.1/24", "dev", "lo"]);
        let w = World {
            links: Links::open().expect("links"),
            overlays: Overlays::open(SID).expect("netlink"),
            layout: Layout::of(SID, &NodeId::from("n0"), tracks()),
            ports: Vec::new(),
        };
        w.overlays.converge(w.plan(), true).1.expect("it is laid");
        w
    }

    fn plan(&self) -> &Plan {
        self.layout.plan()
    }

    fn plug(&mut self, network: &str, host_link: &str, address: [u8; 4]) -> Netns {
        let bridge = self.plan().segments[network].bridge.clone();
        let address = IpAddr::from(address);
        let cable = Cable {
            bridge: bridge.clone(),
            host_link: host_link.into(),
            inside: Inside {
                name: "eth0".into(),
                addresses: vec![IpNet::new(address, 16).expect("a prefix")],
                gateways: Vec::new(),
                switches: Vec::new(),
            },
            mac: mac_of(&address.to_string(), network),
            mtu: 1450,
            isolated: false,
        };
        let netns = Netns::create().expect("a namespace");
        self.links.plug(&netns, &cable).expect("a cable");
        self.ports.retain(|port| port.mac != cable.mac);
        self.ports.push(Port {
            bridge,
            host_link: host_link.into(),
            mac: cable.mac,
        });
        netns
    }

    fn shorten(&self, change: bool) -> Vec<String> {
        let ports = || self.ports.clone();
        let found = self.overlays.shorten(self.plan(), ports, true, change);
        found.expect("the short ways")
    }
}

/// Answers with the address that it was asked by.
fn serve(netns: &Netns) {
    let listener = netns.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).expect("a listener"));
    let listener = listener.expect("entered");
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            if let Ok(peer) = connection.peer_addr() {
                let _ = write!(connection, "{}", peer.ip());
            }
        }
    });
}

fn asks(netns: &Netns, address: [u8; 4], limit: Duration) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from((address, PORT)), limit).ok()?;
        stream.set_read_timeout(Some(limit)).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()
    };
    netns.run(ask).expect("entered").is_some()
}

const SOON: Duration = Duration::from_millis(400);
const LONG: Duration = Duration::from_secs(8);

#[test]
fn frames_of_an_overlay_go_past_the_hosts_rules_and_to_no_other_network() {
    on_new_host(|| {
        let bridged = std::fs::write(BRIDGED, "1").is_ok();
        let mut w = World::laid();
        assert_eq!(w.shorten(true), [""; 0], "nobody is there");
        let (a, b) = (
            w.plug("mesh", "svshort1", [10, 1, 1, 20]),
            w.plug("mesh", "svshort2", [10, 1, 1, 21]),
        );
        serve(&b);
        assert!(asks(&a, [10, 1, 1, 21], LONG), "by the bridge");

        // The host forwards nothing any more, also of what bridges carry.
        let drop_all = "add table inet host; \
             add chain inet host forward { type filter hook forward priority 0 ; policy drop ; }";
        run("nft", &[drop_all]);
        if bridged {
            assert!(
                !asks(&a, [10, 1, 1, 21], SOON),
                "the host's rules see what the bridge carries"
            );
        }
        assert_ne!(w.shorten(false), [""; 0], "it is told");
        assert_ne!(w.shorten(true), [""; 0]);
        assert_eq!(w.shorten(false), [""; 0]);
        assert!(asks(&a, [10, 1, 1, 21], LONG), "past the bridge");

        // Who flushes the host's rules finds it there again, with the next look.
        run("nft", &["flush", "ruleset"]);
        assert_ne!(w.shorten(false), [""; 0]);
        assert_ne!(w.shorten(true), [""; 0]);
        run("nft", &[drop_all]);
        assert!(asks(&a, [10, 1, 1, 21], LONG));

        // Another one at the same address: the cable's number is another.
        drop(b);
        w.links.unplug("svshort2").expect("unplugged");
        let b = w.plug("mesh", "svshort3", [10, 1, 1, 21]);
        serve(&b);
        w.shorten(true);
        assert!(asks(&a, [10, 1, 1, 21], LONG), "the new one");

        // Somebody on another network who knows all addresses of this one.
        let c = w.plug("other", "svshort4", [10, 2, 1, 20]);
        w.shorten(true);
        let mac = mac_of("10.1.1.21", "mesh")
            .map(|byte| format!("{byte:02x}"))
            .join(":");
        let by_hand = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            c.run(|| run("ip", &words)).expect("entered");
        };
        by_hand("address add 10.1.9.9/16 dev eth0");
        by_hand(&format!("neigh replace 10.1.1.21 lladdr {mac} dev eth0"));
        assert!(!asks(&c, [10, 1, 1, 21], SOON), "networks are apart");

        w.ports.clear();
        assert_ne!(w.shorten(true), [""; 0]);
        let tables = run("nft", &["list", "tables"]);
        assert!(!tables.contains("netdev"), "{tables}");
        w.overlays.clear().expect("nothing stays");
    });
}

/// What `nft` shows of the map of a network: interfaces by hardware address.
fn shown(bridge: &str) -> BTreeMap<String, String> {
    let table = format!("shoal-{SID}-short");
    let text = run("nft", &["list", "map", "netdev", &table, bridge]);
    let elements = text.split_once("elements = {").expect("elements").1;
    let elements = elements.split_once('}').expect("their end").0;
    let element = |text: &str| {
        let (mac, link) = text.trim().split_once(" : ").expect("an element");
        (mac.to_owned(), link.trim_matches('"').to_owned())
    };
    elements.split(',').map(element).collect()
}

#[test]
fn who_comes_to_another_node_is_named_by_the_change_alone() {
    on_new_host(|| {
        let mut w = World::laid();
        let _a = w.plug("mesh", "svshort1", [10, 1, 1, 20]);
        w.shorten(true);
        let (bridge, vxlan) = {
            let segment = &w.plan().segments["mesh"];
            (segment.bridge.clone(), segment.vxlan.clone())
        };
        let mac = |task: &str| mac_of(task, "mesh").map(|byte| format!("{byte:02x}")).join(":");
        let both =
            |task: &str| BTreeMap::from([(mac(task), vxlan.clone()), (mac("10.1.1.20"), "svshort1".into())]);
        assert_eq!(shown(&bridge), both("far"));

        let pieces = BTreeMap::from([
            (elsewhere("far", 30).key(), None),
            (elsewhere("new", 31).key(), Some(elsewhere("new", 31).into())),
        ]);
        let changes = w.layout.change(pieces).expect("no network changed");
        w.overlays.change(w.plan(), &changes).1.expect("it is laid");
        w.overlays.change_short(w.plan(), &changes).expect("a change");
        assert_eq!(shown(&bridge), both("new"));
        assert_eq!(w.shorten(false), [""; 0], "as the whole plan says");
        w.overlays.clear().expect("nothing stays");
    });
}

/// The kernel takes 256 interfaces in one chain, and removes a chain whose only interface goes, or does not.
#[test]
fn hundreds_on_one_network_have_it_and_who_comes_or_goes_is_written_alone() {
    const MANY: usize = 300;
    on_new_host(|| {
        let mut w = World::laid();
        let bridge = w.plan().segments["mesh"].bridge.clone();
        let mac = |n: usize| [2, 0, 0, 1, (n / 256) as u8, (n % 256) as u8];
        let links = format!(
            "for n in $(seq 0 {}); do echo link add svmany$n master {bridge} up type veth peer name svpeer$n; done | ip -batch -",
            MANY - 1
        );
        run("sh", &["-c", &links]);
        w.ports = (0..MANY)
            .map(|n| Port {
                bridge: bridge.clone(),
                host_link: format!("svmany{n}"),
                mac: mac(n),
            })
            .collect();
        let last = w.ports.pop().expect("one");
        let by_memory = |w: &World| {
            let found = w.overlays.shorten(w.plan(), || w.ports.clone(), false, true);
            found.expect("the short ways")
        };
        assert_ne!(w.shorten(true), [""; 0]);
        assert_eq!(w.shorten(false), [""; 0]);
        let names = || {
            shown(&bridge)
                .into_values()
                .filter(|name| name.starts_with("svmany"))
                .count()
        };
        assert_eq!(names(), MANY - 1);

        // One comes: an entry and a chain.
        w.ports.push(last);
        let table = format!("shoal-{SID}-short");
        let come = [
            format!("{bridge} of nftables table {table}: 1 entries more, 0 less"),
            format!("write svmany{} of nftables table {table}", MANY - 1),
        ];
        assert_eq!(by_memory(&w), come);
        assert_eq!(w.shorten(false), [""; 0]);

        // One goes, with its interface or before it.
        run("ip", &["link", "delete", "svmany7"]);
        w.ports
            .retain(|port| !["svmany7", "svmany8"].contains(&port.host_link.as_str()));
        let gone = [
            format!("{bridge} of nftables table {table}: 0 entries more, 2 less"),
            format!("remove svmany7 from nftables table {table}"),
            format!("remove svmany8 from nftables table {table}"),
        ];
        assert_eq!(by_memory(&w), gone);
        assert_eq!(w.shorten(false), [""; 0]);
        assert_eq!(names(), MANY - 2);
        let chains = run("nft", &["list", "table", "netdev", &table]);
        assert!(
            !chains.contains("chain svmany8 ") && chains.contains("chain svmany9 "),
            "{chains}"
        );
        w.overlays.clear().expect("nothing stays");
    });
}
