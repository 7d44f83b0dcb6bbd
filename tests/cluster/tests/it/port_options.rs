//! What labels and options add to published ports and to the way between nodes.

use crate::mesh::*;
use shoal_tests_cluster::{Cluster, IMAGE};
use shoal_tests_harness::{Host, eventually};
use std::collections::BTreeSet;

/// Says something and prints what it gets within a second, in hexadecimal.
const EXCHANGE: &str = "
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
print(s.getsockname()[1])
s.sendall(b'x'); s.settimeout(1)
got = b''
try:
    while not got.endswith(b'x'): got += s.recv(100) or exit(1)
except socket.timeout: pass
print(got.hex())
";

/// The client's port, and what came back.
fn exchange(client: &Host, address: &str, port: u16) -> Option<(u16, String)> {
    let out = client
        .command("python3")
        .args(["-c", EXCHANGE, address, &port.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let (port, got) = text.trim().split_once('\n')?;
    out.status
        .success()
        .then_some((port.parse().ok()?, got.to_owned()))
}

fn hex(address: &str) -> String {
    let four: std::net::Ipv4Addr = address.parse().expect("an address");
    four.octets().map(|byte| format!("{byte:02x}")).concat()
}

#[test]
fn labels_of_published_ports_do_what_they_say() {
    let mut cluster = Cluster::form(1, 1);
    let client = cluster.world.host();
    let each = ["--replicas-max-per-node", "1"];
    let local = [
        "--label",
        "shoal.publish.local-first=8080",
        "--publish",
        "8080:80",
    ];
    servers(&cluster, "near", 2, &[&each[..], &local].concat());
    servers(
        &cluster,
        "far",
        2,
        &[&each[..], &["--publish", "8081:80"]].concat(),
    );
    let names = |host: &Host, port: u16| -> BTreeSet<String> {
        let answers = (0..12).filter_map(|_| ask(&client, &host.address, port));
        answers
            .filter_map(|a| Some(a.split(' ').nth(1)?.to_owned()))
            .collect()
    };
    let mut near = BTreeSet::new();
    for host in &cluster.hosts {
        for port in [8080, 8081] {
            eventually("the port answers", LIMIT, || ask(&client, &host.address, port));
        }
        eventually("only the own task answers", LIMIT, || {
            let by = names(host, 8080);
            let own = exec(host, "near", "hostname")?;
            (by == [own.clone()].into()).then(|| near.insert(own))
        });
        assert_eq!(names(host, 8081).len(), 2, "without the label both answer");
    }
    assert_eq!(near.len(), 2);
    // Without a task of its own a node leads to others'.
    cluster.hosts[0].docker_ok(&[
        "service",
        "update",
        "--detach",
        "--constraint-add",
        "node.hostname==host1",
        "near",
    ]);
    cluster.hosts[0].docker_ok(&["service", "scale", "--detach", "near=1"]);
    eventually("the other node's task answers", LIMIT, || {
        let own = exec(&cluster.hosts[0], "near", "hostname")?;
        (names(&cluster.hosts[1], 8080) == [own].into()).then_some(())
    });

    let proxied = [
        "--label",
        "shoal.publish.proxy-protocol=8082",
        "--publish",
        "8082:80",
    ];
    let args = [
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--name",
        "told",
    ];
    let echo = [IMAGE, "nc", "-ll", "-p", "80", "-e", "cat"];
    cluster.hosts[0].docker_ok(&[&args[..], &proxied, &echo].concat());
    cluster.await_running(0, "told", 1, LIMIT);
    for host in &cluster.hosts {
        let (port, got) = eventually("the header comes back", LIMIT, || {
            exchange(&client, &host.address, 8082)
        });
        let addresses = hex(&client.address) + &hex(&host.address);
        let ports = format!("{port:04x}{:04x}", 8082);
        let wanted = format!("0d0a0d0a000d0a515549540a2111000c{addresses}{ports}78");
        assert_eq!(got, wanted, "through {}", host.address);
        let found = host.api("GET", "/shoal/networks/doctor", None).json();
        assert_eq!(found["Differences"], serde_json::json!([]));
    }
    cluster.hosts[0].docker_ok(&["service", "rm", "told"]);
    for host in &cluster.hosts {
        eventually("the port is closed", LIMIT, || {
            exchange(&client, &host.address, 8082).is_none().then_some(())
        });
    }
    let refused = cluster.hosts[0]
        .docker_err(&[&args[..], &["--label", "shoal.publish.local-first=http", IMAGE]].concat());
    assert!(
        refused.contains("invalid label shoal.publish.local-first=http"),
        "{refused}"
    );
}

/// Frames on the wire by the other address only, and only there.
#[test]
fn a_data_path_address_carries_what_travels_on_networks() {
    let other = |host: &Host| format!("10.85.0.{}", 10 + host.number);
    let cluster = Cluster::form_by(1, 1, "{}", |host| {
        let line = format!("address add {}/24 dev eth0", other(host));
        let done = host.command("ip").args(line.split(' ')).status();
        assert!(done.is_ok_and(|s| s.success()), "{line}");
        vec!["--data-path-addr".into(), other(host)]
    });
    cluster.hosts[0].docker_ok(&["network", "create", "-d", "overlay", "mesh"]);
    servers(
        &cluster,
        "web",
        2,
        &["--network", "mesh", "--replicas-max-per-node", "1"],
    );
    for (n, host) in cluster.hosts.iter().enumerate() {
        for task in places(&cluster.hosts[0], "web", "mesh") {
            eventually(&format!("host {n} reaches {task}"), LIMIT, || {
                exec(host, "web", &get(&task, "index.html")).filter(|a| a.ends_with("hello"))
            });
        }
        let out = host
            .command("bridge")
            .args(["fdb", "show"])
            .output()
            .expect("bridge");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let to: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.split_once(" dst ")?.1.split(' ').next())
            .collect();
        assert_eq!(to, [other(&cluster.hosts[1 - n]).as_str()].into(), "{text}");
    }
    // It is kept over a restart.
    let mut cluster = cluster;
    cluster.hosts[1].kill();
    cluster.hosts[1].start();
    cluster.await_ready(2);
    let found = eventually("the doctor answers", LIMIT, || {
        let found = cluster.hosts[0]
            .api("GET", "/shoal/networks/doctor?all=true", None)
            .json();
        let nodes = found["Nodes"].as_array()?.clone();
        (nodes.len() == 2 && nodes.iter().all(|n| n["Differences"] == serde_json::json!([]))).then_some(nodes)
    });
    assert_eq!(found.len(), 2);
    let task = places(&cluster.hosts[0], "web", "mesh");
    assert!(
        task.iter()
            .all(|task| exec(&cluster.hosts[1], "web", &get(task, "index.html")).is_some())
    );
}
