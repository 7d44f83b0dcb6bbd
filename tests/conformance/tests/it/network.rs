//! The predefined networks and published ports of one host.

use shoal_tests_conformance::{Engine, IMAGE};
use std::time::Duration;

#[test]
fn bridge_host_and_none() {
    let e = Engine::start();
    assert_eq!(
        e.ok(&[
            "network",
            "ls",
            "--format",
            "{{.Name}}/{{.Driver}}",
            "--filter",
            "type=builtin"
        ])
        .lines()
        .collect::<std::collections::BTreeSet<_>>(),
        ["bridge/bridge", "host/host", "none/null"].into()
    );
    assert_eq!(e.sh(&["--network", "none"], "ls /sys/class/net"), "lo");
    let bridged = e.sh(&[], "ip -o -4 addr show eth0; ip route");
    assert!(bridged.contains("default via "), "{bridged}");
    let subnet = e.ok(&[
        "network",
        "inspect",
        "-f",
        "{{(index .IPAM.Config 0).Subnet}}",
        "bridge",
    ]);
    assert!(
        bridged.contains(subnet.split('.').next().unwrap()),
        "{bridged} in {subnet}"
    );
    if !e.is_reference() {
        assert!(
            e.sh(&["--network", "host"], "ls /sys/class/net")
                .contains("docker0")
        );
    }
}

#[test]
fn containers_on_the_bridge_reach_each_other_and_the_gateway() {
    let e = Engine::start();
    let name = e.name("web");
    e.ok(&[
        "run", "-d", "--name", &name, IMAGE, "httpd", "-f", "-p", "8080", "-h", "/www",
    ]);
    let ip = e.ok(&[
        "inspect",
        "-f",
        "{{.NetworkSettings.Networks.bridge.IPAddress}}",
        &name,
    ]);
    // busybox's static wget cannot look names up, and nc needs no names.
    let script = format!(
        "for i in $(seq 50); do out=$(printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {ip} 8080 | tail -1); \
         [ -n \"$out\" ] && break; sleep 0.1; done; echo $out; \
         ping -c1 -W2 $(ip route | awk '/default/{{print $3}}') >/dev/null && echo gateway"
    );
    assert_eq!(e.sh(&[], &script), "hello\ngateway");
    e.ok(&["rm", "-f", &name]);
}

#[test]
fn a_published_port_answers_on_every_address_of_the_host() {
    let mut e = Engine::start();
    let name = e.name("pub");
    e.ok(&[
        "run",
        "-d",
        "--name",
        &name,
        "-p",
        "18080:8080",
        "-p",
        "127.0.0.1:18081:8080",
        IMAGE,
        "httpd",
        "-f",
        "-p",
        "8080",
        "-h",
        "/www",
    ]);
    let ports = e.ok(&["port", &name]);
    assert!(
        ports.contains("8080/tcp -> 0.0.0.0:18080") && ports.contains("8080/tcp -> 127.0.0.1:18081"),
        "{ports}"
    );
    if let Some(host) = e.host() {
        let urls = [
            format!("http://{}:18080/", host.address),
            "http://127.0.0.1:18080/".into(),
            "http://127.0.0.1:18081/".into(),
        ];
        for url in urls {
            shoal_tests_harness::eventually(&url, Duration::from_secs(5), || {
                let out = host
                    .command("curl")
                    .args(["-fs", "--max-time", "2", &url])
                    .output()
                    .unwrap();
                (out.stdout == b"hello\n").then_some(())
            });
        }
    }
    e.ok(&["rm", "-f", &name]);
    if let Some(host) = e.host() {
        let out = host
            .command("curl")
            .args(["-fs", "--max-time", "2", "http://127.0.0.1:18080/"])
            .output()
            .unwrap();
        assert!(!out.status.success(), "the port is closed again");
    }
}

#[test]
fn the_firewall_comes_back_when_somebody_deletes_it() {
    let mut e = Engine::start();
    let Some(host) = e.host() else { return };
    let table = format!("shoal-{}", host.short_id().unwrap());
    let list = |host: &shoal_tests_harness::Host| {
        host.command("nft")
            .args(["list", "table", "inet", &table])
            .output()
            .unwrap()
    };
    assert!(
        list(host).status.success(),
        "the table is there: {}",
        String::from_utf8_lossy(&list(host).stderr)
    );
    assert!(
        host.command("nft")
            .args(["delete", "table", "inet", &table])
            .status()
            .unwrap()
            .success()
    );
    shoal_tests_harness::eventually("the table is back", Duration::from_secs(10), || {
        list(host).status.success().then_some(())
    });
}

#[test]
fn a_deleted_bridge_is_back_at_once_with_the_ports_of_running_containers() {
    let mut e = Engine::start();
    if e.is_reference() {
        return;
    }
    let name = e.name("bridged");
    e.ok(&[
        "run",
        "-d",
        "--name",
        &name,
        "-p",
        "18082:8080",
        IMAGE,
        "httpd",
        "-f",
        "-p",
        "8080",
        "-h",
        "/www",
    ]);
    let host = e.host().expect("our own daemon");
    let url = format!("http://{}:18082/", host.address);
    for damage in ["link del docker0", "link set docker0 down"] {
        let done = host.command("ip").args(damage.split(' ')).status().unwrap();
        assert!(done.success(), "{damage}");
        // Far less than the pause between two looks.
        shoal_tests_harness::eventually(damage, Duration::from_secs(4), || {
            let curl = host
                .command("curl")
                .args(["-fs", "--max-time", "1", &url])
                .output();
            (curl.unwrap().stdout == b"hello\n").then_some(())
        });
    }
    e.ok(&["rm", "-f", &name]);
}

#[test]
fn two_networks_never_share_a_bridge() {
    let e = Engine::start();
    let option = "com.docker.network.bridge.name=docker0";
    let (code, _, err) = e.code(&["network", "create", "-o", option, &e.name("same-bridge")]);
    assert!(
        code != 0 && err.contains("networks have same bridge name"),
        "{err}"
    );
}
