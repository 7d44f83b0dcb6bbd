//! Many services on many networks, changed all the time while one node is killed and another cut off; in the end every name,
//! every address and every port leads to exactly what runs, from every node, and nothing is left of what went.
//!
//! `SHOAL_CHURN=SECONDS` (with `SHOAL_CHURN_SERVICES=COUNT`, ten to a network) makes it long; its seed comes from the clock
//! then.

mod plan;
mod seen;

use plan::{FIRST_PORT, PER_NETWORK, Plan, network_name, ok, service_name};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seen::{await_all, await_clean, bridges, doctor, entries, names, silent_addresses, silent_ports};
use serde_json::json;
use shoal_tests_cluster::Cluster;
use shoal_tests_harness::eventually;
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
