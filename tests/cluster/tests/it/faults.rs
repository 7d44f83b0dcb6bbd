//! What happens to a node's network, and how soon it is as it was: nothing is restarted.

use crate::mesh::*;
use shoal_tests_cluster::Cluster;
use shoal_tests_harness::{Host, eventually};
use std::process::Command;
use std::time::{Duration, Instant};

/// What is allowed between the end of a fault and its repair.
const REPAIR: Duration = Duration::from_secs(5);

/// How long a node is cut off: a few seconds in the fast tier, `SHOAL_PARTITION` in the long one.
fn partition() -> Duration {
    let asked = std::env::var("SHOAL_PARTITION").ok().and_then(|s| s.parse().ok());
    Duration::from_secs(asked.unwrap_or(8))
}

fn on(host: &Host, command: &str) {
    let words: Vec<&str> = command.split(' ').collect();
    let status = host.command(words[0]).args(&words[1..]).status();
    assert!(status.is_ok_and(|s| s.success()), "{command}");
}

/// The first interface of the host that begins so, and is not this one.
fn link(host: &Host, prefix: &str, not: &str) -> String {
    let found = kernel(host)
        .lines()
        .filter_map(|l| l.split([' ', '@']).next())
        .find(|l| l.starts_with(prefix) && (not.is_empty() || !l.ends_with(not)))
        .map(str::to_owned);
    found.unwrap_or_else(|| panic!("no {prefix}… on host {}", host.number))
}

/// Everything that the networks are for, by way of this host.
fn works(cluster: &Cluster, n: usize, client: &Host) -> bool {
    let host = &cluster.hosts[n];
    let address = vip(&cluster.hosts[0], "web");
    let clean =
        host.api("GET", "/shoal/networks/doctor", None).json()["Differences"] == serde_json::json!([]);
    let tasks = places(&cluster.hosts[0], "web", "mesh");
    clean
        && tasks.len() == 3
        && (0..4).all(|_| ask(client, &host.address, 8080).is_some())
        && exec(host, "probe", &get(&address, "index.html")).is_some_and(|a| a.ends_with("hello"))
        && tasks
            .iter()
            .all(|task| exec(host, "probe", &get(task, "index.html")).is_some_and(|a| a.ends_with("hello")))
}

fn await_repair(cluster: &Cluster, n: usize, client: &Host, fault: &str) {
    let began = Instant::now();
    eventually(&format!("host {n} works again after: {fault}"), REPAIR, || {
        works(cluster, n, client).then_some(())
    });
    println!("host {n}, {fault}: {:?}", began.elapsed());
}

/// Three nodes with a published service and somebody who asks for it on each, all of it working; and a host beside them.
fn at_work() -> (Cluster, Host) {
    let mut cluster = Cluster::form(1, 2);
    let client = cluster.world.host();
    cluster.hosts[0].docker_ok(&["network", "create", "-d", "overlay", "mesh"]);
    let each = ["--replicas-max-per-node", "1", "--network", "mesh"];
    servers(
        &cluster,
        "web",
        3,
        &[&each[..], &["--publish", "8080:80"]].concat(),
    );
    cluster.sleepers(0, "probe", 3, &each);
    for n in 0..3 {
        eventually("it works", LIMIT, || works(&cluster, n, &client).then_some(()));
    }
    (cluster, client)
}

#[test]
fn faults_of_a_nodes_network_are_repaired_within_seconds() {
    let (cluster, client) = at_work();
    let before = cluster.pids(2);

    // Somebody's hand in the kernel. `1000` is the ingress network's identifier.
    let host = &cluster.hosts[2];
    let cable = {
        let filter = "label=com.docker.swarm.service.name=web";
        let id = host.docker_ok(&["ps", "-q", "--filter", filter]);
        let index = host.docker_ok(&["exec", &id, "cat", "/sys/class/net/eth0/iflink"]);
        let out = host.command("ip").args(["-o", "link"]).output().expect("ip");
        let links = String::from_utf8_lossy(&out.stdout).into_owned();
        let line = links.lines().find(|l| l.starts_with(&format!("{index}: ")));
        let name = line.and_then(|l| l.split([' ', '@']).nth(1)).map(str::to_owned);
        name.unwrap_or_else(|| panic!("no cable {index} in {links}"))
    };
    let faults = [
        "nft flush ruleset".to_owned(),
        format!(
            "nft delete table inet shoal-{}-ingress",
            host.short_id().expect("an id")
        ),
        format!("ip link del {}", link(host, "ob", "1000")),
        format!("ip link del {}", link(host, "ov", "1000")),
        format!("ip link del ob{}1000", &host.short_id().expect("an id")[..6]),
        format!("ip link set {} down", link(host, "ov", "1000")),
        format!("ip link del {cable}"),
    ];
    for fault in faults {
        on(&cluster.hosts[2], &fault);
        await_repair(&cluster, 2, &client, &fault);
    }
    assert_eq!(cluster.pids(2), before, "no container was restarted");

    // Cut off, and back.
    cluster.world.cable(&cluster.hosts[2], false);
    std::thread::sleep(partition());
    cluster.world.cable(&cluster.hosts[2], true);
    // All at once: each look takes a while of its own.
    std::thread::scope(|scope| {
        for n in 0..3 {
            let (cluster, client) = (&cluster, &client);
            scope.spawn(move || {
                await_repair(cluster, n, client, &format!("a partition of {:?}", partition()))
            });
        }
    });
}

#[test]
fn a_node_whose_address_changes_is_found_at_the_new_one() {
    let (mut cluster, client) = at_work();
    let before = cluster.pids(2);
    let (old, new) = (cluster.hosts[2].address.clone(), "10.84.0.200".to_owned());
    // The other way round, the kernel would take the new one away with the old one.
    for line in [
        format!("address del {old}/24 dev eth0"),
        format!("address add {new}/24 dev eth0"),
        "route replace default via 10.84.0.1".to_owned(),
    ] {
        let netns = cluster.hosts[2].netns.clone();
        let done = Command::new("ip")
            .args(["-n", &netns])
            .args(line.split(' '))
            .status();
        assert!(done.is_ok_and(|s| s.success()), "{line}");
    }
    cluster.hosts[2].address = new;
    let began = Instant::now();
    for n in [2, 0, 1] {
        eventually(&format!("host {n} works with the new address"), LIMIT, || {
            works(&cluster, n, &client).then_some(())
        });
    }
    println!("a new address: {:?}", began.elapsed());
    assert_eq!(cluster.pids(2), before, "no container was restarted");
}

#[test]
fn the_doctor_is_asked_of_every_node_by_any() {
    let mut cluster = Cluster::form(2, 1);
    cluster.hosts[0].docker_ok(&["network", "create", "-d", "overlay", "mesh"]);
    cluster.sleepers(
        0,
        "probe",
        3,
        &["--network", "mesh", "--replicas-max-per-node", "1"],
    );
    let asked = |host: &Host| -> Vec<(String, bool, String)> {
        let found = host.api("GET", "/shoal/networks/doctor?all=true", None).json();
        let nodes = found["Nodes"].as_array().cloned().unwrap_or_default();
        let one = |node: &serde_json::Value| {
            let text = |key: &str| node[key].as_str().unwrap_or_default().to_owned();
            (
                text("Name"),
                node["Differences"] == serde_json::json!([]),
                text("Error"),
            )
        };
        let mut all: Vec<_> = nodes.iter().map(one).collect();
        all.sort();
        all
    };
    let well = |n: usize| (format!("host{n}"), true, String::new());
    for (n, host) in cluster.hosts.iter().enumerate() {
        eventually(&format!("all is well, says host {n}"), LIMIT, || {
            (asked(host) == [well(1), well(2), well(3)]).then_some(())
        });
    }
    // A worker that cannot be asked is named.
    cluster.hosts[2].crash();
    eventually("a node that is down is named", LIMIT, || {
        let found = asked(&cluster.hosts[1]);
        (found.len() == 3 && found[2].2 == "the node is down" && found[..2] == [well(1), well(2)])
            .then_some(())
    });
}
