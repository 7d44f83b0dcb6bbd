//! Rolling updates behind published ports, under a real load on every node: no request fails.

use crate::mesh::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shoal_tests_cluster::Cluster;
use shoal_tests_harness::{Host, eventually};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Connections of one generator, and what each waits between two requests: the machine has other work to do.
const CONNECTIONS: &str = "4";
const PACE: &str = "function delay() return 25 end\n";

/// `wrk` on the client's host, against one port of one node.
struct Load {
    url: String,
    wrk: Child,
}

impl Load {
    fn start(client: &Host, address: &str, port: u16) -> Load {
        let script = client.dir().join("pace.lua");
        std::fs::write(&script, PACE).expect("a script");
        let url = format!("http://{address}:{port}/");
        let wrk = client
            .command("wrk")
            .args([
                "-t",
                "1",
                "-c",
                CONNECTIONS,
                "-d",
                "120s",
                "--timeout",
                "5s",
                "-s",
            ])
            .arg(&script)
            .arg(&url)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("wrk");
        Load { url, wrk }
    }

    /// How many requests were answered; every failure is in the text.
    fn stop(self) -> (u64, Vec<String>) {
        let pid = Pid::from_raw(i32::try_from(self.wrk.id()).expect("a pid"));
        kill(pid, Signal::SIGINT).expect("wrk runs");
        let out = self.wrk.wait_with_output().expect("wrk");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let answered = text
            .lines()
            .find_map(|l| l.trim().split_once(" requests in ")?.0.parse().ok());
        let answered = answered.unwrap_or_else(|| panic!("{}: {text}", self.url));
        let failures = text
            .lines()
            .filter(|l| l.contains("Socket errors") || l.contains("Non-2xx"))
            .map(|l| format!("{}: {}", self.url, l.trim()));
        (answered, failures.collect())
    }
}

fn update(cluster: &Cluster, service: &str) -> Child {
    let args = [
        "service",
        "update",
        "--force",
        "--no-resolve-image",
        "--quiet",
        service,
    ];
    let mut command: Command = cluster.hosts[0].docker_command(&args);
    command.stdout(Stdio::null()).spawn().expect("docker")
}

#[test]
fn updates_under_load_fail_no_request() {
    let mut cluster = Cluster::form(1, 2);
    let client = cluster.world.host();
    // The image's first process hears no SIGTERM; what is under way has ended long before it is killed.
    let common = ["--stop-grace-period", "1s", "--update-monitor", "300ms"];
    let one = ["--publish", "8081:80", "--update-order", "start-first"];
    late_servers(&cluster, "one", 1, &[&common[..], &one].concat());
    let ten = [
        "--publish",
        "8082:80",
        "--update-order",
        "stop-first",
        "--update-parallelism",
        "4",
    ];
    late_servers(&cluster, "ten", 10, &[&common[..], &ten].concat());
    let ports = [8081, 8082];
    for host in &cluster.hosts {
        for port in ports {
            eventually("the port answers", LIMIT, || ask(&client, &host.address, port));
        }
    }
    let before = [cluster.pids(0), cluster.pids(1), cluster.pids(2)];
    let all = cluster
        .hosts
        .iter()
        .flat_map(|h| ports.map(|port| (&h.address, port)));
    let loads: Vec<Load> = all
        .map(|(address, port)| Load::start(&client, address, port))
        .collect();
    std::thread::sleep(Duration::from_secs(1));
    let began = Instant::now();
    let mut updates = [update(&cluster, "one"), update(&cluster, "ten")];
    for update in &mut updates {
        eventually("the update ends", Duration::from_secs(80), || {
            update
                .try_wait()
                .expect("docker")
                .map(|status| assert!(status.success()))
        });
    }
    let took = began.elapsed();
    std::thread::sleep(Duration::from_secs(1));
    let ended: Vec<(u64, Vec<String>)> = loads.into_iter().map(Load::stop).collect();
    for (n, before) in before.iter().enumerate() {
        for id in cluster.pids(n).keys() {
            assert!(!before.contains_key(id), "{id} on host {n} was not replaced");
        }
    }
    let answered: u64 = ended.iter().map(|(answered, _)| answered).sum();
    let failures: Vec<&String> = ended.iter().flat_map(|(_, failures)| failures).collect();
    println!("{answered} requests on three nodes during two updates of {took:?}");
    assert!(failures.is_empty(), "of {answered} requests: {failures:#?}");
    for (answered, _) in &ended {
        assert!(
            *answered > 50,
            "every port of every node was under load: {ended:?}"
        );
    }
}
