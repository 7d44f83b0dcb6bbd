//! What is there, as nodes, their containers and a client outside see it.

use super::plan::{Plan, REPLICAS, got, port, service_name};
use crate::mesh::kernel;
use serde_json::{Value, json};
use shoal_tests_harness::Host;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Running tasks' addresses on their own network, by service.
pub fn running(host: &Host) -> Option<BTreeMap<String, BTreeSet<String>>> {
    let names: BTreeMap<String, String> = got(host, "/services")?
        .as_array()?
        .iter()
        .filter_map(|s| {
            Some((
                s["ID"].as_str()?.to_owned(),
                s["Spec"]["Name"].as_str()?.to_owned(),
            ))
        })
        .collect();
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let tasks = got(
        host,
        "/tasks?filters=%7B%22desired-state%22%3A%5B%22running%22%5D%7D",
    )?;
    for task in tasks.as_array()? {
        let name = names.get(task["ServiceID"].as_str()?)?;
        let places = task["NetworksAttachments"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let own = places.iter().find(|a| a["Network"]["Spec"]["Name"] != "ingress");
        let address = own
            .and_then(|a| a["Addresses"][0].as_str()?.split('/').next())
            .unwrap_or_default();
        // One that is on its way is not what there should be yet.
        let shown = match task["Status"]["State"] == "running" {
            true => address.to_owned(),
            false => format!("{} {}", task["Status"]["State"], task["ID"]),
        };
        found.entry(name.clone()).or_default().insert(shown);
    }
    Some(found)
}

pub fn await_all(host: &Host, plan: &Plan, limit: Duration) -> BTreeMap<String, BTreeSet<String>> {
    let mut last = String::new();
    let began = Instant::now();
    loop {
        let found = running(host).unwrap_or_default();
        let wrong: Vec<String> = (0..plan.services)
            .filter_map(|n| {
                let wanted = plan.replicas.get(&n).copied().unwrap_or(REPLICAS);
                let there = found.get(&service_name(n)).cloned().unwrap_or_default();
                let right = there.len() == wanted && !there.iter().any(|a| a.contains(' '));
                (!right).then(|| format!("s{n} {there:?} of {wanted}"))
            })
            .collect();
        let probes = found
            .get("probe")
            .map_or(0, |p| p.iter().filter(|a| !a.contains(' ')).count());
        if wrong.is_empty() && probes == 4 {
            return found;
        }
        let line = format!(
            "{} services are not as they should be yet, {probes} probes",
            wrong.len()
        );
        if line != last {
            println!("{:?}: {line}", began.elapsed());
            last = line;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {wrong:#?}");
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// What a program in the host's probe prints.
pub fn in_probe(host: &Host, program: &str) -> String {
    let ids = host.docker_ok(&[
        "ps",
        "-q",
        "--filter",
        "label=com.docker.swarm.service.name=probe",
    ]);
    let id = ids.lines().next().expect("a probe");
    let out = host.docker(&["exec", id, "sh", "-c", program]);
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// The addresses that each name has there.
pub fn names(host: &Host, plan: &Plan) -> BTreeMap<String, BTreeSet<String>> {
    let program = format!(
        "n=0; while [ $n -lt {} ]; do nslookup -type=a tasks.s$n 127.0.0.11 | \
         sed -n '/^Name/,$p' | sed -n \"s/^Address: */s$n /p\"; n=$((n+1)); done",
        plan.services
    );
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in in_probe(host, &program).lines() {
        if let Some((name, address)) = line.split_once(' ') {
            found
                .entry(name.to_owned())
                .or_default()
                .insert(address.to_owned());
        }
    }
    found
}

/// Services whose address does not answer there.
pub fn silent_addresses(host: &Host, plan: &Plan) -> Vec<String> {
    let program = format!(
        "n=0; while [ $n -lt {} ]; do v=$(nslookup -type=a s$n 127.0.0.11 | sed -n '/^Name/,$p' | sed -n 's/^Address: *//p'); \
         printf 'GET /hostname HTTP/1.0\\r\\n\\r\\n' | nc -w 3 $v 80 | grep -q '200 OK' || echo s$n by $v; n=$((n+1)); done; echo end",
        plan.services
    );
    let said = in_probe(host, &program);
    assert!(
        said.trim_end().ends_with("end"),
        "the probe of host {} ended: {said}",
        host.number
    );
    said.lines()
        .filter(|line| *line != "end")
        .map(str::to_owned)
        .collect()
}

pub fn silent_ports(client: &Host, host: &Host, plan: &Plan) -> Vec<usize> {
    let ports = (0..plan.services).filter_map(port);
    let answers = |port: &usize| {
        let url = format!("http://{}:{port}/hostname", host.address);
        let out = client.command("curl").args(["-sf", "-m", "3", &url]).output();
        out.is_ok_and(|o| o.status.success() && !o.stdout.is_empty())
    };
    ports.filter(|port| !answers(port)).collect()
}

pub fn doctor(host: &Host) -> Vec<String> {
    let found = got(host, "/shoal/networks/doctor?all=true").unwrap_or_default();
    let nodes = found["Nodes"].as_array().cloned().unwrap_or_default();
    let well =
        |n: &Value| n["Differences"] == json!([]) && n["Error"].as_str().unwrap_or_default().is_empty();
    let mut wrong: Vec<String> = nodes.iter().filter(|n| !well(n)).map(Value::to_string).collect();
    if nodes.len() != 4 {
        wrong.push(format!("{} nodes answered", nodes.len()));
    }
    wrong
}

pub fn bridges(host: &Host) -> usize {
    kernel(host).lines().filter(|l| l.starts_with("ob")).count()
}

/// Lines that tell of an entry of somebody else's in the kernel's tables of the cluster's networks.
pub fn entries(host: &Host) -> Vec<String> {
    let mut lines = Vec::new();
    for command in [
        "bridge fdb show",
        "ip neigh show nud permanent",
        "nft list ruleset",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        let out = host.command(words[0]).args(&words[1..]).output().expect(command);
        lines.extend(String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned));
    }
    lines
}

pub fn await_clean(host: &Host, what: &str, limit: Duration, mut left: impl FnMut() -> Vec<String>) {
    let began = Instant::now();
    loop {
        let wrong = left();
        if wrong.is_empty() {
            return;
        }
        assert!(
            began.elapsed() < limit,
            "{what} (host {}): {wrong:#?}",
            host.number
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}
