//! Services on cluster networks: names, addresses, published ports, updates, and that nothing is left behind.

use crate::mesh::*;
use shoal_tests_cluster::{Cluster, IMAGE};
use shoal_tests_harness::eventually;
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

#[test]
fn names_and_addresses_lead_to_tasks_from_every_node() {
    let cluster = Cluster::form(1, 2);
    let host = &cluster.hosts[0];
    // From a worker: it passes the call on.
    cluster.hosts[2].docker_ok(&["network", "create", "-d", "overlay", "mesh"]);
    let listed = host.docker_ok(&["network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}"]);
    assert!(listed.lines().any(|l| l == "mesh overlay swarm"), "{listed}");
    assert!(listed.lines().any(|l| l == "ingress overlay swarm"), "{listed}");
    servers(
        &cluster,
        "web",
        3,
        &["--network", "mesh", "--replicas-max-per-node", "1"],
    );
    servers(
        &cluster,
        "probe",
        3,
        &["--network", "mesh", "--replicas-max-per-node", "1"],
    );
    let address = vip(host, "web");
    let tasks = places(host, "web", "mesh");
    assert_eq!(tasks.len(), 3);
    for (n, host) in cluster.hosts.iter().enumerate() {
        eventually(&format!("host {n} knows the tasks"), LIMIT, || {
            (resolve(host, "probe", "tasks.web") == tasks).then_some(())
        });
        assert_eq!(
            resolve(host, "probe", "web"),
            [address.clone()].into(),
            "on host {n}"
        );
        let answered: BTreeSet<String> = (0..20)
            .filter_map(|_| exec(host, "probe", &get(&address, "cgi-bin/who")))
            .filter_map(|answer| answer.split_whitespace().last().map(str::to_owned))
            .collect();
        assert_eq!(answered.len(), 3, "every task answers on host {n}: {answered:?}");
        for task in &tasks {
            let out = exec(host, "probe", &get(task, "index.html")).unwrap_or_default();
            assert!(out.ends_with("hello"), "host {n} reaches {task}: {out:?}");
        }
    }
    let used = host.docker_err(&["network", "rm", "mesh"]);
    assert!(used.contains("is in use by service"), "{used}");
    host.docker_ok(&["service", "rm", "web", "probe"]);
    eventually("the network goes", LIMIT, || {
        host.docker(&["network", "rm", "mesh"])
            .status
            .success()
            .then_some(())
    });
    for (n, host) in cluster.hosts.iter().enumerate() {
        // Of the cluster's networks only the one for published ports is left: a bridge and a VXLAN interface.
        eventually(&format!("nothing is left on host {n}"), LIMIT, || {
            let links = kernel(host);
            let of_mesh = links.lines().any(|l| {
                let name = l.split([' ', '@']).next().unwrap_or_default();
                (name.starts_with("ob") || name.starts_with("ov")) && !name.ends_with("1000")
            });
            (!of_mesh).then_some(())
        });
    }
}

#[test]
fn a_published_port_answers_on_every_node_with_the_clients_address() {
    let mut cluster = Cluster::form(1, 2);
    let client = cluster.world.host();
    servers(
        &cluster,
        "web",
        2,
        &["--publish", "8080:80", "--replicas-max-per-node", "1"],
    );
    for host in &cluster.hosts {
        eventually("the port answers", LIMIT, || ask(&client, &host.address, 8080));
        let answers: Vec<String> = (0..12)
            .filter_map(|_| ask(&client, &host.address, 8080))
            .collect();
        assert_eq!(answers.len(), 12, "{answers:?}");
        let from: BTreeSet<&str> = answers.iter().filter_map(|a| a.split(' ').next()).collect();
        assert_eq!(from, [client.address.as_str()].into(), "through {}", host.address);
        let by: BTreeSet<&str> = answers.iter().filter_map(|a| a.split(' ').nth(1)).collect();
        assert_eq!(by.len(), 2, "both tasks answer through {}", host.address);
        // From the node itself as well.
        eventually("the port answers to its own node", LIMIT, || {
            ask(host, &host.address, 8080)
        });
    }
    // What is not published is not reached, whoever routes there.
    let tasks = places(&cluster.hosts[0], "web", "ingress");
    for task in &tasks {
        for host in &cluster.hosts {
            let route = format!("route replace {task} via {}", host.address);
            let done = Command::new("ip")
                .args(["-n", &client.netns])
                .args(route.split(' '))
                .status();
            assert!(done.is_ok_and(|s| s.success()));
            assert_eq!(ask(&client, task, 80), None, "{task} through {}", host.address);
        }
    }
    cluster.hosts[0].docker_ok(&["service", "rm", "web"]);
    eventually("the port is closed", LIMIT, || {
        ask(&client, &cluster.hosts[1].address, 8080)
            .is_none()
            .then_some(())
    });
}

#[test]
fn killed_partitioned_and_tampered_with_nodes_end_clean() {
    let mut cluster = Cluster::form(3, 1);
    let client = cluster.world.host();
    cluster.hosts[0].docker_ok(&["network", "create", "-d", "overlay", "mesh"]);
    servers(&cluster, "web", 3, &["--network", "mesh", "--publish", "8080:80"]);
    cluster.hosts[0].docker_ok(&[
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--mode",
        "global",
        "--name",
        "probe",
        "--network",
        "mesh",
        IMAGE,
        "sleep",
        "100000",
    ]);
    cluster.await_running(0, "probe", 4, LIMIT);
    await_whole(&cluster, &[0, 1, 2, 3], &client);

    cluster.hosts[3].crash();
    eventually("three run without the host", LIMIT, || {
        let spread = cluster.spread(0, "web");
        (!spread.contains_key("host4") && spread.values().sum::<usize>() == 3).then_some(())
    });
    await_whole(&cluster, &[0, 1, 2], &client);
    cluster.hosts[3].start();
    cluster.await_ready(4);
    cluster.await_running(0, "probe", 4, LIMIT);
    await_whole(&cluster, &[0, 1, 2, 3], &client);

    cluster.world.cable(&cluster.hosts[2], false);
    eventually("three run on the majority's side", LIMIT, || {
        let spread = cluster.spread(0, "web");
        (!spread.contains_key("host3") && spread.values().sum::<usize>() == 3).then_some(())
    });
    await_whole(&cluster, &[0, 1, 3], &client);
    cluster.world.cable(&cluster.hosts[2], true);
    cluster.await_ready(4);
    cluster.await_running(0, "probe", 4, LIMIT);
    await_whole(&cluster, &[0, 1, 2, 3], &client);

    // Somebody's hand in the kernel: repaired without anybody's doing.
    let links = kernel(&cluster.hosts[1]);
    let vxlan = links
        .lines()
        .find(|l| l.starts_with("ov"))
        .and_then(|l| l.split([' ', '@']).next());
    let vxlan = vxlan.expect("a VXLAN interface").to_owned();
    for command in [&["ip", "link", "del", &vxlan][..], &["nft", "flush", "ruleset"]] {
        let out = cluster.hosts[1].command(command[0]).args(&command[1..]).output();
        assert!(out.is_ok_and(|o| o.status.success()), "{command:?}");
    }
    eventually("what was deleted is there again", Duration::from_secs(12), || {
        let found = cluster.hosts[1].api("GET", "/shoal/networks/doctor", None).json();
        (found["Differences"] == serde_json::json!([])).then_some(())
    });
    await_whole(&cluster, &[0, 1, 2, 3], &client);

    // A daemon that starts again answers names at once, and takes up where it was.
    cluster.hosts[1].kill();
    cluster.hosts[1].start();
    let tasks = places(&cluster.hosts[0], "web", "mesh");
    eventually("names are answered after a restart", LIMIT, || {
        (resolve(&cluster.hosts[1], "probe", "tasks.web") == tasks).then_some(())
    });
    await_whole(&cluster, &[0, 1, 2, 3], &client);
    for (n, host) in cluster.hosts.iter().enumerate().rev() {
        host.docker_ok(&["swarm", "leave", "--force"]);
        eventually(&format!("nothing is left on host {n}"), LIMIT, || {
            let left = kernel(host);
            (!left
                .lines()
                .any(|l| l.starts_with("ob") || l.starts_with("ov") || l.contains("-ingress")))
            .then_some(())
        });
    }
}

#[test]
fn a_daemon_that_starts_again_disturbs_no_connection() {
    let mut cluster = Cluster::form(1, 2);
    let client = cluster.world.host();
    servers(
        &cluster,
        "web",
        3,
        &["--publish", "8080:80", "--replicas-max-per-node", "1"],
    );
    let addresses: Vec<String> = cluster.hosts.iter().map(|h| h.address.clone()).collect();
    for address in &addresses {
        eventually("the port answers", LIMIT, || ask(&client, address, 8080));
    }
    let links = kernel(&cluster.hosts[2]);
    cluster.hosts[2].kill();
    let (mut asked, mut failed) = (0, 0);
    let mut ask_all = |times: usize| {
        for address in addresses.iter().cycle().take(times * addresses.len()) {
            asked += 1;
            failed += usize::from(ask(&client, address, 8080).is_none());
        }
    };
    ask_all(5);
    cluster.hosts[2].start();
    ask_all(10);
    cluster.await_ready(3);
    ask_all(10);
    assert_eq!(failed, 0, "of {asked} requests");
    let names = |text: &str| -> Vec<String> {
        let mut all: Vec<String> = text
            .lines()
            .filter_map(|l| l.split([' ', '@']).next())
            .filter(|l| l.starts_with("sv"))
            .map(str::to_owned)
            .collect();
        all.sort();
        all
    };
    assert_eq!(
        names(&kernel(&cluster.hosts[2])),
        names(&links),
        "the cables are the same"
    );
}
