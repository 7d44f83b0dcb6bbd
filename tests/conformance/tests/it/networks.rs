//! Networks that users make: several for one container, joined and left while it runs, with names and addresses of one's
//! own.

use serde_json::Value;
use shoal_tests_conformance::{Engine, IMAGE};
use std::time::Duration;

/// Containers and networks of one case, gone with it.
struct Lab<'a> {
    e: &'a Engine,
    containers: Vec<String>,
    networks: Vec<String>,
}

impl<'a> Lab<'a> {
    fn new(e: &'a Engine) -> Lab<'a> {
        Lab {
            e,
            containers: Vec::new(),
            networks: Vec::new(),
        }
    }

    fn network(&mut self, what: &str, options: &[&str]) -> String {
        let name = self.e.name(what);
        let mut args = vec!["network", "create"];
        args.extend(options);
        args.push(&name);
        self.e.ok(&args);
        self.networks.push(name.clone());
        name
    }

    /// A container that sleeps.
    fn run(&mut self, what: &str, options: &[&str]) -> String {
        self.run_command(what, options, &["sleep", "1000"])
    }

    fn run_command(&mut self, what: &str, options: &[&str], command: &[&str]) -> String {
        let name = self.e.name(what);
        self.containers.push(name.clone());
        let mut args = vec!["run", "-d", "--name", &name];
        args.extend(options);
        args.push(IMAGE);
        args.extend(command);
        self.e.ok(&args);
        name
    }

    fn inspect(&self, container: &str) -> Value {
        let text = self.e.ok(&["inspect", container]);
        serde_json::from_str::<Value>(&text).unwrap()[0].clone()
    }

    fn exec(&self, container: &str, script: &str) -> String {
        self.e.ok(&["exec", container, "sh", "-c", script])
    }

    /// The last addresses that the resolver has for a name.
    fn look_up(&self, container: &str, name: &str) -> Vec<String> {
        let script = format!(
            "nslookup {name} 127.0.0.11 2>/dev/null | sed -n 's/^Address: *//p' | grep -v '#53\\|:53$'; true"
        );
        let out = self.exec(container, &script);
        out.lines().map(str::to_owned).collect()
    }
}

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        for container in &self.containers {
            self.e.docker(&["rm", "-f", container]);
        }
        for network in &self.networks {
            self.e.docker(&["network", "rm", network]);
        }
    }
}

fn on<'a>(inspected: &'a Value, network: &str) -> &'a Value {
    &inspected["NetworkSettings"]["Networks"][network]
}

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

#[test]
fn networks_that_cannot_be_made_say_why() {
    let e = Engine::start();
    let mut lab = Lab::new(&e);
    lab.network("badtaken", &["--subnet", "10.213.8.0/24"]);
    let name = e.name("bad");
    for (options, why) in [
        (
            vec!["--subnet", "10.213.8.0/25"],
            "invalid pool request: Pool overlaps with other one on this address space",
        ),
        (
            vec!["--subnet", "10.213.9.0/24", "--gateway", "10.213.7.1"],
            "no matching subnet for gateway 10.213.7.1",
        ),
        (
            vec!["-o", "com.docker.network.bridge.gateway_mode_ipv4=foo"],
            "failed to parse com.docker.network.bridge.gateway_mode_ipv4 value: foo (unknown gateway mode foo)",
        ),
        (
            vec!["-o", "com.docker.network.bridge.gateway_mode_ipv4=isolated"],
            "gateway mode 'isolated' can only be used for an internal network",
        ),
        (
            vec!["-o", "com.docker.network.bridge.enable_icc=foo"],
            "strconv.ParseBool: parsing \"foo\": invalid syntax",
        ),
        (
            vec!["-o", "com.docker.network.driver.mtu=foo"],
            "strconv.Atoi: parsing \"foo\": invalid syntax",
        ),
        (
            vec!["--subnet", "10.213.10.0/24", "--subnet", "10.213.11.0/24"],
            "bridge driver doesn't support multiple subnets",
        ),
        (vec!["--ipv4=false"], "IPv4 or IPv6 must be enabled"),
        (
            vec!["--config-from", "no-such"],
            "configuration network \"no-such\" does not exist",
        ),
        (
            vec!["-d", "macvlan", "-o", "parent=nolink"],
            "invalid subinterface vlan name nolink, example formatting is eth0.10",
        ),
    ] {
        let mut args = vec!["network", "create"];
        args.extend(options);
        args.push(&name);
        let (code, out, err) = e.code(&args);
        e.docker(&["network", "rm", &name]);
        assert!(code != 0 && err.contains(why), "{args:?}: {out} {err}");
    }
}

#[test]
fn configuration_only_networks_lend_their_settings() {
    let e = Engine::start();
    let mut lab = Lab::new(&e);
    let source = e.name("conf");
    e.ok(&[
        "network",
        "create",
        "--config-only",
        "--subnet",
        "10.213.12.0/24",
        "--label",
        "a=b",
        &source,
    ]);
    let user = lab.network("confuser", &["--config-from", &source]);
    lab.networks.push(source.clone());
    let shown = e.ok(&[
        "network",
        "inspect",
        "-f",
        "{{.ConfigFrom.Network}} {{(index .IPAM.Config 0).Subnet}} {{.Labels.a}} {{.ConfigOnly}}",
        &user,
    ]);
    assert_eq!(shown, format!("{source} 10.213.12.0/24 b false"));
    let (code, _, err) = e.code(&["network", "rm", &source]);
    assert!(
        code != 0 && err.contains(&format!("configuration network \"{source}\" is in use")),
        "{err}"
    );
    assert!(
        e.sh(&["--network", &user], "ip -o -4 addr show eth0")
            .contains("10.213.12.2/24")
    );
}

#[test]
fn names_are_answered_inside() {
    let e = Engine::start();
    let mut lab = Lab::new(&e);
    let net = lab.network(
        "names",
        &[
            "--ipv6",
            "--subnet",
            "10.213.13.0/24",
            "--subnet",
            "fd00:213:13::/64",
        ],
    );
    let other = lab.network("namesx", &[]);
    let a = lab.run(
        "na",
        &["--network", &net, "--network-alias", "Web", "--hostname", "ha"],
    );
    let b = lab.run(
        "nb",
        &[
            "--network",
            &net,
            "--network-alias",
            "web",
            "--link",
            &format!("{a}:db"),
        ],
    );
    let stranger = lab.run("nx", &["--network", &other]);
    let id = lab.inspect(&a)["Id"].as_str().unwrap()[..12].to_owned();
    for name in [
        a.as_str(),
        &id,
        "ha",
        "db",
        &format!("{a}.{net}"),
        &a.to_uppercase(),
    ] {
        let found = lab.look_up(&b, name);
        assert!(
            found.contains(&"10.213.13.2".to_owned()) && found.iter().any(|f| f.starts_with("fd00:213:13::")),
            "{name}: {found:?}"
        );
    }
    let mut both = lab.look_up(&b, "web");
    both.retain(|a| !a.contains(':'));
    both.sort();
    assert_eq!(both, ["10.213.13.2", "10.213.13.3"]);
    assert!(
        lab.look_up(&stranger, &a).is_empty(),
        "names stay on their network"
    );
    let back = lab.exec(&b, "nslookup 10.213.13.2 127.0.0.11; true");
    assert!(back.contains(&format!("name = {a}.{net}")), "{back}");
    let file = lab.exec(&b, "cat /etc/resolv.conf /etc/hosts /etc/hostname");
    assert!(
        file.contains("nameserver 127.0.0.11\n") && file.contains("options ndots:0"),
        "{file}"
    );
    assert!(
        file.contains("10.213.13.3\t") && file.contains("fd00:213:13::3\t"),
        "{file}"
    );
    // A server of the container's own on port 53 has it to itself.
    lab.exec(
        &b,
        "nc -l -p 53 >/dev/null 2>&1 & sleep 0.2; echo x | nc -w 1 127.0.0.1 53",
    );
    e.ok(&["rm", "-f", &a]);
    assert_eq!(
        lab.look_up(&b, &a),
        Vec::<String>::new(),
        "gone with its container"
    );
}

#[test]
fn dns_options_are_honoured_and_internal_networks_ask_nobody() {
    let e = Engine::start();
    let mut lab = Lab::new(&e);
    let open = lab.network("dnso", &["--subnet", "10.213.14.0/24"]);
    let closed = lab.network("dnsc", &["--internal"]);
    let c = lab.run(
        "dnsa",
        &[
            "--network",
            &open,
            "--dns",
            "192.0.2.1",
            "--dns-search",
            "ex.org",
            "--dns-option",
            "ndots:2",
        ],
    );
    let file = lab.exec(&c, "grep -v '^#' /etc/resolv.conf | grep .");
    assert_eq!(file, "nameserver 127.0.0.11\nsearch ex.org\noptions ndots:2");
    let i = lab.run("dnsi", &["--network", &closed]);
    let out = lab.exec(&i, "nslookup nosuch.example.com 127.0.0.11 2>&1; true");
    assert!(out.contains("SERVFAIL"), "{out}");
    // What --dns names is asked: nobody listens there, and it counts who comes.
    let server = lab.run("dnss", &["--network", &open, "--ip", "10.213.14.53"]);
    let asker = lab.run("dnsq", &["--network", &open, "--dns", "10.213.14.53"]);
    lab.exec(
        &asker,
        "timeout 3 nslookup outside.example 127.0.0.11 >/dev/null 2>&1; true",
    );
    let came = lab.exec(&server, "awk '/^Udp: [0-9]/ {print $3}' /proc/net/snmp");
    assert!(came.parse::<u32>().unwrap() > 0, "{came:?}");
}

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
        assert!(
            err.contains("Bind for 0.0.0.0:18300 failed: port is already allocated"),
            "{err}"
        );
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

#[test]
fn the_host_and_a_killed_daemon_keep_networks_as_they_were() {
    let mut e = Engine::start();
    if e.is_reference() {
        return;
    }
    let host = e.host().expect("our own daemon");
    let run = |host: &shoal_tests_harness::Host, args: &[&str]| host.docker_ok(args);
    run(host, &["network", "create", "keepa"]);
    run(host, &["network", "create", "keepb"]);
    run(
        host,
        &[
            "run",
            "-d",
            "--name",
            "k1",
            "--network",
            "keepa",
            "-p",
            "18400:8080",
            IMAGE,
            "httpd",
            "-f",
            "-p",
            "8080",
            "-h",
            "/www",
        ],
    );
    run(
        host,
        &[
            "run",
            "-d",
            "--name",
            "k2",
            "--network",
            "keepa",
            IMAGE,
            "sleep",
            "1000",
        ],
    );
    run(host, &["network", "connect", "--alias", "late", "keepb", "k1"]);
    run(host, &["network", "connect", "keepb", "k2"]);
    let shown =
        |host: &shoal_tests_harness::Host| run(host, &["inspect", "-f", "{{json .NetworkSettings}}", "k1"]);
    let before = shown(host);
    host.kill();
    host.start();
    assert_eq!(shown(host), before);
    let answered = |host: &shoal_tests_harness::Host, name: &str| {
        let out = host.docker(&["exec", "k2", "nslookup", name, "127.0.0.11"]);
        String::from_utf8_lossy(&out.stdout).contains("Name:\t")
    };
    assert!(answered(host, "k1") && answered(host, "late"));
    let url = format!("http://{}:18400/", host.address);
    let reached = |host: &shoal_tests_harness::Host| {
        host.command("curl")
            .args(["-fs", "--max-time", "1", &url])
            .output()
            .unwrap()
            .stdout
            == b"hello\n"
    };
    assert!(reached(host));
    run(host, &["network", "disconnect", "keepb", "k1"]);
    assert!(!answered(host, "late") && answered(host, "k1"));
    // Somebody tears at the kernel: it is whole again within seconds, and no container was restarted.
    let link = run(host, &["exec", "k1", "cat", "/sys/class/net/eth0/iflink"]);
    let links = host.command("ip").args(["-o", "link"]).output().unwrap().stdout;
    let links = String::from_utf8_lossy(&links).into_owned();
    let veth = links
        .lines()
        .find_map(|l| {
            l.strip_prefix(&format!("{}: ", link.trim()))?
                .split('@')
                .next()
                .map(str::to_owned)
        })
        .expect("the container's cable");
    let bridge = format!(
        "br-{}",
        &run(host, &["network", "inspect", "-f", "{{.Id}}", "keepa"])[..12]
    );
    for damage in [
        format!("ip link del {veth}"),
        format!("ip link del {bridge}"),
        "nft flush ruleset".into(),
    ] {
        let words: Vec<&str> = damage.split(' ').collect();
        assert!(
            host.command(words[0])
                .args(&words[1..])
                .status()
                .unwrap()
                .success(),
            "{damage}"
        );
        shoal_tests_harness::eventually(&damage, Duration::from_secs(5), || reached(host).then_some(()));
    }
    assert!(answered(host, "k1"));
    run(host, &["rm", "-f", "k1", "k2"]);
    run(host, &["network", "rm", "keepa", "keepb"]);
    let left = host.command("ip").args(["-o", "link"]).output().unwrap().stdout;
    assert!(!String::from_utf8_lossy(&left).contains(&bridge));
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
fn containers_on_a_part_of_the_hosts_interface() {
    let e = Engine::start();
    let mut lab = Lab::new(&e);
    // A bridge with nobody on it has no carrier.
    lab.run("mvk", &[]);
    let net = lab.network(
        "mac",
        &[
            "-d",
            "macvlan",
            "--subnet",
            "10.213.20.0/24",
            "-o",
            "parent=docker0",
        ],
    );
    let a = lab.run(
        "mva",
        &[
            "--network",
            &net,
            "--ip",
            "10.213.20.5",
            "--mac-address",
            "02:42:00:00:14:05",
        ],
    );
    let b = lab.run("mvb", &["--network", &net]);
    let shown = lab.inspect(&a);
    assert_eq!(on(&shown, &net)["IPAddress"], "10.213.20.5");
    assert_eq!(on(&shown, &net)["MacAddress"], "02:42:00:00:14:05");
    assert!(lab.exec(&a, "ip route").contains("default via 10.213.20.1"));
    assert_eq!(lab.look_up(&b, &a), ["10.213.20.5"]);
    lab.exec(&b, "ping -c 1 -W 5 10.213.20.5");
    e.ok(&["network", "disconnect", &net, &b]);
    assert_eq!(lab.exec(&b, "ls /sys/class/net"), "lo");
    e.ok(&["network", "connect", &net, &b]);
    lab.exec(&b, "ping -c 1 -W 5 10.213.20.5");
    if e.is_reference() {
        return;
    }
    // Where the kernel has none of a kind, that is what is said, before anything is made.
    let name = e.name("ipv");
    let (code, _, err) = e.code(&["network", "create", "-d", "ipvlan", "-o", "parent=docker0", &name]);
    assert!(
        code == 0 || err.contains("kernel has no ipvlan interfaces"),
        "{err}"
    );
    e.docker(&["network", "rm", &name]);
    // One without a parent leads nowhere.
    let closed = lab.network("macx", &["-d", "macvlan", "--subnet", "10.213.21.0/24"]);
    let (c, d) = (
        lab.run("mvc", &["--network", &closed]),
        lab.run("mvd", &["--network", &closed]),
    );
    assert!(!lab.exec(&d, "ip route").contains("default"));
    let address = lab.look_up(&d, &c);
    lab.exec(&d, &format!("ping -c 1 -W 5 {}", address[0]));
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
