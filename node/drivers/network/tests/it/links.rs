use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use shoal_node_drivers_network::{LinkWatch, Links, Netns};

use crate::{bridge, cable, on_new_host, plugged, run};

#[test]
fn bridge_is_made_once_and_mended() {
    on_new_host(|| {
        let links = Links::open().unwrap();
        let wanted = bridge("docker0", "172.17.0.1/16");
        let first = links.ensure_bridge(&wanted).unwrap();
        assert_eq!(first.addresses, ["172.17.0.1/16".parse().unwrap()]);
        assert_eq!(links.ensure_bridge(&wanted).unwrap(), first);
        assert_eq!(links.get("docker0").unwrap().unwrap().addresses, first.addresses);
        let localnet = std::fs::read_to_string("/proc/sys/net/ipv4/conf/docker0/route_localnet").unwrap();
        assert_eq!(localnet.trim(), "1");

        run("ip", &["link", "set", "docker0", "down", "mtu", "1400"]);
        run("ip", &["address", "flush", "dev", "docker0"]);
        links.ensure_bridge(&wanted).unwrap();
        let shown = run("ip", &["-4", "address", "show", "docker0"]);
        assert!(
            shown.contains("172.17.0.1/16") && shown.contains("mtu 1500") && shown.contains(",UP"),
            "{shown}"
        );

        run(
            "ip",
            &["link", "add", "dummyx", "type", "veth", "peer", "name", "dummyy"],
        );
        let error = links
            .ensure_bridge(&bridge("dummyx", "10.0.0.1/24"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("is no bridge"), "{error}");
        let error = links
            .ensure_bridge(&bridge("a-name-that-is-too-long", "10.0.0.1/24"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("no name for an interface"), "{error}");
        links.remove("docker0").unwrap();
        links.remove("docker0").unwrap();
        assert_eq!(links.get("docker0").unwrap(), None);
    });
}

#[test]
fn cable_connects_a_container() {
    on_new_host(|| {
        let links = Links::open().unwrap();
        let wanted = bridge("docker0", "172.17.0.1/16");
        links.ensure_bridge(&wanted).unwrap();
        let (netns, _) = plugged(&links, &wanted, "svtest1", 2);
        let inside = netns
            .run(|| run("ip", &["address"]) + &run("ip", &["route"]))
            .unwrap();
        assert!(inside.contains("172.17.0.2/16 brd 172.17.255.255"), "{inside}");
        assert!(inside.contains("02:42:ac:11:00:02"), "{inside}");
        assert!(inside.contains("default via 172.17.0.1 dev eth0"), "{inside}");
        assert!(inside.contains("127.0.0.1/8"), "{inside}");
        let host = run("ip", &["-d", "link", "show", "svtest1"]);
        assert!(host.contains("master docker0") && host.contains("UP"), "{host}");
        assert_eq!(links.list_ours("sv").unwrap(), ["svtest1"]);
        let own = run("ip", &["link", "show", "docker0"]);
        assert!(
            own.contains("link/ether 02:42:ac:11:00:01"),
            "the bridge's address must not follow its ports: {own}"
        );
        // Packets pass, and are counted from the container's side.
        netns
            .run(|| {
                run(
                    "ip",
                    &[
                        "neigh",
                        "replace",
                        "172.17.0.9",
                        "lladdr",
                        "02:00:00:00:00:09",
                        "dev",
                        "eth0",
                    ],
                )
            })
            .unwrap();
        netns
            .run(|| {
                std::net::UdpSocket::bind("0.0.0.0:0")
                    .unwrap()
                    .send_to(&[0; 100], "172.17.0.9:9")
                    .unwrap()
            })
            .unwrap();
        let counters = links.counters("svtest1").unwrap();
        assert!(
            counters.tx_bytes >= 142 && counters.tx_packets >= 1,
            "{counters:?}"
        );

        // The container starts again before its last cable is gone.
        let (again, _) = plugged(&links, &wanted, "svtest1", 3);
        assert!(
            again
                .run(|| run("ip", &["address"]))
                .unwrap()
                .contains("172.17.0.3/16")
        );
        assert!(!netns.run(|| run("ip", &["address"])).unwrap().contains("eth0"));
        links.unplug("svtest1").unwrap();
        links.unplug("svtest1").unwrap();
        assert!(links.list_ours("sv").unwrap().is_empty());
    });
}

#[test]
fn cables_go_with_their_namespace() {
    on_new_host(|| {
        let links = Links::open().unwrap();
        let wanted = bridge("docker0", "172.17.0.1/16");
        links.ensure_bridge(&wanted).unwrap();
        let (netns, _) = plugged(&links, &wanted, "svtest1", 2);
        drop(netns);
        let begin = Instant::now();
        while !links.list_ours("sv").unwrap().is_empty() {
            assert!(
                begin.elapsed() < Duration::from_secs(10),
                "the cable outlives its namespace"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        println!("gone after {:?}", begin.elapsed());
    });
}

#[test]
fn failed_plug_leaves_nothing() {
    on_new_host(|| {
        let links = Links::open().unwrap();
        let wanted = bridge("docker0", "172.17.0.1/16");
        let netns = Netns::create().unwrap();
        let error = links.plug(&netns, &cable(&wanted, "svtest1", 2)).unwrap_err();
        assert!(
            error.is_not_found() && error.to_string().contains("docker0"),
            "{error}"
        );
        links.ensure_bridge(&wanted).unwrap();
        let mut wrong = cable(&wanted, "svtest1", 2);
        wrong.inside.gateways = vec!["10.9.9.9".parse().unwrap()];
        let error = links.plug(&netns, &wrong).unwrap_err().to_string();
        assert!(error.contains("default route"), "{error}");
        assert!(links.list_ours("sv").unwrap().is_empty());
        // The same namespace can still be plugged in.
        links.plug(&netns, &cable(&wanted, "svtest1", 2)).unwrap();
    });
}

#[test]
fn used_subnets_are_addresses_and_routes() {
    on_new_host(|| {
        let links = Links::open().unwrap();
        links.ensure_bridge(&bridge("docker0", "172.17.0.1/16")).unwrap();
        links.ensure_bridge(&bridge("br1", "10.5.0.1/24")).unwrap();
        run("ip", &["route", "add", "10.66.0.0/16", "via", "10.5.0.7"]);
        run("ip", &["route", "add", "default", "via", "10.5.0.8"]);
        let text = |except| {
            links
                .used_subnets(except)
                .unwrap()
                .iter()
                .map(|n| n.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            text(None),
            [
                "10.5.0.0/24",
                "10.66.0.0/16",
                "127.0.0.0/8",
                "172.17.0.0/16",
                "::1/128"
            ]
        );
        assert_eq!(
            text(Some("docker0")),
            ["10.5.0.0/24", "10.66.0.0/16", "127.0.0.0/8", "::1/128"]
        );
    });
}

/// A container's start pays for this. The bound is loose (busy and emulated machines); the figures are printed.
#[test]
fn plugging_is_fast() {
    on_new_host(|| {
        let links = Links::open().unwrap();
        let wanted = bridge("docker0", "172.17.0.1/16");
        links.ensure_bridge(&wanted).unwrap();
        let mut times: Vec<[Duration; 3]> = Vec::new();
        for _ in 0..40 {
            let begin = Instant::now();
            let netns = Netns::create().unwrap();
            let created = begin.elapsed();
            let begin = Instant::now();
            links.plug(&netns, &cable(&wanted, "svtest1", 2)).unwrap();
            let plugged = begin.elapsed();
            let begin = Instant::now();
            links.unplug("svtest1").unwrap();
            times.push([created, plugged, begin.elapsed()]);
        }
        let median = |at: usize| {
            let mut all: Vec<_> = times.iter().map(|t| t[at]).collect();
            all.sort();
            all[all.len() / 2]
        };
        println!(
            "namespace {:?}, plug {:?}, unplug {:?}",
            median(0),
            median(1),
            median(2)
        );
        assert!(median(0) + median(1) < Duration::from_secs(2));
    });
}

#[test]
fn the_loss_of_a_bridge_is_noticed_and_nothing_else() {
    on_new_host(|| {
        let links = Links::open().unwrap();
        let wanted = bridge("docker0", "172.17.0.1/16");
        links.ensure_bridge(&wanted).unwrap();
        let mut watch = LinkWatch::open().unwrap();
        let ours = ["docker0".to_owned()];

        let (netns, _) = plugged(&links, &wanted, "svwatch0", 9);
        links.unplug("svwatch0").unwrap();
        drop(netns);
        run("ip", &["link", "add", "other0", "type", "bridge"]);
        run("ip", &["link", "del", "other0"]);
        assert!(
            !heard(&mut watch, &ours, 50),
            "the coming and going of others is no news"
        );

        for damage in [
            "link del docker0",
            "link set docker0 down",
            "address flush dev docker0",
        ] {
            run("ip", &damage.split(' ').collect::<Vec<_>>());
            assert!(heard(&mut watch, &ours, 2000), "{damage}: no notice");
            let before = links.ensure_bridge(&wanted).unwrap();
            assert!(before.up && before.addresses.len() == 1, "{damage}");
            heard(&mut watch, &ours, 20);
        }
        assert!(!heard(&mut watch, &ours, 50), "nor is what we made ourselves");
    });
}

fn heard(watch: &mut LinkWatch, ours: &[String], limit_ms: u64) -> bool {
    let end = Instant::now() + Duration::from_millis(limit_ms);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let limit = Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        if poll(&mut [PollFd::new(&*watch, PollFlags::IN)], Some(&limit)).unwrap() == 0 {
            return false;
        }
        if watch.touched(ours).unwrap() {
            return true;
        }
    }
}
