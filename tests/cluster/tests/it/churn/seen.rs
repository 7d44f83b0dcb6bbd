//! What is there, as managers, nodes' containers and a client outside see it.

use super::plan::{Plan, REPLICAS, got, port, service_name};
use super::progress::{Progress, say};
use super::visit::{Resolver, inside, page};
use crate::mesh::kernel;
use serde_json::{Value, json};
use shoal_tests_harness::Host;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The tasks of one service that should run.
#[derive(Default, Clone)]
pub struct Live {
    /// On the service's own network.
    pub addresses: BTreeSet<String>,
    /// What their pages say.
    pub hostnames: BTreeSet<String>,
    /// Of those that do not run yet: what managers say of them.
    pub coming: Vec<String>,
}

pub fn running(host: &Host) -> Option<BTreeMap<String, Live>> {
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
    let mut found: BTreeMap<String, Live> = BTreeMap::new();
    let tasks = got(
        host,
        "/tasks?filters=%7B%22desired-state%22%3A%5B%22running%22%5D%7D",
    )?;
    for task in tasks.as_array()? {
        let live = found
            .entry(names.get(task["ServiceID"].as_str()?)?.clone())
            .or_default();
        let status = &task["Status"];
        if status["State"] != "running" {
            let said = [&status["State"], &status["Message"], &status["Err"]];
            live.coming
                .push(said.map(|v| v.as_str().unwrap_or_default()).join(" / "));
            continue;
        }
        let places = task["NetworksAttachments"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let own = places.iter().find(|a| a["Network"]["Spec"]["Name"] != "ingress");
        let address = own.and_then(|a| a["Addresses"][0].as_str()?.split('/').next());
        live.addresses.insert(address.unwrap_or_default().to_owned());
        let id = status["ContainerStatus"]["ContainerID"].as_str();
        live.hostnames
            .insert(id.and_then(|id| id.get(..12)).unwrap_or_default().to_owned());
    }
    Some(found)
}

/// Services that are not as planned, with what is there of them.
pub fn unsettled(found: &BTreeMap<String, Live>, plan: &Plan) -> Vec<String> {
    let mut wrong = Vec::new();
    for n in 0..plan.services {
        let wanted = plan.replicas.get(&n).copied().unwrap_or(REPLICAS);
        let there = found.get(&service_name(n)).cloned().unwrap_or_default();
        if there.addresses.len() != wanted || !there.coming.is_empty() {
            let (runs, coming) = (there.addresses.len(), &there.coming);
            wrong.push(format!("s{n} {runs} of {wanted}, {coming:?}"));
        }
    }
    wrong
}

pub fn await_all(
    progress: &mut Progress,
    host: &Host,
    plan: &Plan,
    limit: Duration,
) -> BTreeMap<String, Live> {
    let began = Instant::now();
    loop {
        let found = running(host).unwrap_or_default();
        let wrong = unsettled(&found, plan);
        let probes = found.get("probe").map_or(0, |p| p.addresses.len());
        if wrong.is_empty() && probes == 4 {
            return found;
        }
        progress.now_and_then(|| {
            let first = wrong.first().map_or("", String::as_str);
            format!(
                "{} services are not as they should be yet ({first}), {probes} probes run",
                wrong.len()
            )
        });
        assert!(
            began.elapsed() < limit,
            "not within {limit:?}: {probes} probes, {wrong:#?}"
        );
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// The network namespace of the host's probe, which is on every network.
pub fn probe(host: &Host) -> PathBuf {
    let filter =
        "/containers/json?filters=%7B%22label%22%3A%5B%22com.docker.swarm.service.name%3Dprobe%22%5D%7D";
    let listed = got(host, filter).expect("containers");
    let id = listed[0]["Id"].as_str().expect("a probe");
    let shown = got(host, &format!("/containers/{id}/json")).expect("the probe");
    Path::new("/proc")
        .join(shown["State"]["Pid"].to_string())
        .join("ns/net")
}

/// Names that do not lead to exactly the live tasks, from the host's probe.
pub fn wrong_names(host: &Host, live: &BTreeMap<String, Live>) -> Vec<String> {
    let ask = || {
        let mut resolver = Resolver::new().expect("a socket for names");
        let wrong = |(name, live): (&String, &Live)| match resolver.addresses(&format!("tasks.{name}")) {
            Ok(there) if there == live.addresses => None,
            other => Some(format!("{name}: {other:?}, not {:?}", live.addresses)),
        };
        live.iter().filter_map(wrong).collect()
    };
    inside(&probe(host), ask)
}

/// Services whose own address, as the host's probe resolves it, does not lead to one of their tasks.
pub fn silent_addresses(host: &Host, live: &BTreeMap<String, Live>) -> Vec<String> {
    let ask = || {
        let mut resolver = Resolver::new().expect("a socket for names");
        let wrong = |(name, live): (&String, &Live)| {
            let found = resolver.addresses(name);
            let address: Option<IpAddr> = match &found {
                Ok(found) if found.len() == 1 => found.first()?.parse().ok(),
                _ => None,
            };
            let Some(address) = address else {
                return Some(format!("{name}: {found:?} is not one address"));
            };
            let of_tasks = || -> Vec<String> {
                let tasks = live.addresses.iter().filter_map(|a| a.parse::<IpAddr>().ok());
                let page = |task: IpAddr| format!("{task}: {:?}", page(SocketAddr::new(task, 80)));
                tasks.map(page).collect()
            };
            // Whether the way to the task is cut, or the address leads astray.
            astray(name, SocketAddr::new(address, 80), live).map(|why| format!("{why}; {:?}", of_tasks()))
        };
        live.iter().filter_map(wrong).collect()
    };
    inside(&probe(host), ask)
}

/// Services whose port on this host does not lead the client to one of their tasks.
pub fn silent_ports(client: &Host, host: &Host, live: &BTreeMap<String, Live>, plan: &Plan) -> Vec<String> {
    let address: IpAddr = host.address.parse().expect("an address");
    let ports = (0..plan.services).filter_map(|n| Some((service_name(n), port(n)?)));
    let ask = || {
        let wrong = |(name, port): (String, usize)| {
            let port = u16::try_from(port).expect("a port");
            astray(&name, SocketAddr::new(address, port), live.get(&name)?)
        };
        ports.filter_map(wrong).collect()
    };
    inside(&Path::new("/run/netns").join(&client.netns), ask)
}

fn astray(name: &str, address: SocketAddr, live: &Live) -> Option<String> {
    match page(address) {
        Ok(hostname) if live.hostnames.contains(&hostname) => None,
        other => Some(format!("{name} at {address}: {other:?}")),
    }
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

/// Looks until nothing is wrong, and says how long that took and how often it looked at `each` things.
pub fn await_clean(
    host: &Host,
    what: &str,
    each: usize,
    limit: Duration,
    mut left: impl FnMut() -> Vec<String>,
) {
    let began = Instant::now();
    for turn in 1.. {
        let look = Instant::now();
        let wrong = left();
        if wrong.is_empty() {
            let rate = each as f64 / look.elapsed().as_secs_f64();
            say(&format!(
                "host {}: {what} after {:.1?}, {turn} looks, {each} things at {rate:.0}/s",
                host.number,
                began.elapsed()
            ));
            return;
        }
        if look.elapsed() > Duration::from_secs(5) || turn % 20 == 0 {
            let count = wrong.len();
            say(&format!(
                "host {}: not yet: {what}: {count}, as {:#?}",
                host.number,
                &wrong[..count.min(4)]
            ));
        }
        assert!(
            began.elapsed() < limit,
            "{what} (host {}): {wrong:#?}",
            host.number
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}
