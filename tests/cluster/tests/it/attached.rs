//! Users' own containers on networks of the cluster: `docker run --network`, `network connect`, on any node.

use crate::mesh::*;
use shoal_tests_cluster::{Cluster, IMAGE};
use shoal_tests_harness::{Host, eventually};
use std::collections::BTreeSet;

fn run(host: &Host, name: &str, options: &[&str], command: &[&str]) -> String {
    let mut args = vec!["run", "-d", "--name", name];
    args.extend(options);
    args.push(IMAGE);
    args.extend(command);
    host.docker_ok(&args)
}

fn server(host: &Host, name: &str, options: &[&str]) -> String {
    run(host, name, options, &["sh", "-c", SERVER])
}

/// What a command in a container of that name prints; nothing where it fails.
fn inside(host: &Host, name: &str, command: &str) -> String {
    let out = host.docker(&["exec", name, "sh", "-c", command]);
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

fn found(host: &Host, name: &str, wanted: &str) -> BTreeSet<String> {
    let command =
        format!("nslookup -type=a {wanted} 127.0.0.11 | sed -n '/^Name/,$p' | sed -n 's/^Address: *//p'");
    inside(host, name, &command).lines().map(str::to_owned).collect()
}

fn address(host: &Host, name: &str, network: &str) -> String {
    let format = format!("{{{{(index .NetworkSettings.Networks {network:?}).IPAddress}}}}");
    host.docker_ok(&["inspect", "-f", &format, name])
}

/// `by` on its host reaches `wanted` by name, which has this address.
fn await_found(host: &Host, by: &str, wanted: &str, address: &str) {
    eventually(&format!("{by} finds {wanted} at {address}"), LIMIT, || {
        (found(host, by, wanted) == [address.to_owned()].into()).then_some(())
    });
    eventually(&format!("{wanted} answers to {by}"), LIMIT, || {
        inside(host, by, &get(address, "index.html"))
            .ends_with("hello")
            .then_some(())
    });
}

fn is_clean(host: &Host) -> bool {
    host.api("GET", "/shoal/networks/doctor", None).json()["Differences"] == serde_json::json!([])
}

#[test]
fn users_containers_and_tasks_find_each_other_on_every_node() {
    let mut cluster = Cluster::form(1, 2);
    let hosts = &cluster.hosts;
    let create = ["network", "create", "-d", "overlay"];
    hosts[0].docker_ok(&[&create[..], &["--attachable", "--subnet", "10.9.0.0/24", "mesh"]].concat());
    hosts[0].docker_ok(&[&create[..], &["shut"]].concat());
    hosts[0].docker_ok(&[&create[..], &["--attachable", "--internal", "closed"]].concat());

    // Docker's words where containers of users may not be.
    let refused = hosts[2].docker_err(&["run", "--rm", "--network", "shut", IMAGE, "true"]);
    assert!(
        refused.contains(
            "Could not attach to network shut: rpc error: code = PermissionDenied desc = network shut not manually attachable"
        ),
        "{refused}"
    );
    let nowhere = [
        "run",
        "--rm",
        "--pull",
        "never",
        "--network",
        "nowhere",
        IMAGE,
        "true",
    ];
    let unknown = hosts[2].docker_err(&nowhere);
    assert!(unknown.contains("network nowhere not found"), "{unknown}");

    servers(&cluster, "web", 2, &["--network", "mesh"]);
    let web = vip(&cluster.hosts[0], "web");
    let hosts = &cluster.hosts;
    server(
        &hosts[0],
        "one",
        &["--network", "mesh", "--network-alias", "first"],
    );
    server(&hosts[2], "two", &["--network", "mesh", "--ip", "10.9.0.77"]);
    assert_eq!(address(&hosts[2], "two", "mesh"), "10.9.0.77");
    let taken = hosts[1].docker_err(&[
        "run",
        "--rm",
        "--network",
        "mesh",
        "--ip",
        "10.9.0.77",
        IMAGE,
        "true",
    ]);
    assert!(taken.contains("10.9.0.77"), "{taken}");
    let first = address(&hosts[0], "one", "mesh");
    await_found(&hosts[2], "two", "one", &first);
    await_found(&hosts[2], "two", "first", &first);
    await_found(&hosts[0], "one", "two", "10.9.0.77");
    for (host, name) in [(&hosts[0], "one"), (&hosts[2], "two")] {
        assert_eq!(found(host, name, "web"), [web.clone()].into());
        assert!(inside(host, name, &get(&web, "index.html")).ends_with("hello"));
        let short = host.docker_ok(&["inspect", "-f", "{{.Id}}", name]);
        assert_eq!(found(host, name, &short[..12]).len(), 1);
    }
    // Tasks find them as well.
    for host in hosts {
        if !host
            .docker_ok(&["ps", "-q", "--filter", "label=com.docker.swarm.service.name=web"])
            .is_empty()
        {
            eventually("a task finds a user's container", LIMIT, || {
                (resolve(host, "web", "one") == [first.clone()].into()).then_some(())
            });
            let answer = exec(host, "web", &get(&first, "index.html")).unwrap_or_default();
            assert!(answer.ends_with("hello"), "{answer}");
        }
    }
    // The way out is there, and nobody is shown it; a closed network has none.
    let networks = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
    assert_eq!(
        hosts[0].docker_ok(&["inspect", "-f", networks, "one"]).trim(),
        "mesh"
    );
    assert!(inside(&hosts[0], "one", "ip route").contains("default via"));
    run(&hosts[1], "inner", &["--network", "closed"], &["sleep", "1000"]);
    assert!(!inside(&hosts[1], "inner", "ip route").contains("default"));

    // On and off while it runs.
    run(&hosts[1], "guest", &[], &["sh", "-c", SERVER]);
    hosts[1].docker_ok(&["network", "connect", "--alias", "visitor", "mesh", "guest"]);
    let guest = address(&hosts[1], "guest", "mesh");
    await_found(&hosts[0], "one", "visitor", &guest);
    await_found(&hosts[1], "guest", "two", "10.9.0.77");
    assert_eq!(found(&hosts[1], "guest", "web"), [web.clone()].into());
    let used = hosts[0].docker_err(&["network", "rm", "mesh"]);
    assert!(used.contains("is in use by"), "{used}");
    hosts[1].docker_ok(&["network", "disconnect", "mesh", "guest"]);
    eventually("the guest is forgotten", LIMIT, || {
        found(&hosts[0], "one", "visitor").is_empty().then_some(())
    });
    hosts[1].docker_ok(&["rename", "inner", "hidden"]);
    run(&hosts[0], "seeker", &["--network", "closed"], &["sleep", "1000"]);
    eventually("a new name is known on other nodes", LIMIT, || {
        (!found(&hosts[0], "seeker", "hidden").is_empty() && found(&hosts[0], "seeker", "inner").is_empty())
            .then_some(())
    });

    // It runs on while its daemon is away, and is still known.
    cluster.hosts[2].kill();
    assert_eq!(
        found(&cluster.hosts[0], "one", "two"),
        ["10.9.0.77".to_owned()].into()
    );
    cluster.hosts[2].start();
    cluster.await_ready(3);
    await_found(&cluster.hosts[0], "one", "two", "10.9.0.77");
    await_found(&cluster.hosts[2], "two", "one", &first);

    // One that stops is not found, and its place is free once everybody knows.
    let hosts = &cluster.hosts;
    hosts[2].docker_ok(&["rm", "-f", "two"]);
    eventually("it is forgotten", LIMIT, || {
        found(&hosts[0], "one", "two").is_empty().then_some(())
    });
    eventually("its address can be had again", LIMIT, || {
        let again = [
            "run",
            "--rm",
            "--network",
            "mesh",
            "--ip",
            "10.9.0.77",
            IMAGE,
            "true",
        ];
        hosts[1].docker(&again).status.success().then_some(())
    });
    for host in hosts {
        eventually("the kernel is as decided", LIMIT, || is_clean(host).then_some(()));
    }
}

/// `docker run --ip6`, `network connect --ip6` and Compose's `ipv6_address` on a network of the cluster.
#[test]
fn a_users_container_has_the_ipv6_address_that_it_asks_for() {
    let mut cluster = Cluster::form(1, 1);
    let create = ["network", "create", "-d", "overlay", "--attachable"];
    let subnets = ["--ipv6", "--subnet", "fd00:5a::/64", "--subnet", "10.9.1.0/24"];
    cluster.hosts[0].docker_ok(&[&create[..], &subnets, &["six"]].concat());
    cluster.hosts[0].docker_ok(&[&create[..], &["four"]].concat());
    let six = |host: &Host, name: &str| {
        let format = "{{(index .NetworkSettings.Networks \"six\").GlobalIPv6Address}}";
        host.docker_ok(&["inspect", "-f", format, name])
    };
    let found6 = |host: &Host, by: &str, wanted: &str| {
        let command =
            format!("nslookup -type=aaaa {wanted} 127.0.0.11 | sed -n 's/^Address: *\\(fd.*\\)/\\1/p'");
        inside(host, by, &command)
    };
    let reached = |host: &Host, by: &str, wanted: &str, address: &str| {
        eventually(&format!("{by} reaches {wanted} at {address}"), LIMIT, || {
            let answers = inside(host, by, &get(address, "index.html")).ends_with("hello");
            (found6(host, by, wanted) == address && answers).then_some(())
        });
    };
    let hosts = &cluster.hosts;
    server(
        &hosts[0],
        "fixed",
        &["--network", "six", "--ip6", "fd00:5a::77", "--ip", "10.9.1.40"],
    );
    server(&hosts[1], "other", &["--network", "six"]);
    server(&hosts[1], "guest", &[]);
    hosts[1].docker_ok(&["network", "connect", "--ip6", "fd00:5a::ab:1", "six", "guest"]);
    assert_eq!(six(&hosts[0], "fixed"), "fd00:5a::77");
    assert_eq!(address(&hosts[0], "fixed", "six"), "10.9.1.40");
    assert_eq!(six(&hosts[1], "guest"), "fd00:5a::ab:1");
    reached(&hosts[1], "other", "fixed", "fd00:5a::77");
    reached(&hosts[0], "fixed", "guest", "fd00:5a::ab:1");
    reached(&hosts[1], "guest", "fixed", "fd00:5a::77");

    // What cannot be had, and why.
    let own = six(&hosts[1], "other");
    for (network, wanted, why) in [
        ("six", "fd00:5a::77", "in use or not yet given up"),
        ("six", own.as_str(), "in use or not yet given up"),
        ("six", "fd00:5a::1", "in use or not yet given up"),
        (
            "six",
            "fd00:5b::77",
            "no configured subnet or ip-range contain the IP address fd00:5b::77",
        ),
        (
            "four",
            "fd00:5a::78",
            "user specified IP address is supported only when connecting to networks with",
        ),
    ] {
        let said = hosts[1].docker_err(&[
            "run",
            "--rm",
            "--network",
            network,
            "--ip6",
            wanted,
            IMAGE,
            "true",
        ]);
        assert!(
            said.contains(why) && said.contains(wanted) | (network == "four"),
            "{wanted} on {network}: {said}"
        );
    }

    // Daemons start again, and it keeps it; who goes gives it up.
    for host in &mut cluster.hosts {
        host.kill();
        host.start();
    }
    cluster.await_ready(2);
    let hosts = &cluster.hosts;
    reached(&hosts[1], "other", "fixed", "fd00:5a::77");
    hosts[0].docker_ok(&["rm", "-f", "fixed"]);
    let again = [
        "run",
        "-d",
        "--name",
        "next",
        "--network",
        "six",
        "--ip6",
        "fd00:5a::77",
        IMAGE,
        "sleep",
        "1000",
    ];
    eventually("its address can be had again", LIMIT, || {
        let out = hosts[1].docker(&again);
        if !out.status.success() {
            hosts[1].docker(&["rm", "-f", "next"]);
        }
        out.status.success().then_some(())
    });
    assert_eq!(six(&hosts[1], "next"), "fd00:5a::77");
    for host in hosts {
        eventually("the kernel is as decided", LIMIT, || is_clean(host).then_some(()));
    }
}

#[test]
fn what_is_attached_comes_back_with_its_node() {
    let mut cluster = Cluster::form(1, 1);
    cluster.hosts[0].docker_ok(&["network", "create", "-d", "overlay", "--attachable", "mesh"]);
    server(&cluster.hosts[0], "here", &["--network", "mesh"]);
    server(
        &cluster.hosts[1],
        "there",
        &["--network", "mesh", "--restart", "always"],
    );
    server(&cluster.hosts[1], "gone", &["--network", "mesh"]);
    for name in ["there", "gone"] {
        let at = address(&cluster.hosts[1], name, "mesh");
        await_found(&cluster.hosts[0], "here", name, &at);
    }
    cluster.hosts[1].crash();
    cluster.hosts[1].start();
    cluster.await_ready(2);
    eventually("it runs again", LIMIT, || {
        let state = cluster.hosts[1].docker_ok(&["inspect", "-f", "{{.State.Running}}", "there"]);
        (state == "true").then_some(())
    });
    let at = eventually("it has its place again", LIMIT, || {
        let at = address(&cluster.hosts[1], "there", "mesh");
        (!at.is_empty()).then_some(at)
    });
    await_found(&cluster.hosts[0], "here", "there", &at);
    eventually("what did not come back is forgotten", LIMIT, || {
        found(&cluster.hosts[0], "here", "gone").is_empty().then_some(())
    });
    // A node that leaves takes its containers off the network.
    cluster.hosts[1].docker_ok(&["swarm", "leave"]);
    eventually("who left is forgotten", LIMIT, || {
        found(&cluster.hosts[0], "here", "there").is_empty().then_some(())
    });
    cluster.hosts[0].docker_ok(&["rm", "-f", "here"]);
    eventually("the network is not in use", LIMIT, || {
        cluster.hosts[0]
            .docker(&["network", "rm", "mesh"])
            .status
            .success()
            .then_some(())
    });
}
