//! What a machine on the same wire reaches, that has a way to every address it can think of: published ports, the port of
//! the cluster itself, and nothing else, whatever was done to the rules meanwhile.

use crate::mesh::*;
use shoal_tests_cluster::{Cluster, IMAGE};
use shoal_tests_harness::{Host, eventually};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Which of `ADDRESS FIRST LAST`… answer to a TCP connection: a batch at a time, those that say nothing for as long as it
/// takes are closed.
const SCAN: &str = r#"
import errno, select, socket, sys, time
def batches(args):
    batch = []
    for address, first, last in zip(args[::3], args[1::3], args[2::3]):
        for port in range(int(first), int(last) + 1):
            batch.append((address, port))
            if len(batch) == 400:
                yield batch
                batch = []
    yield batch
for batch in batches(sys.argv[1:]):
    poll, waiting = select.poll(), {}
    for address, port in batch:
        s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        s.setblocking(False)
        code = s.connect_ex((address, port))
        if code == 0:
            print(address, port)
        elif code == errno.EINPROGRESS:
            waiting[s.fileno()] = (s, address, port)
            poll.register(s, select.POLLOUT)
    end = time.monotonic() + 1
    while waiting and time.monotonic() < end:
        for fd, _ in poll.poll(100):
            s, address, port = waiting.pop(fd)
            poll.unregister(fd)
            if s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                print(address, port)
            s.close()
"#;

fn scan(stranger: &Host, targets: &[(String, u16, u16)]) -> BTreeSet<String> {
    let mut command = stranger.command("python3");
    command.args(["-c", SCAN]);
    for (address, first, last) in targets {
        command.args([address, &first.to_string(), &last.to_string()]);
    }
    let out = command.output().expect("python3");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

fn ip(host: &Host, line: &str) {
    let done = host.command("ip").args(line.split(' ')).status();
    assert!(done.is_ok_and(|s| s.success()), "ip {line}");
}

fn six(host: &Host) -> String {
    format!("fd84::{:x}", 10 + u16::from(host.number))
}

/// The subnets of a network, IPv4 first.
fn subnets(host: &Host, network: &str) -> Vec<String> {
    let shown = host.api("GET", &format!("/networks/{network}"), None).json();
    let all = shown["IPAM"]["Config"].as_array().cloned().unwrap_or_default();
    let mut all: Vec<String> = all
        .iter()
        .filter_map(|c| Some(c["Subnet"].as_str()?.to_owned()))
        .collect();
    all.sort_by_key(|subnet| subnet.contains(':'));
    all
}

/// Every address that tasks of the service have, of both families.
fn addresses(host: &Host, service: &str, network: &str) -> Vec<String> {
    let six = subnets(host, network)
        .into_iter()
        .find(|subnet| subnet.contains(':'));
    let prefix: Option<Ipv6Addr> = six.and_then(|subnet| subnet.split('/').next()?.parse().ok());
    let mut all = Vec::new();
    for address in places(host, service, network) {
        let four: Ipv4Addr = address.parse().expect("an address");
        all.push(address);
        all.extend(prefix.map(|p| Ipv6Addr::from(u128::from(p) | u128::from(u32::from(four))).to_string()));
    }
    all
}

/// Containers' addresses on a bridge of the host's own.
fn on_bridge(host: &Host, network: &str) -> Vec<String> {
    let shown = host.api("GET", &format!("/networks/{network}"), None).json();
    let all = shown["Containers"].as_object().cloned().unwrap_or_default();
    all.values()
        .filter_map(|c| Some(c["IPv4Address"].as_str()?.split('/').next()?.to_owned()))
        .collect()
}

#[test]
fn a_stranger_reaches_published_ports_and_nothing_else() {
    let mut cluster = Cluster::form(1, 1);
    let stranger = cluster.world.host();
    for host in cluster.hosts.iter().chain([&stranger]) {
        ip(host, &format!("address add {}/64 dev eth0 nodad", six(host)));
    }
    let first = &cluster.hosts[0];
    first.docker_ok(&["network", "create", "-d", "overlay", "--ipv6", "mesh"]);
    first.docker_ok(&["network", "create", "-d", "overlay", "--internal", "closed"]);
    let each = "--replicas-max-per-node";
    servers(
        &cluster,
        "web",
        2,
        &["--network", "mesh", each, "1", "--publish", "8080:80"],
    );
    servers(&cluster, "shut", 2, &["--network", "closed", each, "1"]);
    for host in &cluster.hosts {
        let server = ["httpd", "-f", "-p", "80", "-h", "/etc"];
        let run = ["run", "-d", "-p", "127.0.0.1:8088:80", IMAGE];
        host.docker_ok(&[&run[..], &server].concat());
        host.docker_ok(&["network", "create", "--internal", "inner"]);
        let run = ["run", "-d", "--network", "inner", "-p", "8089:80", IMAGE];
        host.docker_ok(&[&run[..], &server].concat());
    }

    let mut closed: Vec<String> = Vec::new();
    for (service, network) in [("web", "mesh"), ("web", "ingress"), ("shut", "closed")] {
        let of_service = addresses(first, service, network);
        assert!(of_service.len() >= 2, "{of_service:?} of {service} on {network}");
        closed.extend(of_service);
    }
    let ways: Vec<String> = ["mesh", "ingress", "closed"]
        .iter()
        .flat_map(|network| subnets(first, network))
        .collect();
    // The stranger takes addresses of loopback for somebody else's.
    for switch in ["all", "eth0"] {
        let file = format!("/proc/sys/net/ipv4/conf/{switch}/route_localnet");
        let done = stranger
            .command("sh")
            .args(["-c", &format!("echo 1 >{file}")])
            .status();
        assert!(done.is_ok_and(|s| s.success()), "{file}");
    }
    ip(&stranger, "link set lo down");

    let check = |cluster: &Cluster, when: &str| {
        for (n, host) in cluster.hosts.iter().enumerate() {
            eventually(&format!("host {n} answers {when}"), LIMIT, || {
                let clean = host.api("GET", "/shoal/networks/doctor", None).json()["Differences"]
                    == serde_json::json!([]);
                let six = format!("[{}]", six(host));
                (clean
                    && ask(&stranger, &host.address, 8080).is_some()
                    && ask(&stranger, &six, 8080).is_some())
                .then_some(())
            });
            let mut targets: Vec<(String, u16, u16)> = closed.iter().map(|a| (a.clone(), 80, 80)).collect();
            for bridge in ["bridge", "docker_gwbridge", "inner"] {
                let on = on_bridge(host, bridge);
                assert!(!on.is_empty(), "containers on {bridge}");
                targets.extend(on.into_iter().map(|a| (a, 80, 80)));
            }
            for way in &ways {
                let via = if way.contains(':') {
                    six(host)
                } else {
                    host.address.clone()
                };
                ip(&stranger, &format!("route replace {way} via {via}"));
            }
            ip(
                &stranger,
                &format!("route replace 172.16.0.0/12 via {}", host.address),
            );
            ip(
                &stranger,
                &format!("route replace 127.0.0.1/32 via {}", host.address),
            );
            targets.push(("127.0.0.1".into(), 8088, 8089));
            targets.push((host.address.clone(), 1, 65535));
            targets.push((six(host), 1, 65535));
            let open = scan(&stranger, &targets);
            let wanted: BTreeSet<String> = [
                format!("{} 8080", host.address),
                format!("{} 8080", six(host)),
                // Nodes among themselves, by certificates.
                format!("{} 2377", host.address),
            ]
            .into();
            assert_eq!(open, wanted, "{when}, on host {n}");
        }
    };
    check(&cluster, "at first");
    for host in &cluster.hosts {
        assert!(
            host.command("nft")
                .args(["flush", "ruleset"])
                .status()
                .is_ok_and(|s| s.success())
        );
    }
    check(&cluster, "after a flush");
    for n in 0..2 {
        cluster.hosts[n].kill();
        let flush = cluster.hosts[n]
            .command("nft")
            .args(["flush", "ruleset"])
            .status();
        assert!(flush.is_ok_and(|s| s.success()));
        cluster.hosts[n].start();
    }
    cluster.await_ready(2);
    check(&cluster, "after a flush and a restart");
}
