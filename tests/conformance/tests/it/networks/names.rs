//! Names inside of containers.

use super::Lab;
use shoal_tests_conformance::Engine;

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
    let behind = lab.exec(&c, "tail -n 5 /etc/resolv.conf");
    assert_eq!(
        behind,
        "\n# Based on host file: '/etc/resolv.conf' (internal resolver)\n# ExtServers: [192.0.2.1]\n\
         # Overrides: [nameservers search options]\n# Option ndots from: override"
    );
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
