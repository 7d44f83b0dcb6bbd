use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use shoal_node_drivers_network::{Nft, Watch, forwarding, table_name};

use crate::{bridge, on_new_host, published, rules_of, run};

const CONTAINER: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 2);

#[test]
fn table_reads_as_it_was_meant() {
    on_new_host(|| {
        let nft = Nft::open(table_name("1a2b3c4d")).unwrap();
        let bridges = [bridge("docker0", "172.17.0.1/16")];
        let local = Some(Ipv4Addr::LOCALHOST);
        let rules = rules_of(
            &bridges,
            &[
                published(None, 8080, CONTAINER, 80),
                published(local, 9090, CONTAINER, 90),
            ],
        );
        assert!(nft.converge(&rules).unwrap());
        let text = run("nft", &["list", "table", "inet", "shoal-1a2b3c4d"]);
        println!("{text}");
        for part in [
            "tcp . 8080 : 172.17.0.2 . 80",
            "127.0.0.1 . tcp . 9090 : 172.17.0.2 . 90",
            "type nat hook prerouting priority dstnat; policy accept;",
            "type nat hook output priority -100; policy accept;",
            "type filter hook forward priority filter; policy accept;",
            "fib daddr type != local accept",
            "meta nfproto ipv4 dnat ip to meta l4proto . th dport map @published",
            "dnat ip to ip daddr . meta l4proto . th dport map @published-by-address",
            "ip saddr 172.17.0.0/16 oifname != \"docker0\" masquerade",
            "ip daddr 172.17.0.0/16 iifname != \"docker0\" drop",
            "dnat ip6 to meta l4proto . th dport map @published6",
            "oifname \"docker0\" ct state established,related accept",
            "ip daddr 127.0.0.0/8 iifname \"docker0\" drop",
            "ct status dnat",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
    });
}

#[test]
fn only_differences_are_written() {
    on_new_host(|| {
        let nft = Nft::open("shoal-test").unwrap();
        let bridges = [bridge("docker0", "172.17.0.1/16")];
        let list = || run("nft", &["-a", "list", "table", "inet", "shoal-test"]);
        nft.converge(&rules_of(&bridges, &[])).unwrap();
        let before = list();
        let two = rules_of(
            &bridges,
            &[
                published(None, 80, CONTAINER, 8080),
                published(None, 81, CONTAINER, 81),
            ],
        );
        assert!(nft.converge(&two).unwrap());
        assert!(!nft.converge(&two).unwrap());
        let one = rules_of(&bridges, &[published(None, 80, CONTAINER, 8081)]);
        assert!(nft.converge(&one).unwrap());
        let after = list();
        assert!(
            after.contains("tcp . 80 : 172.17.0.2 . 8081") && !after.contains("tcp . 81"),
            "{after}"
        );
        // Handles number the rules: the chains were not written again.
        let handles = |text: &str| {
            text.lines()
                .filter(|l| l.contains("# handle"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(handles(&before), handles(&after));

        // A second daemon life reads what is there and finds nothing to do, or only the difference.
        let nft = Nft::open("shoal-test").unwrap();
        assert!(!nft.converge(&one).unwrap());
        let nft = Nft::open("shoal-test").unwrap();
        assert!(nft.converge(&two).unwrap());
        assert_eq!(handles(&before), handles(&list()));
        // Another network rewrites the chains, but the ports stay.
        let more = [bridges[0].clone(), bridge("br-2", "172.18.0.1/16")];
        assert!(
            nft.converge(&rules_of(
                &more,
                &two.published.iter().copied().collect::<Vec<_>>()
            ))
            .unwrap()
        );
        let text = list();
        assert!(text.contains("br-2") && text.contains("tcp . 81"), "{text}");
        assert!(nft.converge(&two).unwrap());
        assert!(!list().contains("br-2"));
    });
}

#[test]
fn foreign_hands_at_the_table_are_noticed_and_undone() {
    on_new_host(|| {
        let nft = Nft::open("shoal-test").unwrap();
        let bridges = [bridge("docker0", "172.17.0.1/16")];
        let rules = rules_of(&bridges, &[published(None, 80, CONTAINER, 8080)]);
        nft.converge(&rules).unwrap();
        let list = || run("nft", &["list", "table", "inet", "shoal-test"]);
        let good = list();
        let mut watch = nft.watch().unwrap();

        nft.converge(&rules_of(&bridges, &[])).unwrap();
        nft.converge(&rules).unwrap();
        assert!(!wait(&mut watch, 50), "our own changes are no news");
        run("nft", &["add", "table", "inet", "other"]);
        assert!(!wait(&mut watch, 50), "nor are those of other tables");

        for damage in [
            "flush ruleset",
            "delete table inet shoal-test",
            "flush chain inet shoal-test forward",
            "insert rule inet shoal-test forward accept",
            "delete element inet shoal-test published { tcp . 80 }",
            "add element inet shoal-test published { udp . 53 : 10.0.0.1 . 53 }",
        ] {
            run("nft", &damage.split(' ').collect::<Vec<_>>());
            assert!(wait(&mut watch, 2000), "{damage}: no notice");
            assert_ne!(run("nft", &["list", "ruleset"]), good, "{damage}");
            assert!(nft.recheck(&rules).unwrap(), "{damage}");
            assert_eq!(list(), good, "{damage}");
            wait(&mut watch, 20);
        }
        // Without a look, the next change finds out by itself.
        run("nft", &["flush", "ruleset"]);
        let more = rules_of(
            &bridges,
            &[
                published(None, 80, CONTAINER, 8080),
                published(None, 81, CONTAINER, 81),
            ],
        );
        nft.converge(&more).unwrap();
        assert!(list().contains("tcp . 80") && list().contains("tcp . 81"));

        nft.delete_table().unwrap();
        nft.delete_table().unwrap();
        assert_eq!(run("nft", &["list", "tables"]), "");
    });
}

fn wait(watch: &mut Watch, limit_ms: u64) -> bool {
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
        if watch.touched().unwrap() {
            return true;
        }
    }
}

#[test]
fn two_daemons_share_a_namespace() {
    on_new_host(|| {
        let (a, b) = (
            Nft::open(table_name("aaaa")).unwrap(),
            Nft::open(table_name("bbbb")).unwrap(),
        );
        let rules_a = rules_of(
            &[bridge("br-a", "10.1.0.1/24")],
            &[published(None, 80, Ipv4Addr::new(10, 1, 0, 2), 80)],
        );
        let rules_b = rules_of(
            &[bridge("br-b", "10.2.0.1/24")],
            &[published(None, 81, Ipv4Addr::new(10, 2, 0, 2), 80)],
        );
        a.converge(&rules_a).unwrap();
        b.converge(&rules_b).unwrap();
        assert!(!a.recheck(&rules_a).unwrap());
        b.delete_table().unwrap();
        assert!(!a.recheck(&rules_a).unwrap());
        assert_eq!(forwarding::foreign_drop(a.table()).unwrap(), None);
    });
}

#[test]
fn chains_that_drop_forwarded_traffic_are_named() {
    on_new_host(|| {
        assert!(forwarding::foreign_drop("shoal-test").unwrap().is_none());
        run("nft", &["add", "table", "inet", "fw"]);
        run(
            "nft",
            &[
                "add",
                "chain",
                "inet",
                "fw",
                "passing",
                "{ type filter hook forward priority 0; policy accept; }",
            ],
        );
        run(
            "nft",
            &[
                "add",
                "rule",
                "inet",
                "fw",
                "passing",
                "ct",
                "state",
                "established",
                "accept",
            ],
        );
        run(
            "nft",
            &[
                "add", "rule", "inet", "fw", "passing", "ip", "saddr", "10.0.0.1", "drop",
            ],
        );
        assert_eq!(forwarding::foreign_drop("shoal-test").unwrap(), None);
        run(
            "nft",
            &[
                "add",
                "rule",
                "inet",
                "fw",
                "passing",
                "counter",
                "reject",
                "with",
                "icmpx",
                "admin-prohibited",
            ],
        );
        assert_eq!(
            forwarding::foreign_drop("shoal-test").unwrap().as_deref(),
            Some("inet fw passing")
        );
        run("nft", &["add", "table", "ip", "filter"]);
        run(
            "nft",
            &[
                "add",
                "chain",
                "ip",
                "filter",
                "FORWARD",
                "{ type filter hook forward priority 0; policy drop; }",
            ],
        );
        assert_eq!(
            forwarding::foreign_drop("shoal-test").unwrap().as_deref(),
            Some("ip filter FORWARD")
        );
    });
}

#[test]
fn many_ports_are_one_transaction_and_one_more_is_cheap() {
    on_new_host(|| {
        let nft = Nft::open("shoal-test").unwrap();
        let bridges = [bridge("docker0", "172.17.0.1/16")];
        let ports = |count: u16| {
            (0..count)
                .map(|n| published(None, 10_000 + n, CONTAINER, n))
                .collect::<Vec<_>>()
        };
        let begin = Instant::now();
        nft.converge(&rules_of(&bridges, &ports(5000))).unwrap();
        let whole = begin.elapsed();
        let fresh = Nft::open("shoal-test").unwrap();
        let begin = Instant::now();
        assert!(!fresh.converge(&rules_of(&bridges, &ports(5000))).unwrap());
        let read = begin.elapsed();
        let mut times = Vec::new();
        for count in 5001..5041 {
            let rules = rules_of(&bridges, &ports(count));
            let begin = Instant::now();
            nft.converge(&rules).unwrap();
            times.push(begin.elapsed());
        }
        times.sort();
        println!(
            "5000 ports written {whole:?}, read back {read:?}, one more {:?}",
            times[20]
        );
        assert!(
            times[20] * 3 < whole,
            "one more port costs {:?}, all of them {whole:?}",
            times[20]
        );
    });
}

#[test]
fn six_is_published_too() {
    on_new_host(|| {
        let nft = Nft::open("shoal-test").unwrap();
        let bridges = [bridge("br-6", "fd00:1::1/64")];
        let mut port = published(None, 80, CONTAINER, 8080);
        port.container_ip = "fd00:1::2".parse().unwrap();
        let mut on_one = port;
        on_one.host_ip = Some("fd00:9::9".parse().unwrap());
        let rules = rules_of(&bridges, &[port, on_one]);
        nft.converge(&rules).unwrap();
        let text = run("nft", &["list", "table", "inet", "shoal-test"]);
        for part in [
            "tcp . 80 : fd00:1::2 . 8080",
            "fd00:9::9 . tcp . 80 : fd00:1::2 . 8080",
            "ip6 saddr fd00:1::/64 oifname != \"br-6\" masquerade",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        let nft = Nft::open("shoal-test").unwrap();
        assert!(
            !nft.converge(&rules).unwrap(),
            "it is read back as it was written"
        );
    });
}

#[test]
fn the_hosts_own_chains_are_made_once_and_left_alone() {
    on_new_host(|| {
        use shoal_node_drivers_network::{USER_TABLE, ensure_user_chains};
        assert!(ensure_user_chains().unwrap());
        run(
            "nft",
            &[
                "add", "rule", "inet", USER_TABLE, "arriving", "tcp", "dport", "8080", "drop",
            ],
        );
        run(
            "nft",
            &["chain", "inet", USER_TABLE, "forward", "{ policy drop ; }"],
        );
        assert!(!ensure_user_chains().unwrap());
        let before = run("nft", &["list", "table", "inet", USER_TABLE]);
        assert!(
            before.contains("tcp dport 8080 drop") && before.contains("policy drop"),
            "{before}"
        );
        run("nft", &["delete", "chain", "inet", USER_TABLE, "forward"]);
        assert!(ensure_user_chains().unwrap());
        let after = run("nft", &["list", "table", "inet", USER_TABLE]);
        assert!(
            after.contains("tcp dport 8080 drop") && after.contains("chain forward"),
            "{after}"
        );
    });
}
