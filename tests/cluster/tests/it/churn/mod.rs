//! Many services on many networks, changed all the time while one node is killed and another cut off; in the end every name,
//! every address and every port leads to exactly what runs, from every node, and nothing is left of what went.
//!
//! `SHOAL_CHURN=SECONDS` (with `SHOAL_CHURN_SERVICES=COUNT`, ten to a network) makes it long; its seed comes from the clock
//! then. It says where it is every few seconds.

mod plan;
mod progress;
mod seen;
mod visit;

use plan::{FIRST_PORT, Plan, network_name, ok, port, service_name};
use progress::{Progress, daemons, say};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seen::{
    Live, await_all, await_clean, bridges, doctor, entries, running, silent_addresses, silent_ports,
    unsettled, wrong_names,
};
use serde_json::json;
use shoal_tests_cluster::Cluster;
use shoal_tests_harness::{Host, eventually};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
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
    let mut plan = Plan::new(services);
    // What a debug build on two cores needs for each container, many times over.
    let limit = Duration::from_secs(60 + services as u64);
    say(&format!(
        "{services} services on {} networks for {seconds} s from seed {seed}",
        plan.networks
    ));
    room_for_neighbours();
    let mut c = Cluster::form(3, 1);
    let client = c.world.host();
    make(&c.hosts[0], &plan);
    await_all(&mut Progress::new(), &c.hosts[0], &plan, limit);
    say(&format!("all run; daemons: {}", daemons(&c.hosts)));

    churn(
        &mut c,
        &mut plan,
        Duration::from_secs(seconds),
        ChaCha8Rng::seed_from_u64(seed),
    );

    let began = Instant::now();
    eventually("4 nodes are ready", limit, || {
        let nodes = plan::got(&c.hosts[0], "/nodes")?;
        let ready = nodes
            .as_array()?
            .iter()
            .filter(|n| n["Status"]["State"] == "ready");
        (ready.count() == 4).then_some(())
    });
    say(&format!(
        "every node is ready {:.1?} after the last change",
        began.elapsed()
    ));
    plan.make_sure(&c.hosts[0], limit);
    let live = await_all(&mut Progress::new(), &c.hosts[0], &plan, limit);
    say(&format!("all run {:.1?} after the last change", began.elapsed()));
    all_leads(&c, &client, &plan, live, limit);
    say(&format!(
        "names, addresses, ports and kernels are right {:.1?} after the last change",
        began.elapsed()
    ));

    remove(&c, &plan, limit);
}

/// All hosts share this kernel's bound on neighbours, 1,024 by default, and a daemon in a network namespace of its own does not
/// see it: what each would do on a machine of its own is done here.
fn room_for_neighbours() {
    for (switch, wanted) in [
        ("gc_thresh3", 65_536),
        ("gc_thresh2", 49_152),
        ("gc_thresh1", 8_192),
    ] {
        let file = format!("/proc/sys/net/ipv4/neigh/default/{switch}");
        let now = std::fs::read_to_string(&file).expect("the kernel's bound");
        if now.trim().parse::<u64>().expect("a number") < wanted {
            std::fs::write(&file, wanted.to_string()).expect("the kernel's bound is raised");
        }
    }
}

fn make(host: &Host, plan: &Plan) {
    let began = Instant::now();
    for n in 0..plan.networks {
        let body = json!({"Name": network_name(n), "Driver": "overlay"});
        assert!(ok(host, "POST", "/networks/create", Some(&body)), "network {n}");
    }
    say(&format!(
        "{} networks made in {:.1?}",
        plan.networks,
        began.elapsed()
    ));
    let (began, mut progress) = (Instant::now(), Progress::new());
    for (made, spec) in (0..plan.services)
        .map(|n| plan.spec(n))
        .chain([plan.probe()])
        .enumerate()
    {
        let answer = host.api("POST", "/services/create", Some(&spec));
        assert_eq!(answer.status, 201, "{}", answer.text());
        progress.now_and_then(|| format!("{made} services made"));
    }
    say(&format!(
        "{} services made in {:.1?}",
        plan.services + 1,
        began.elapsed()
    ));
}

/// Changes all the time; from 0.2 to 0.6 of it one node is dead, from 0.4 to 0.8 another cut off.
fn churn(c: &mut Cluster, plan: &mut Plan, whole: Duration, mut rng: ChaCha8Rng) {
    let began = Instant::now();
    let mut progress = Progress::each(Duration::from_secs(20));
    let mut done: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut killed, mut cut) = (false, false);
    let mut slowest = Duration::ZERO;
    while began.elapsed() < whole {
        let part = began.elapsed().as_secs_f64() / whole.as_secs_f64();
        set_killed(c, &mut killed, (0.2..0.6).contains(&part));
        set_cut(c, &mut cut, (0.4..0.8).contains(&part));
        let asked = rng.random_range(0..2);
        let change = Instant::now();
        *done.entry(plan.change(&c.hosts[asked], &mut rng)).or_default() += 1;
        slowest = slowest.max(change.elapsed());
        progress.now_and_then(|| {
            let unsettled = running(&c.hosts[0]).map_or(plan.services, |found| unsettled(&found, plan).len());
            let said = format!(
                "{done:?}, the slowest took {slowest:.1?}; {unsettled} services are changing; daemons: {}",
                daemons(&c.hosts)
            );
            slowest = Duration::ZERO;
            said
        });
        std::thread::sleep(Duration::from_millis(rng.random_range(50..400)));
    }
    set_killed(c, &mut killed, false);
    set_cut(c, &mut cut, false);
    let count = done.values().sum::<usize>();
    say(&format!(
        "{count} changes: {done:?}; daemons: {}",
        daemons(&c.hosts)
    ));
    assert!(count > 5 && done.len() >= 3, "{done:?}");
}

fn set_killed(c: &mut Cluster, is: &mut bool, should: bool) {
    match (*is, should) {
        (false, true) => {
            c.hosts[3].crash();
            say("a worker is dead");
        }
        (true, false) => {
            c.hosts[3].start();
            say("the worker is back");
        }
        _ => {}
    }
    *is = should;
}

fn set_cut(c: &mut Cluster, is: &mut bool, should: bool) {
    if *is != should {
        c.world.cable(&c.hosts[2], !should);
        say(match should {
            true => "a manager is cut off",
            false => "the manager's cable is in again",
        });
    }
    *is = should;
}

fn all_leads(c: &Cluster, client: &Host, plan: &Plan, mut live: BTreeMap<String, Live>, limit: Duration) {
    live.remove("probe");
    let ports = (0..plan.services).filter_map(port).count();
    for host in &c.hosts {
        await_clean(
            host,
            "names lead to exactly what runs",
            plan.services,
            limit,
            || wrong_names(host, &live),
        );
        await_clean(
            host,
            "every service's address answers",
            plan.services,
            limit,
            || silent_addresses(host, &live),
        );
        await_clean(host, "every port answers", ports, limit, || {
            silent_ports(client, host, &live, plan)
        });
        // The probe is on every network.
        assert_eq!(
            bridges(host),
            plan.networks + 1,
            "bridges on host {}",
            host.number
        );
    }
    await_clean(&c.hosts[0], "the doctor is content", c.hosts.len(), limit, || {
        doctor(&c.hosts[0])
    });
}

/// Removes it all; nothing of it is left in any kernel table.
fn remove(c: &Cluster, plan: &Plan, limit: Duration) {
    let began = Instant::now();
    let delete = |path: &str| ok(&c.hosts[0], "DELETE", path, None);
    for n in 0..plan.services {
        assert!(delete(&format!("/services/{}", service_name(n))), "service {n}");
    }
    assert!(delete("/services/probe"), "the probe");
    say(&format!("services removed in {:.1?}", began.elapsed()));
    let mut progress = Progress::new();
    for n in 0..plan.networks {
        eventually("a network goes", limit, || {
            progress.now_and_then(|| format!("network {n} is still in use"));
            delete(&format!("/networks/{}", network_name(n))).then_some(())
        });
    }
    say(&format!("networks removed after {:.1?}", began.elapsed()));
    for host in &c.hosts {
        await_clean(host, "nothing of removed networks is left", 1, limit, || {
            let of_mesh = |line: &&String| {
                (FIRST_PORT..FIRST_PORT + plan.services).any(|p| line.contains(&format!(" . {p} ")))
            };
            let there = entries(host);
            let mut left: Vec<String> = there.iter().filter(of_mesh).cloned().collect();
            let ingress = format!("ov{}1000", &host.short_id().expect("an id")[..6]);
            let hosts = host.address.rsplit_once('.').expect("an address").0;
            // Of other nodes, the ingress network's interface knows their own places and no task's.
            let known: Vec<String> = there
                .iter()
                .filter(|l| l.contains(&ingress) && l.contains(&format!(" dst {hosts}.")))
                .cloned()
                .collect();
            assert!(known.len() >= 3, "the other nodes are known: {there:#?}");
            left.extend(known.into_iter().skip(3));
            if bridges(host) != 1 {
                left.push(format!("{} bridges", bridges(host)));
            }
            left
        });
    }
    say(&format!("all gone after {:.1?}", began.elapsed()));
}
