//! Networks that a container joins and leaves, before it runs and while it does.

use super::{Lab, on};
use shoal_tests_conformance::{Engine, IMAGE};
use std::time::Duration;

#[test]
fn a_running_container_joins_and_leaves_networks() {
    let e = Engine::start();
    let mut lab = Lab::new(&e);
    let a = lab.network("joina", &[]);
    let b = lab.network(
        "joinb",
        &["--subnet", "10.213.1.0/24", "--gateway", "10.213.1.254"],
    );
    let c = lab.run("joiner", &["--network", &a, "--hostname", "hh"]);
    let since = e.ok(&["info", "-f", "{{.SystemTime}}"]);
    e.ok(&[
        "network",
        "connect",
        "--ip",
        "10.213.1.77",
        "--alias",
        "zz",
        &b,
        &c,
    ]);
    let there = lab.inspect(&c);
    let settings = on(&there, &b);
    assert_eq!(settings["IPAddress"], "10.213.1.77");
    assert_eq!(settings["IPPrefixLen"], 24);
    assert_eq!(settings["Gateway"], "10.213.1.254");
    assert_eq!(settings["IPAMConfig"]["IPv4Address"], "10.213.1.77");
    assert_eq!(settings["Aliases"], serde_json::json!(["zz"]));
    let id = there["Id"].as_str().unwrap();
    assert_eq!(
        settings["DNSNames"],
        serde_json::json!([c, "zz", &id[..12], "hh"])
    );
    assert!(
        settings["EndpointID"].as_str().unwrap().len() == 64
            && settings["NetworkID"].as_str().unwrap().len() == 64
    );
    let inside = lab.exec(&c, "ip -o -4 addr show eth1; cat /etc/hosts; ip route");
    assert!(
        inside.contains("10.213.1.77/24") && inside.contains("10.213.1.77\thh"),
        "{inside}"
    );
    // The way out is the first by name, and there is one.
    assert_eq!(inside.matches("default via").count(), 1, "{inside}");
    let (code, _, err) = e.code(&["network", "connect", &b, &c]);
    assert!(
        code != 0 && err.contains(&format!("endpoint with name {c} already exists in network {b}")),
        "{err}"
    );
    let listed = e.ok(&[
        "network",
        "inspect",
        "-f",
        "{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}",
        &b,
    ]);
    assert_eq!(listed, format!("{c} 10.213.1.77/24"));
    let (code, _, err) = e.code(&["network", "rm", &b]);
    assert!(code != 0 && err.contains("has active endpoints"), "{err}");

    e.ok(&["network", "disconnect", &b, &c]);
    let there = lab.inspect(&c);
    assert!(on(&there, &b).is_null(), "{there}");
    let inside = lab.exec(&c, "ls /sys/class/net; cat /etc/hosts");
    assert!(
        !inside.contains("eth1") && !inside.contains("10.213.1.77"),
        "{inside}"
    );
    let (code, _, err) = e.code(&["network", "disconnect", &b, &c]);
    assert!(
        code != 0 && err.contains(&format!("container {id} is not connected to network {b}")),
        "{err}"
    );
    // `--until` has whole seconds.
    std::thread::sleep(Duration::from_millis(1100));
    let told = e.ok(&[
        "events",
        "--since",
        &since,
        "--until",
        "0s",
        "--filter",
        "type=network",
        "--filter",
        &format!("network={b}"),
        "--format",
        "{{.Action}} {{.Actor.Attributes.type}}",
    ]);
    assert_eq!(told, "connect bridge\ndisconnect bridge");
}

#[test]
fn a_stopped_container_remembers_its_networks() {
    let e = Engine::start();
    let mut lab = Lab::new(&e);
    let a = lab.network("stopa", &[]);
    let b = lab.network("stopb", &[]);
    let c = lab.run("stopper", &["--network", &a, "--network-alias", "first"]);
    e.ok(&["stop", "-t", "0", &c]);
    e.ok(&["network", "connect", "--alias", "second", &b, &c]);
    let there = lab.inspect(&c);
    assert_eq!(on(&there, &b)["Aliases"], serde_json::json!(["second"]));
    assert_eq!(on(&there, &a)["IPAddress"], "");
    e.ok(&["start", &c]);
    assert_eq!(lab.exec(&c, "ls -d /sys/class/net/eth* | wc -l"), "2");
    assert_eq!(lab.look_up(&c, "second").len(), 1);
    e.ok(&["stop", "-t", "0", &c]);
    e.ok(&["network", "disconnect", &a, &c]);
    e.ok(&["start", &c]);
    assert_eq!(lab.exec(&c, "ls -d /sys/class/net/eth* | wc -l"), "1");
    assert!(lab.look_up(&c, "first").is_empty());
}

#[test]
fn several_networks_at_create_with_a_chosen_way_out() {
    let e = Engine::start();
    let mut lab = Lab::new(&e);
    let a = lab.network("waya", &["--subnet", "10.213.2.0/24"]);
    let b = lab.network("wayb", &["--subnet", "10.213.3.0/24"]);
    let closed = lab.network("wayc", &["--internal", "--subnet", "10.213.4.0/24"]);
    let body = serde_json::json!({
        "Image": IMAGE, "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": a},
        "NetworkingConfig": {"EndpointsConfig": {
            &a: {"Aliases": ["one"]},
            &b: {"GwPriority": 5, "IPAMConfig": {"IPv4Address": "10.213.3.9"}, "MacAddress": "02:42:00:00:00:09"},
            &closed: {"GwPriority": 50},
        }},
    });
    let name = e.name("ways");
    lab.containers.push(name.clone());
    let made = e.api(
        "POST",
        &format!("/v1.48/containers/create?name={name}"),
        Some(&body),
    );
    assert_eq!(made.status, 201, "{made:?}");
    e.ok(&["start", &name]);
    let inside = lab.exec(&name, "ip route; ip -o link");
    assert!(inside.contains("default via 10.213.3.1"), "{inside}");
    assert!(inside.contains("02:42:00:00:00:09"), "{inside}");
    assert_eq!(lab.exec(&name, "ls -d /sys/class/net/eth* | wc -l"), "3");
    e.ok(&["network", "disconnect", &b, &name]);
    assert!(lab.exec(&name, "ip route").contains("default via 10.213.2.1"));
    e.ok(&["network", "disconnect", &a, &name]);
    assert!(!lab.exec(&name, "ip route").contains("default"));
    let there = lab.inspect(&name);
    assert_eq!(on(&there, &closed)["Gateway"], "");
}

#[test]
fn what_cannot_be_joined_says_why() {
    let e = Engine::start();
    let mut lab = Lab::new(&e);
    let a = lab.network("refa", &[]);
    let fixed = lab.network("refb", &["--subnet", "10.213.5.0/24"]);
    let c = lab.run("refc", &["--network", &fixed, "--ip", "10.213.5.9"]);
    let none = lab.run("refn", &["--network", "none"]);
    let host = lab.run("refh", &["--network", "host"]);
    let refused = |args: &[&str]| {
        let (code, out, err) = e.code(args);
        assert!(code != 0, "{args:?}: {out}");
        err
    };
    for (args, why) in [
        (
            vec!["network", "connect", "host", &c],
            "cannot connect container to host network - container must be created in host network mode",
        ),
        (
            vec!["network", "connect", "none", &c],
            "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        ),
        (
            vec!["network", "connect", &a, &none],
            "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        ),
        (
            vec!["network", "connect", &a, &host],
            "container sharing network namespace with another container or host cannot be connected to any other network",
        ),
        (
            vec!["network", "connect", "--ip", "10.9.9.9", &a, &c],
            "invalid endpoint settings:\nuser specified IP address is supported only when connecting to networks with user configured subnets",
        ),
        (
            vec!["network", "connect", "--alias", "x", "bridge", &c],
            "network-scoped alias is supported only for containers in user defined networks",
        ),
        (
            vec!["network", "connect", &a, "no-such-container"],
            "No such container: no-such-container",
        ),
        (
            vec!["network", "disconnect", "-f", &a, "no-such-container"],
            "endpoint no-such-container not found",
        ),
        (
            vec!["network", "ls", "--filter", "type=foo"],
            "invalid filter: 'type'='foo'",
        ),
        (
            vec!["run", "--rm", "--ip", "172.17.0.99", IMAGE, "true"],
            "user specified IP address is supported on user defined networks only\n\nRun 'docker run --help'",
        ),
        (
            vec!["network", "connect", "no-such-network", &c],
            "network no-such-network not found",
        ),
        (
            vec![
                "run",
                "--rm",
                "--network",
                &fixed,
                "--ip",
                "10.213.5.9",
                IMAGE,
                "true",
            ],
            "Address already in use",
        ),
        (
            vec![
                "run",
                "--rm",
                "--network",
                &a,
                "--ip",
                "10.213.5.10",
                IMAGE,
                "true",
            ],
            "invalid config for network",
        ),
    ] {
        let said = refused(&args);
        assert!(said.contains(why), "{args:?}: {said}");
    }
    let small = lab.network("refs", &["--subnet", "10.213.6.0/30"]);
    lab.run("refs1", &["--network", &small]);
    let said = refused(&["run", "--rm", "--network", &small, IMAGE, "true"]);
    assert!(
        said.contains(&format!(
            "no available IPv4 addresses on this network's address pools: {small} ("
        )),
        "{said}"
    );
}
