//! Networks outlive their daemon, and somebody's hand in the kernel.

use shoal_tests_conformance::{Engine, IMAGE};
use std::time::Duration;

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
