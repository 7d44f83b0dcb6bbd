//! What the cases of cluster networks share: servers that say who asked and who answers, and questions to them.

use shoal_tests_cluster::{Cluster, IMAGE};
use shoal_tests_harness::{Host, eventually};
use std::collections::BTreeSet;
use std::time::Duration;

/// Says who asks and who answers.
pub const SERVER: &str = "mkdir -p /www/cgi-bin; \
    printf '#!/bin/sh\\necho Content-type: text/plain; echo; echo $REMOTE_ADDR $(hostname)\\n' >/www/cgi-bin/who; \
    chmod +x /www/cgi-bin/who; exec httpd -f -p 80 -h /www";
pub const LIMIT: Duration = Duration::from_secs(20);

pub fn servers(cluster: &Cluster, name: &str, replicas: usize, options: &[&str]) {
    servers_by(cluster, name, replicas, options, SERVER);
}

/// Servers that listen some time after their first process has begun, as most do.
pub fn late_servers(cluster: &Cluster, name: &str, replicas: usize, options: &[&str]) {
    servers_by(cluster, name, replicas, options, &format!("sleep 1; {SERVER}"));
}

fn servers_by(cluster: &Cluster, name: &str, replicas: usize, options: &[&str], script: &str) {
    let count = replicas.to_string();
    let mut args = vec![
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--name",
        name,
        "--replicas",
        &count,
        "--restart-delay",
        "200ms",
    ];
    args.extend(options);
    args.extend([IMAGE, "sh", "-c", script]);
    cluster.hosts[0].docker_ok(&args);
    cluster.await_running(0, name, replicas, LIMIT);
}

/// What a command in the service's container on that host prints.
pub fn exec(host: &Host, service: &str, command: &str) -> Option<String> {
    let filter = format!("label=com.docker.swarm.service.name={service}");
    let ids = host.docker_ok(&["ps", "-q", "--filter", &filter]);
    let id = ids.lines().next()?.to_owned();
    let out = host.docker(&["exec", &id, "sh", "-c", command]);
    out.status
        .success()
        .then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

/// A request by hand: the static busybox of the image cannot look up names for `wget`.
pub fn get(address: &str, path: &str) -> String {
    format!("printf 'GET /{path} HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {address} 80")
}

/// The addresses of a name, as the container's resolver gives them.
pub fn resolve(host: &Host, service: &str, name: &str) -> BTreeSet<String> {
    let command =
        format!("nslookup -type=a {name} 127.0.0.11 | sed -n '/^Name/,$p' | sed -n 's/^Address: *//p'");
    exec(host, service, &command)
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The addresses of a service's running tasks on a network, as the managers have them.
pub fn places(host: &Host, service: &str, network: &str) -> BTreeSet<String> {
    let tasks = host.api("GET", &format!("/tasks?filters=%7B%22service%22%3A%5B%22{service}%22%5D%2C%22desired-state%22%3A%5B%22running%22%5D%7D"), None).json();
    let running = tasks
        .as_array()
        .into_iter()
        .flatten()
        .filter(|t| t["Status"]["State"] == "running");
    running
        .flat_map(|t| t["NetworksAttachments"].as_array().cloned().unwrap_or_default())
        .filter(|a| a["Network"]["Spec"]["Name"] == network)
        .filter_map(|a| Some(a["Addresses"][0].as_str()?.split('/').next()?.to_owned()))
        .collect()
}

pub fn vip(host: &Host, service: &str) -> String {
    let shown = host.api("GET", &format!("/services/{service}"), None).json();
    let vips = shown["Endpoint"]["VirtualIPs"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let text = vips[0]["Addr"].as_str().unwrap_or_default().to_owned();
    text.split('/').next().unwrap_or_default().to_owned()
}

/// What a published port answers to a host outside of the cluster.
pub fn ask(client: &Host, address: &str, port: u16) -> Option<String> {
    let url = format!("http://{address}:{port}/cgi-bin/who");
    let out = client
        .command("curl")
        .args(["-s", "-m", "3", &url])
        .output()
        .ok()?;
    // The server listens on both families and writes an IPv4 address in its IPv6 form.
    let text = String::from_utf8_lossy(&out.stdout)
        .replace("[::ffff:", "")
        .replace(']', "");
    let text = text.trim().to_owned();
    (out.status.success() && !text.is_empty()).then_some(text)
}

pub fn kernel(host: &Host) -> String {
    let mut all = String::new();
    for args in [
        &["-br", "link"][..],
        &["-4", "route", "show", "table", "all"],
        &["rule"],
    ] {
        let out = host.command("ip").args(args).output().expect("ip");
        all.push_str(&String::from_utf8_lossy(&out.stdout));
    }
    let out = host
        .command("nft")
        .args(["list", "tables"])
        .output()
        .expect("nft");
    all + &String::from_utf8_lossy(&out.stdout)
}

/// Every name leads to exactly the live tasks from every node that has a probe, and every kernel is as decided.
pub fn await_whole(cluster: &Cluster, hosts: &[usize], client: &Host) {
    for n in hosts {
        let host = &cluster.hosts[*n];
        eventually(&format!("host {n} knows exactly the live tasks"), LIMIT, || {
            let tasks = places(&cluster.hosts[0], "web", "mesh");
            (tasks.len() == 3 && resolve(host, "probe", "tasks.web") == tasks).then_some(())
        });
        eventually(&format!("the kernel of host {n} is as decided"), LIMIT, || {
            let found = host.api("GET", "/shoal/networks/doctor", None).json();
            (found["Differences"] == serde_json::json!([])).then_some(())
        });
        eventually(
            &format!("the port answers on host {n}, nine times in a row"),
            LIMIT,
            || {
                (0..9)
                    .all(|_| ask(client, &host.address, 8080).is_some())
                    .then_some(())
            },
        );
        let address = vip(host, "web");
        for _ in 0..6 {
            let answer = exec(host, "probe", &get(&address, "index.html")).unwrap_or_default();
            assert!(
                answer.ends_with("hello"),
                "the service answers on host {n}: {answer:?}"
            );
        }
    }
}
