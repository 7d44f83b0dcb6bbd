//! Published ports, and who reaches what is not.

use super::Lab;
use shoal_tests_conformance::{Engine, IMAGE};
use std::time::Duration;

#[test]
fn published_ports_of_both_families_and_of_ranges() {
    let mut e = Engine::start();
    {
        let mut lab = Lab::new(&e);
        let net = lab.network("pub6", &["--ipv6"]);
        let c = lab.run(
            "pubc",
            &[
                "--network",
                &net,
                "-p",
                "18300:80",
                "-p",
                "127.0.0.1:18301:80",
                "-p",
                "81",
                "-p",
                "18310-18311:18310-18311/udp",
            ],
        );
        let ports = lab.inspect(&c)["NetworkSettings"]["Ports"].clone();
        assert_eq!(
            ports["80/tcp"],
            serde_json::json!([
                {"HostIp": "0.0.0.0", "HostPort": "18300"}, {"HostIp": "::", "HostPort": "18300"}, {"HostIp": "127.0.0.1", "HostPort": "18301"},
            ])
        );
        assert_eq!(ports["81/tcp"][0]["HostPort"], ports["81/tcp"][1]["HostPort"]);
        assert_eq!(
            ports["18311/udp"][0],
            serde_json::json!({"HostIp": "0.0.0.0", "HostPort": "18311"})
        );
        let (code, _, err) = e.code(&["run", "--rm", "-p", "18300:80", IMAGE, "true"]);
        assert!(code != 0 && err.contains("failed to set up container networking: driver failed programming external connectivity on endpoint"), "{err}");
        // Docker tries the two families in an order of chance.
        let taken =
            |of: &str| err.contains(&format!("Bind for {of}:18300 failed: port is already allocated"));
        assert!(taken("0.0.0.0") || taken("::"), "{err}");
    }
    let Some(host) = e.host() else { return };
    let address = host.address.clone();
    let run = |args: &[&str]| host.docker_ok(args);
    run(&["network", "create", "--ipv6", "six"]);
    run(&[
        "run",
        "-d",
        "--name",
        "six1",
        "--network",
        "six",
        "-p",
        "18320:8080",
        IMAGE,
        "httpd",
        "-f",
        "-p",
        "[::]:8080",
        "-h",
        "/www",
    ]);
    let gateway = run(&[
        "inspect",
        "-f",
        "{{.NetworkSettings.Networks.six.IPv6Gateway}}",
        "six1",
    ]);
    for url in [
        format!("http://{address}:18320/"),
        "http://127.0.0.1:18320/".into(),
        format!("http://[{gateway}]:18320/"),
        "http://[::1]:18320/".into(),
    ] {
        shoal_tests_harness::eventually(&url, Duration::from_secs(5), || {
            let out = host
                .command("curl")
                .args(["-gfs", "--max-time", "2", &url])
                .output()
                .unwrap();
            (out.stdout == b"hello\n").then_some(())
        });
    }
    run(&["rm", "-f", "six1"]);
}

/// A neighbour on the same wire that tries every way in that it can think of, and one that is let in.
#[test]
fn a_neighbour_reaches_what_is_published_and_nothing_else() {
    let mut e = Engine::start();
    if e.is_reference() {
        return;
    }
    let host = e.host().expect("our own daemon");
    let run = |args: &[&str]| host.docker_ok(args);
    let serve = |name: &str, options: &[&str]| {
        let mut args = vec!["run", "-d", "--name", name];
        args.extend(options);
        args.extend([IMAGE, "httpd", "-f", "-p", "8080", "-h", "/www"]);
        run(&args);
    };
    let subnet = |n: u8| format!("10.215.{n}.0/24");
    run(&["network", "create", "--subnet", &subnet(1), "plain"]);
    run(&[
        "network",
        "create",
        "--subnet",
        &subnet(2),
        "--internal",
        "closed",
    ]);
    run(&[
        "network",
        "create",
        "--subnet",
        &subnet(3),
        "-o",
        "com.docker.network.bridge.gateway_mode_ipv4=routed",
        "routed",
    ]);
    run(&[
        "network",
        "create",
        "--subnet",
        &subnet(4),
        "-o",
        "com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected",
        "open",
    ]);
    run(&[
        "network",
        "create",
        "--subnet",
        &subnet(5),
        "--internal",
        "-o",
        "com.docker.network.bridge.gateway_mode_ipv4=isolated",
        "isolated",
    ]);
    serve(
        "plain",
        &[
            "--network",
            "plain",
            "--ip",
            "10.215.1.9",
            "-p",
            "18600:8080",
            "-p",
            "127.0.0.1:18601:8080",
        ],
    );
    serve(
        "closed",
        &["--network", "closed", "--ip", "10.215.2.9", "-p", "18602:8080"],
    );
    serve(
        "routed",
        &["--network", "routed", "--ip", "10.215.3.9", "-p", "18603:8080"],
    );
    serve("unpublished", &["--network", "routed", "--ip", "10.215.3.10"]);
    serve("open", &["--network", "open", "--ip", "10.215.4.9"]);
    serve("isolated", &["--network", "isolated", "--ip", "10.215.5.1"]);
    let links = String::from_utf8(
        host.command("ip")
            .args(["-o", "-4", "addr"])
            .output()
            .unwrap()
            .stdout,
    )
    .unwrap();
    assert!(
        !links.contains("10.215.5."),
        "an isolated network's bridge has no address: {links}"
    );

    // The neighbour: a machine on the host's own network, with routes to whatever it likes.
    let netns = format!("{}n", host.netns);
    let ip = |args: &[&str]| {
        let done = std::process::Command::new("ip").args(args).output().unwrap();
        assert!(
            done.status.success(),
            "ip {args:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    };
    struct Gone(String);
    impl Drop for Gone {
        fn drop(&mut self) {
            let _ = std::process::Command::new("ip")
                .args(["netns", "del", &self.0])
                .status();
        }
    }
    let _gone = Gone(netns.clone());
    let inside = format!("n{}", std::process::id());
    ip(&["netns", "add", &netns]);
    ip(&[
        "-n",
        &host.netns,
        "link",
        "add",
        &inside,
        "type",
        "veth",
        "peer",
        "name",
        "wire",
        "netns",
        &netns,
    ]);
    ip(&["-n", &host.netns, "addr", "add", "10.216.0.1/24", "dev", &inside]);
    ip(&["-n", &host.netns, "link", "set", &inside, "up"]);
    ip(&["-n", &netns, "addr", "add", "10.216.0.2/24", "dev", "wire"]);
    ip(&["-n", &netns, "link", "set", "wire", "up"]);
    ip(&["-n", &netns, "route", "add", "10.215.0.0/16", "via", "10.216.0.1"]);
    let reached = |url: &str| {
        let out = std::process::Command::new("ip")
            .args(["netns", "exec", &netns, "curl", "-fs", "--max-time", "1", url])
            .output()
            .unwrap();
        out.stdout == b"hello\n"
    };
    let check = |when: &str| {
        for (url, open) in [
            ("http://10.216.0.1:18600/", true),
            ("http://10.216.0.1:18601/", false),
            ("http://10.216.0.1:18602/", false),
            ("http://10.215.1.9:8080/", false),
            ("http://10.215.2.9:8080/", false),
            ("http://10.215.3.9:8080/", true),
            ("http://10.215.3.10:8080/", false),
            ("http://10.215.4.9:8080/", true),
            ("http://10.215.5.1:8080/", false),
        ] {
            if open {
                shoal_tests_harness::eventually(&format!("{when}: {url}"), Duration::from_secs(6), || {
                    reached(url).then_some(())
                });
            } else {
                assert!(!reached(url), "{when}: {url} is open");
            }
        }
    };
    check("at first");
    // The host's owner has the last word, and keeps it.
    let nft = |args: &[&str]| {
        assert!(
            host.command("nft").args(args).status().unwrap().success(),
            "{args:?}"
        )
    };
    nft(&[
        "add",
        "rule",
        "inet",
        "shoal-user",
        "arriving",
        "tcp",
        "dport",
        "18600",
        "drop",
    ]);
    assert!(!reached("http://10.216.0.1:18600/"));
    run(&["network", "create", "another"]);
    assert!(
        !reached("http://10.216.0.1:18600/"),
        "the rule stays when our table is written anew"
    );
    nft(&["flush", "ruleset"]);
    check("after a flush");
    let host = e.host().expect("our own daemon");
    host.kill();
    assert!(
        host.command("nft")
            .args(["flush", "ruleset"])
            .status()
            .unwrap()
            .success()
    );
    host.start();
    check("after a restart");
    let shoal = std::env::var("SHOAL_TEST_BIN")
        .map(|dir| format!("{dir}/shoal"))
        .unwrap();
    let told = host
        .command(&shoal)
        .args(["-H", &host.url(), "ports"])
        .output()
        .unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    for (at, by) in [
        ("0.0.0.0:18600", "whoever reaches this host"),
        ("127.0.0.1:18601", "this host alone"),
        ("10.215.4.9", "whoever has a route to 10.215.4.9"),
    ] {
        assert!(
            told.lines().any(|l| l.contains(at) && l.contains(by)),
            "{at}: {told}"
        );
    }
}

#[test]
fn the_default_bridge_has_ipv6_and_an_address_to_publish_on() {
    let mut e = Engine::start();
    let Some(host) = e.host() else { return };
    host.stop();
    host.args = ["--ipv6", "--fixed-cidr-v6", "fd00:77::/64", "--ip", "127.0.0.1"]
        .map(String::from)
        .to_vec();
    host.start();
    let shown = host.docker_ok(&[
        "network",
        "inspect",
        "-f",
        "{{.EnableIPv6}} {{range .IPAM.Config}}{{.Subnet}} {{end}}",
        "bridge",
    ]);
    assert!(
        shown.starts_with("true ") && shown.contains("fd00:77::/64"),
        "{shown}"
    );
    host.docker_ok(&[
        "run", "-d", "--name", "six", "-p", "18700:80", IMAGE, "sleep", "1000",
    ]);
    let inside = host.docker_ok(&["exec", "six", "ip", "-6", "addr", "show", "eth0"]);
    assert!(inside.contains("fd00:77::2/64"), "{inside}");
    assert_eq!(host.docker_ok(&["port", "six"]), "80/tcp -> 127.0.0.1:18700");
}
