//! Encrypted networks: what is on them works as on any other, and none of it is seen on the wire or let in from it.

use crate::mesh::*;
use shoal_tests_cluster::Cluster;
use shoal_tests_harness::{Host, eventually};
use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Counts the frames on `eth0` by kind until its standard input ends: VXLAN by identifier, the tunnel, and frames in which
/// the text can be read.
const CAPTURE: &str = r#"
import select, socket, struct, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind(("eth0", 0))
wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
print("ready", flush=True)
count, text = {}, sys.argv[1].encode()
while True:
    ready, _, _ = select.select([wire, sys.stdin], [], [])
    if wire in ready:
        frame = wire.recv(65535)
        kinds = ["readable"] if text in frame else []
        if frame[12:14] == b"\x08\x00" and frame[23] == 17:
            at = 14 + (frame[14] & 15) * 4
            port = struct.unpack(">H", frame[at + 2:at + 4])[0]
            if port == 4789:
                kinds.append("vxlan %d" % (struct.unpack(">I", frame[at + 12:at + 16])[0] >> 8))
            if port == 4790:
                kinds.append("tunnel")
        for kind in kinds:
            count[kind] = count.get(kind, 0) + 1
    elif sys.stdin in ready:
        break
for kind, n in count.items():
    print(kind, n)
"#;

/// Sends a frame for a task as another node would: outer source and target, identifier, the task's hardware and IP address.
const FORGE: &str = r#"
import socket, struct, sys
source, target, vni, mac, address, times = sys.argv[1:]
def ip(protocol, source, target, body):
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 7, 0, 64, protocol, 0,
        socket.inet_aton(source), socket.inet_aton(target))
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xffff) + (total >> 16)
    return head[:10] + struct.pack(">H", ~((total & 0xffff) + (total >> 16)) & 0xffff) + head[12:] + body
def udp(port, body):
    return struct.pack(">HHHH", 40000, port, 8 + len(body), 0) + body
inner = bytes.fromhex(mac.replace(":", "")) + b"\x02\x00\x00\x00\x00\x07\x08\x00"
inner += ip(17, address.rsplit(".", 1)[0] + ".250", address, udp(9, b"forged"))
outer = ip(17, source, target, udp(4789, struct.pack(">II", 0x08000000, int(vni) << 8) + inner))
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for _ in range(int(times)):
    raw.sendto(outer, (target, 0))
"#;

const FORGED: usize = 5;
/// Well below the quarter of a minute after which WireGuard gives up a conversation that nobody answers in.
const SOON: Duration = Duration::from_secs(8);

struct Capture(Child);

impl Capture {
    fn start(host: &Host, text: &str) -> Capture {
        let mut child = host
            .command("python3")
            .args(["-c", CAPTURE, text])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut said = [0; 6];
        let out = child.stdout.as_mut().expect("piped");
        std::io::Read::read_exact(out, &mut said).expect("it captures");
        Capture(child)
    }

    /// How many frames of each kind there were.
    fn stop(mut self) -> Box<dyn Fn(&str) -> u64> {
        drop(self.0.stdin.take());
        let out = self.0.wait_with_output().expect("python3");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        Box::new(move |kind| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{kind} ")));
            line.map_or(0, |n| n.parse().expect("a number"))
        })
    }
}

fn identifier(host: &Host, network: &str) -> String {
    let option = "{{index .Options \"com.docker.network.driver.overlay.vxlanid_list\"}}";
    host.docker_ok(&["network", "inspect", "-f", option, network])
}

/// The hardware and the IP address of the service's task on that host.
fn task(cluster: &Cluster, n: usize, service: &str, network: &str) -> (String, String) {
    let command = "for l in /sys/class/net/*; do \
        ip -4 -o addr show dev ${l##*/} | sed \"s|.*inet \\([0-9.]*\\)/.*|$(cat $l/address) \\1|\"; done";
    let shown = exec(&cluster.hosts[n], service, command).expect("its addresses");
    let all = places(&cluster.hosts[0], service, network);
    let pair = |line: &str| line.split_once(' ').map(|(m, a)| (m.to_owned(), a.to_owned()));
    let found = shown
        .lines()
        .filter_map(pair)
        .find(|(_, address)| all.contains(address));
    found.unwrap_or_else(|| panic!("none of {all:?} in {shown}"))
}

/// Datagrams that came to the task's namespace for a port that nobody listens on.
fn unheard(host: &Host, service: &str) -> u64 {
    let shown = exec(host, service, "grep ^Udp: /proc/net/snmp | tail -1").expect("counters");
    shown
        .split_whitespace()
        .nth(2)
        .and_then(|n| n.parse().ok())
        .expect("a number")
}

fn doctor_is_content(host: &Host) -> bool {
    host.api("GET", "/shoal/networks/doctor", None).json()["Differences"] == serde_json::json!([])
}

/// From each host's task to every task and to the service's address.
fn all_reach_all(cluster: &Cluster, service: &str, network: &str, limit: Duration) {
    let address = {
        let shown = cluster.hosts[0]
            .api("GET", &format!("/services/{service}"), None)
            .json();
        let vip = shown["Endpoint"]["VirtualIPs"][0]["Addr"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        vip.split('/').next().unwrap_or_default().to_owned()
    };
    let tasks = places(&cluster.hosts[0], service, network);
    for (n, host) in cluster.hosts.iter().enumerate() {
        for target in tasks.iter().chain([&address]) {
            eventually(&format!("host {n} reaches {target} of {service}"), limit, || {
                let answer = exec(host, service, &get(target, "index.html?secret-word"))?;
                answer.ends_with("hello").then_some(())
            });
        }
    }
}

fn make_sealed(host: &Host) {
    let sealed = [
        "network",
        "create",
        "-d",
        "overlay",
        "--opt",
        "encrypted",
        "sealed",
    ];
    host.docker_ok(&sealed);
}

#[test]
fn nothing_of_an_encrypted_network_is_seen_or_forged() {
    let mut cluster = Cluster::form(1, 2);
    let stranger = cluster.world.host();
    let first = &cluster.hosts[0];
    make_sealed(first);
    first.docker_ok(&["network", "create", "-d", "overlay", "plain"]);
    let each = "--replicas-max-per-node";
    servers(&cluster, "web", 3, &["--network", "sealed", each, "1"]);
    servers(&cluster, "other", 3, &["--network", "plain", each, "1"]);
    all_reach_all(&cluster, "web", "sealed", LIMIT);
    all_reach_all(&cluster, "other", "plain", LIMIT);
    for (n, host) in cluster.hosts.iter().enumerate() {
        eventually(&format!("the kernel of host {n} is as decided"), LIMIT, || {
            doctor_is_content(host).then_some(())
        });
    }
    let (sealed, plain) = (identifier(first, "sealed"), identifier(first, "plain"));
    assert!(!sealed.is_empty() && sealed != plain, "{sealed:?} {plain:?}");

    // What a listener on the wire gets; that it would hear it is shown by the other network.
    let captures: Vec<Capture> = cluster
        .hosts
        .iter()
        .map(|h| Capture::start(h, "secret-word"))
        .collect();
    all_reach_all(&cluster, "web", "sealed", LIMIT);
    for capture in captures {
        let count = capture.stop();
        assert_eq!(count(&format!("vxlan {sealed}")), 0, "plain frames");
        assert_eq!(count("readable"), 0, "requests that can be read");
        assert!(count("tunnel") > 20, "{} frames by the tunnel", count("tunnel"));
        println!("{} frames by the tunnel, none plain", count("tunnel"));
    }
    let capture = Capture::start(first, "secret-word");
    all_reach_all(&cluster, "other", "plain", LIMIT);
    let count = capture.stop();
    assert!(
        count(&format!("vxlan {plain}")) > 20 && count("readable") > 0,
        "it can hear"
    );

    // Frames that others made up: under their own address and under a node's.
    let (target, neighbour) = (&cluster.hosts[1], &cluster.hosts[2]);
    for source in [&stranger.address, &neighbour.address] {
        for (service, network, vni, delivered) in [
            ("web", "sealed", &sealed, 0),
            ("other", "plain", &plain, FORGED as u64),
        ] {
            let (mac, address) = task(&cluster, 1, service, network);
            let before = unheard(target, service);
            let forged = stranger
                .command("python3")
                .args([
                    "-c",
                    FORGE,
                    source,
                    &target.address,
                    vni,
                    &mac,
                    &address,
                    &FORGED.to_string(),
                ])
                .status();
            assert!(forged.is_ok_and(|s| s.success()));
            std::thread::sleep(Duration::from_millis(300));
            let came = unheard(target, service) - before;
            assert_eq!(
                came, delivered,
                "forged frames from {source} on network {network}"
            );
        }
    }
}

#[test]
fn what_comes_by_published_ports_goes_on_encrypted_where_the_ingress_network_is() {
    let mut cluster = Cluster::form(1, 2);
    let client = cluster.world.host();
    let first = &cluster.hosts[0];
    eventually("the ingress network goes", LIMIT, || {
        (first.api("DELETE", "/networks/ingress", None).status == 204).then_some(())
    });
    let create = [
        "network",
        "create",
        "-d",
        "overlay",
        "--ingress",
        "--opt",
        "encrypted",
        "way-in",
    ];
    eventually("another one comes", LIMIT, || {
        first.docker(&create).status.success().then_some(())
    });
    let options = ["--publish", "8080:80", "--replicas-max-per-node", "1"];
    servers(&cluster, "web", 3, &options);
    let all: BTreeSet<String> = cluster
        .hosts
        .iter()
        .map(|host| exec(host, "web", "hostname").expect("a task on each host"))
        .collect();
    assert_eq!(all.len(), 3);
    let by_all = |host: &Host| {
        let answers: Vec<String> = (0..12)
            .filter_map(|_| ask(&client, &host.address, 8080))
            .collect();
        let own = answers.iter().all(|a| a.starts_with(&client.address));
        let by: BTreeSet<String> = answers
            .iter()
            .filter_map(|a| Some(a.split(' ').nth(1)?.to_owned()))
            .collect();
        (own && answers.len() == 12 && by == all).then_some(())
    };
    for (n, host) in cluster.hosts.iter().enumerate() {
        eventually(
            &format!("host {n} leads to every task, with the client's address"),
            LIMIT,
            || by_all(host),
        );
        eventually(&format!("the kernel of host {n} is as decided"), LIMIT, || {
            doctor_is_content(host).then_some(())
        });
    }
    let vni = identifier(first, "way-in");
    let captures: Vec<Capture> = cluster
        .hosts
        .iter()
        .map(|h| Capture::start(h, "secret-word"))
        .collect();
    for host in &cluster.hosts {
        eventually("every task answers", LIMIT, || by_all(host));
    }
    for capture in captures {
        let count = capture.stop();
        assert_eq!(count(&format!("vxlan {vni}")), 0, "plain frames");
        assert!(count("tunnel") > 20, "{} frames by the tunnel", count("tunnel"));
    }
}

#[test]
fn an_encrypted_network_heals_and_ends() {
    let mut cluster = Cluster::form(1, 2);
    let first = &cluster.hosts[0];
    make_sealed(first);
    servers(
        &cluster,
        "web",
        3,
        &["--network", "sealed", "--replicas-max-per-node", "1"],
    );
    all_reach_all(&cluster, "web", "sealed", LIMIT);
    let tunnel = |host: &Host| format!("ow{}", &host.short_id().expect("an id")[..6]);

    // Somebody's hand in the kernel, then a daemon that starts again.
    let host = &cluster.hosts[2];
    let pids = cluster.pids(2);
    for fault in [
        format!("ip link del {}", tunnel(host)),
        format!("ip link set {} down", tunnel(host)),
        format!(
            "nft delete table inet shoal-{}-sealed",
            host.short_id().expect("an id")
        ),
    ] {
        let words: Vec<&str> = fault.split(' ').collect();
        let done = host.command(words[0]).args(&words[1..]).status();
        assert!(done.is_ok_and(|s| s.success()), "{fault}");
        let began = Instant::now();
        eventually(&format!("repaired: {fault}"), LIMIT, || {
            doctor_is_content(host).then_some(())
        });
        all_reach_all(&cluster, "web", "sealed", SOON);
        println!("{fault}: {:?}", began.elapsed());
    }
    cluster.hosts[2].kill();
    cluster.hosts[2].start();
    cluster.await_ready(3);
    let began = Instant::now();
    all_reach_all(&cluster, "web", "sealed", SOON);
    println!("a daemon that started again: {:?}", began.elapsed());
    assert_eq!(cluster.pids(2), pids, "no container was restarted");

    cluster.hosts[0].docker_ok(&["service", "rm", "web"]);
    eventually("the network goes", LIMIT, || {
        cluster.hosts[0]
            .docker(&["network", "rm", "sealed"])
            .status
            .success()
            .then_some(())
    });
    for (n, host) in cluster.hosts.iter().enumerate() {
        eventually(&format!("nothing of it is left on host {n}"), LIMIT, || {
            let left = kernel(host);
            let of_it = |l: &str| l.starts_with("ow") || l.contains("-sealed");
            (!left.lines().any(of_it)).then_some(())
        });
    }
}
