//! Many services on many networks, changed all the time while one node is killed and another cut off; in the end every name,
//! every address and every port leads to exactly what runs, from every node, and nothing is left of what went.
//!
//! `SHOAL_CHURN=SECONDS` (with `SHOAL_CHURN_SERVICES=COUNT`, ten to a network) makes it long; its seed comes from the clock
//! then.

use crate::mesh::kernel;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use shoal_tests_cluster::{Cluster, IMAGE};
use shoal_tests_harness::{Host, eventually, request};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const REPLICAS: usize = 3;
const PER_NETWORK: usize = 10;
const FIRST_PORT: usize = 20_000;

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What there should be.
struct Plan {
    services: usize,
    networks: usize,
    replicas: BTreeMap<usize, usize>,
    forced: u64,
}

fn service_name(n: usize) -> String {
    format!("s{n}")
}

fn network_name(n: usize) -> String {
    format!("net{n}")
}

/// Every other one has a published port.
fn port(n: usize) -> Option<usize> {
    n.is_multiple_of(2).then_some(FIRST_PORT + n)
}

impl Plan {
    fn spec(&self, n: usize) -> Value {
        let ports: Vec<Value> = port(n)
            .map(|port| json!({"Protocol": "tcp", "TargetPort": 80, "PublishedPort": port}))
            .into_iter()
            .collect();
        json!({
            "Name": service_name(n),
            "Mode": {"Replicated": {"Replicas": self.replicas.get(&n).copied().unwrap_or(REPLICAS)}},
            "TaskTemplate": {
                // The name of the one who answers is the page.
                "ContainerSpec": {"Image": IMAGE, "Command": ["httpd", "-f", "-p", "80", "-h", "/etc"], "StopSignal": "SIGKILL"},
                "RestartPolicy": {"Delay": 200_000_000},
                "Networks": [{"Target": network_name(n / PER_NETWORK)}],
                "ForceUpdate": self.forced,
            },
            "EndpointSpec": {"Ports": ports},
            "UpdateConfig": {"Parallelism": 1, "Monitor": 100_000_000},
        })
    }

    /// On every node, on every network: who asks.
    fn probe(&self) -> Value {
        let networks: Vec<Value> = (0..self.networks)
            .map(|n| json!({"Target": network_name(n)}))
            .collect();
        json!({
            "Name": "probe",
            "Mode": {"Global": {}},
            "TaskTemplate": {
                "ContainerSpec": {"Image": IMAGE, "Command": ["sleep", "100000"], "StopSignal": "SIGKILL"},
                "RestartPolicy": {"Delay": 200_000_000},
                "Networks": networks,
            },
        })
    }

    /// One change by chance. A manager that is cut off refuses; then nothing has changed.
    fn change(&mut self, host: &Host, rng: &mut ChaCha8Rng) -> &'static str {
        let n = rng.random_range(0..self.services);
        match rng.random_range(0..10) {
            0..4 => {
                let before = self.replicas.insert(n, rng.random_range(1..=4));
                if !self.update(host, n) {
                    before.map(|count| self.replicas.insert(n, count));
                    return "refused";
                }
                "scaled"
            }
            4..7 => {
                self.forced += 1;
                match self.update(host, n) {
                    true => "updated",
                    false => "refused",
                }
            }
            _ => {
                if !ok(host, "DELETE", &format!("/services/{}", service_name(n)), None) {
                    return "refused";
                }
                let spec = self.spec(n);
                eventually("a service is there again", Duration::from_secs(60), || {
                    ok(host, "POST", "/services/create", Some(&spec)).then_some(())
                });
                "removed and made again"
            }
        }
    }

    fn update(&self, host: &Host, n: usize) -> bool {
        let path = format!("/services/{}", service_name(n));
        let Some(shown) = got(host, &path) else {
            return false;
        };
        let version = shown["Version"]["Index"].as_u64().unwrap_or_default();
        ok(
            host,
            "POST",
            &format!("{path}/update?version={version}"),
            Some(&self.spec(n)),
        )
    }
}

fn ok(host: &Host, method: &str, path: &str, body: Option<&Value>) -> bool {
    request(&host.socket(), method, path, body).is_ok_and(|a| a.status < 300)
}

fn got(host: &Host, path: &str) -> Option<Value> {
    let answer = request(&host.socket(), "GET", path, None).ok()?;
    (answer.status == 200).then(|| answer.json())
}

/// Running tasks' addresses on their own network, by service.
fn running(host: &Host) -> Option<BTreeMap<String, BTreeSet<String>>> {
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

fn await_all(host: &Host, plan: &Plan, limit: Duration) -> BTreeMap<String, BTreeSet<String>> {
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
fn in_probe(host: &Host, program: &str) -> String {
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
fn names(host: &Host, plan: &Plan) -> BTreeMap<String, BTreeSet<String>> {
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
fn silent_addresses(host: &Host, plan: &Plan) -> Vec<String> {
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

fn silent_ports(client: &Host, host: &Host, plan: &Plan) -> Vec<usize> {
    let ports = (0..plan.services).filter_map(port);
    let answers = |port: &usize| {
        let url = format!("http://{}:{port}/hostname", host.address);
        let out = client.command("curl").args(["-sf", "-m", "3", &url]).output();
        out.is_ok_and(|o| o.status.success() && !o.stdout.is_empty())
    };
    ports.filter(|port| !answers(port)).collect()
}

fn doctor(host: &Host) -> Vec<String> {
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

fn bridges(host: &Host) -> usize {
    kernel(host).lines().filter(|l| l.starts_with("ob")).count()
}

/// Lines that tell of an entry of somebody else's in the kernel's tables of the cluster's networks.
fn entries(host: &Host) -> Vec<String> {
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

fn await_clean(host: &Host, what: &str, limit: Duration, mut left: impl FnMut() -> Vec<String>) {
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

#[test]
fn after_much_change_everything_leads_where_it_should() {
    let (seconds, seed) = match asked("SHOAL_CHURN") {
        Some(seconds) => (
            seconds,
            std::time::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_secs()),
        ),
        None => (15, 7),
    };
    let services = usize::try_from(asked("SHOAL_CHURN_SERVICES").unwrap_or(10)).expect("a count");
    let mut plan = Plan {
        services,
        networks: services.div_ceil(PER_NETWORK),
        replicas: BTreeMap::new(),
        forced: 0,
    };
    // What a debug build on two cores needs for each container, many times over.
    let limit = Duration::from_secs(60 + services as u64 * 3);
    println!(
        "{services} services on {} networks for {seconds} s from seed {seed}",
        plan.networks
    );
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut c = Cluster::form(3, 1);
    let client = c.world.host();
    let began = Instant::now();
    for n in 0..plan.networks {
        let body = json!({"Name": network_name(n), "Driver": "overlay"});
        assert!(
            ok(&c.hosts[0], "POST", "/networks/create", Some(&body)),
            "network {n}"
        );
    }
    for spec in (0..services).map(|n| plan.spec(n)).chain([plan.probe()]) {
        let answer = c.hosts[0].api("POST", "/services/create", Some(&spec));
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    println!("made after {:?}", began.elapsed());
    await_all(&c.hosts[0], &plan, limit);
    println!("all run after {:?}", began.elapsed());

    let (began, whole) = (Instant::now(), Duration::from_secs(seconds));
    let mut done: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut killed, mut cut) = (false, false);
    while began.elapsed() < whole {
        let part = began.elapsed().as_secs_f64() / whole.as_secs_f64();
        match (0.2..0.6).contains(&part) {
            now if now == killed => {}
            true => c.hosts[3].crash(),
            false => c.hosts[3].start(),
        }
        killed = (0.2..0.6).contains(&part);
        match (0.4..0.8).contains(&part) {
            now if now == cut => {}
            now => c.world.cable(&c.hosts[2], !now),
        }
        cut = (0.4..0.8).contains(&part);
        let asked = rng.random_range(0..2);
        *done.entry(plan.change(&c.hosts[asked], &mut rng)).or_default() += 1;
        std::thread::sleep(Duration::from_millis(rng.random_range(50..400)));
    }
    if killed {
        c.hosts[3].start();
    }
    c.world.cable(&c.hosts[2], true);
    println!("{done:?}");
    assert!(done.values().sum::<usize>() > 5 && done.len() >= 3, "{done:?}");

    let began = Instant::now();
    c.await_ready(4);
    let mut tasks = await_all(&c.hosts[0], &plan, limit);
    tasks.remove("probe");
    println!("all run {:?} after the last change", began.elapsed());
    for host in &c.hosts {
        await_clean(host, "names lead to what runs", limit, || {
            let there = names(host, &plan);
            let differs = tasks
                .iter()
                .filter(|(name, wanted)| there.get(*name) != Some(*wanted));
            differs
                .map(|(name, wanted)| format!("{name}: {:?}, not {wanted:?}", there.get(name)))
                .collect()
        });
        await_clean(host, "every service's address answers", limit, || {
            silent_addresses(host, &plan)
        });
        await_clean(host, "every port answers", limit, || {
            silent_ports(&client, host, &plan)
                .iter()
                .map(ToString::to_string)
                .collect()
        });
        // The probe is on every network.
        assert_eq!(
            bridges(host),
            plan.networks + 1,
            "bridges on host {}",
            host.number
        );
    }
    await_clean(&c.hosts[0], "the doctor is content", limit, || {
        doctor(&c.hosts[0])
    });
    println!(
        "names, addresses, ports and kernels are right after {:?}",
        began.elapsed()
    );

    let began = Instant::now();
    for n in 0..services {
        assert!(
            ok(
                &c.hosts[0],
                "DELETE",
                &format!("/services/{}", service_name(n)),
                None
            ),
            "service {n}"
        );
    }
    assert!(ok(&c.hosts[0], "DELETE", "/services/probe", None), "the probe");
    for n in 0..plan.networks {
        eventually("a network goes", limit, || {
            ok(
                &c.hosts[0],
                "DELETE",
                &format!("/networks/{}", network_name(n)),
                None,
            )
            .then_some(())
        });
    }
    for host in &c.hosts {
        await_clean(host, "nothing of removed networks is left", limit, || {
            let of_mesh = |line: &&String| {
                (FIRST_PORT..FIRST_PORT + services).any(|p| line.contains(&format!(" . {p} ")))
            };
            let mut left: Vec<String> = entries(host).iter().filter(of_mesh).cloned().collect();
            let ingress = format!("ov{}1000", &host.short_id().expect("an id")[..6]);
            // Of other nodes, the ingress network's interface knows their own places and no task's.
            let known = entries(host)
                .into_iter()
                .filter(|l| l.contains(&ingress) && l.contains(" dst 10.84."));
            let known: Vec<String> = known.collect();
            left.extend(known.iter().skip(3).cloned());
            if bridges(host) != 1 {
                left.push(format!("{} bridges", bridges(host)));
            }
            left
        });
    }
    println!("all gone after {:?}", began.elapsed());
}
