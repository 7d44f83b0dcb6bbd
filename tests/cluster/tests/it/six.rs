//! IPv6 on networks of the cluster, and published ports that answer clients who come by it.

use crate::mesh::*;
use shoal_tests_cluster::{Cluster, IMAGE};
use shoal_tests_harness::{Host, eventually};
use std::collections::BTreeSet;
use std::process::{Child, Command};

/// Answers each datagram with itself and the port that it came to.
const ECHO: &str = "
import socket, threading
def serve(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('0.0.0.0', port))
    while True:
        data, who = s.recvfrom(2000)
        s.sendto(data + b' at %d' % port, who)
for port in 53, 123:
    threading.Thread(target=serve, args=(port,)).start()
";
/// Asks two ports of an address by turns, each three times from one port of its own.
const ASK: &str = "
import socket, sys
all = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(2)]
for s, port in zip(all, (5353, 5354)):
    s.settimeout(2)
    s.connect((sys.argv[1], port))
for n in range(3):
    for s in all:
        s.send(b'%d' % n)
        print(s.recv(100).decode(), end=', ')
";

/// The address that this host has besides its IPv4 one.
fn six(host: &Host) -> String {
    format!("fd84::{:x}", 10 + u16::from(host.number))
}

fn give_six(host: &Host) {
    let line = format!("address add {}/64 dev eth0 nodad", six(host));
    let done = Command::new("ip")
        .args(["-n", &host.netns])
        .args(line.split(' '))
        .status();
    assert!(done.is_ok_and(|s| s.success()), "{line}");
}

fn look_up(host: &Host, service: &str, name: &str) -> BTreeSet<String> {
    let command =
        format!("nslookup -type=aaaa {name} 127.0.0.11 | sed -n '/^Name/,$p' | sed -n 's/^Address: *//p'");
    let found = exec(host, service, &command).unwrap_or_default();
    found.lines().map(str::to_owned).collect()
}

/// As [`get`], of an IPv6 address.
fn answers(host: &Host, service: &str, address: &str) -> bool {
    exec(host, service, &get(address, "index.html")).is_some_and(|answer| answer.ends_with("hello"))
}

#[test]
fn networks_with_ipv6_lead_to_tasks_and_ports_answer_with_the_clients_address() {
    let mut cluster = Cluster::form(1, 2);
    let client = cluster.world.host();
    give_six(&client);
    for host in &cluster.hosts {
        give_six(host);
    }
    let host = &cluster.hosts[0];
    let create = ["network", "create", "-d", "overlay", "--attachable", "--ipv6"];
    host.docker_ok(
        &[
            &create[..],
            &["--subnet", "fd00:5a::/64", "--subnet", "10.9.1.0/24", "mesh"],
        ]
        .concat(),
    );
    let shown = host.docker_ok(&[
        "network",
        "inspect",
        "-f",
        "{{.EnableIPv6}} {{json .IPAM.Config}}",
        "mesh",
    ]);
    assert!(
        shown.starts_with("true") && shown.contains("fd00:5a::/64"),
        "{shown}"
    );
    host.docker_ok(&[&create[..], &["chosen"]].concat());
    let chosen = host.docker_ok(&["network", "inspect", "-f", "{{json .IPAM.Config}}", "chosen"]);
    assert!(chosen.contains("/64") && chosen.contains("\"fd"), "{chosen}");
    let narrow = host.docker_err(&[&create[..], &["--subnet", "fd00:5b::/120", "narrow"]].concat());
    assert!(narrow.contains("fd00:5b::/120"), "{narrow}");

    let each = ["--network", "mesh", "--replicas-max-per-node", "1"];
    servers(
        &cluster,
        "web",
        3,
        &[
            &each[..],
            &["--publish", "8080:80"],
            &["--publish", "5353:53/udp", "--publish", "5354:123/udp"],
        ]
        .concat(),
    );
    cluster.sleepers(0, "probe", 3, &each);
    let (hosts, text) = (&cluster.hosts, |address: &str| {
        let four: std::net::Ipv4Addr = address.parse().expect("an address");
        let bits = u128::from("fd00:5a::".parse::<std::net::Ipv6Addr>().expect("a subnet"));
        std::net::Ipv6Addr::from(bits | u128::from(u32::from(four))).to_string()
    });
    let service = text(&vip(&hosts[0], "web"));
    let tasks: BTreeSet<String> = places(&hosts[0], "web", "mesh").iter().map(|a| text(a)).collect();
    for (n, host) in hosts.iter().enumerate() {
        eventually(&format!("host {n} knows the tasks"), LIMIT, || {
            (look_up(host, "probe", "tasks.web") == tasks).then_some(())
        });
        assert_eq!(look_up(host, "probe", "web"), [service.clone()].into());
        for address in tasks.iter().chain([&service]) {
            eventually(&format!("{address} answers on host {n}"), LIMIT, || {
                answers(host, "probe", address).then_some(())
            });
        }
    }
    // A user's own container has both addresses as well.
    hosts[1].docker_ok(&[
        "run",
        "-d",
        "--name",
        "own",
        "--network",
        "mesh",
        IMAGE,
        "sleep",
        "1000",
    ]);
    let format = "{{(index .NetworkSettings.Networks \"mesh\").GlobalIPv6Address}}";
    let own = hosts[1].docker_ok(&["inspect", "-f", format, "own"]);
    assert!(own.starts_with("fd00:5a::"), "{own}");
    assert_eq!(look_up(&hosts[0], "probe", "own"), [own].into());

    // From outside, by every node.
    for host in hosts {
        let at = format!("[{}]", six(host));
        eventually(&format!("the port answers at {at}"), LIMIT, || {
            ask(&client, &at, 8080)
        });
        let answers: Vec<String> = (0..9).filter_map(|_| ask(&client, &at, 8080)).collect();
        assert_eq!(answers.len(), 9, "{answers:?}");
        for answer in &answers {
            assert!(answer.contains(&six(&client)), "{answer}");
        }
        let by: BTreeSet<&str> = answers.iter().filter_map(|a| a.split(' ').nth(1)).collect();
        assert!(by.len() > 1, "several tasks answer at {at}: {by:?}");
        assert!(ask(&client, &host.address, 8080).is_some());
        let found = host.api("GET", "/shoal/networks/doctor", None).json();
        assert_eq!(found["Differences"], serde_json::json!([]));
    }
    // And on each node by itself.
    for host in hosts {
        for at in ["[::1]", "127.0.0.1"] {
            eventually(&format!("the port answers at {at}"), LIMIT, || {
                ask(host, at, 8080)
            });
        }
        assert!(ask(host, "[::1]", 8081).is_none());
        let found = host.api("GET", "/shoal/networks/doctor", None).json();
        assert_eq!(found["Differences"], serde_json::json!([]));
    }
    // Datagrams as well, which do not say what port they were sent to.
    let mut echoes: Vec<Child> = hosts
        .iter()
        .map(|host| {
            let filter = "label=com.docker.swarm.service.name=web";
            let id = host.docker_ok(&["ps", "-q", "--filter", filter]);
            let pid = host.docker_ok(&["inspect", "-f", "{{.State.Pid}}", id.trim()]);
            let inside = format!("--net=/proc/{}/ns/net", pid.trim());
            Command::new("nsenter")
                .args([&inside, "python3", "-c", ECHO])
                .spawn()
                .expect("nsenter and python3")
        })
        .collect();
    for host in hosts {
        eventually("datagrams to [::1] are answered", LIMIT, || {
            let out = host.command("python3").args(["-c", ASK, "::1"]).output().ok()?;
            let wanted = "0 at 53, 0 at 123, 1 at 53, 1 at 123, 2 at 53, 2 at 123, ";
            (out.stdout == wanted.as_bytes()).then_some(())
        });
    }
    for echo in &mut echoes {
        echo.kill().expect("killed");
        echo.wait().expect("ended");
    }
    // What is not published is not reached, whoever routes there.
    let ingress = hosts[0].docker_ok(&["network", "inspect", "-f", "{{json .IPAM.Config}}", "ingress"]);
    let subnet = ingress
        .split('"')
        .find(|word| word.contains("::/"))
        .expect("an IPv6 subnet")
        .to_owned();
    for host in hosts {
        let line = format!("-6 route replace {subnet} via {}", six(host));
        let done = Command::new("ip")
            .args(["-n", &client.netns])
            .args(line.split(' '))
            .status();
        assert!(done.is_ok_and(|s| s.success()), "{line}");
        for task in places(&hosts[0], "web", "ingress") {
            let bits = u128::from(
                subnet
                    .split('/')
                    .next()
                    .unwrap_or_default()
                    .parse::<std::net::Ipv6Addr>()
                    .expect("a subnet"),
            );
            let four: std::net::Ipv4Addr = task.parse().expect("an address");
            let address = std::net::Ipv6Addr::from(bits | u128::from(u32::from(four)));
            assert_eq!(
                ask(&client, &format!("[{address}]"), 80),
                None,
                "{address} through {}",
                six(host)
            );
        }
    }
    hosts[0].docker_ok(&["service", "rm", "web"]);
    eventually("the port is closed", LIMIT, || {
        ask(&client, &format!("[{}]", six(&hosts[1])), 8080)
            .is_none()
            .then_some(())
    });
}
