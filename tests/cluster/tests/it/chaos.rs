//! Faults by chance while the cluster works: after each one heals, everything is as it was asked for.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use shoal_tests_cluster::Cluster;
use shoal_tests_harness::{eventually, request};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One host at a time, so that a quorum is left and every write can succeed somewhere.
fn fault(c: &mut Cluster, rng: &mut ChaCha8Rng) -> String {
    let (at, pause) = (
        rng.random_range(0..c.hosts.len()),
        Duration::from_millis(rng.random_range(50..7000)),
    );
    let kind = rng.random_range(0..4);
    match kind {
        0 => {
            c.hosts[at].kill();
            std::thread::sleep(pause);
            c.hosts[at].start();
        }
        1 => {
            c.hosts[at].crash();
            std::thread::sleep(pause);
            c.hosts[at].start();
        }
        2 => {
            c.world.cable(&c.hosts[at], false);
            std::thread::sleep(pause);
            c.world.cable(&c.hosts[at], true);
        }
        _ => {
            c.hosts[at].freeze(true);
            std::thread::sleep(pause);
            c.hosts[at].freeze(false);
        }
    }
    let name = ["daemon killed", "host killed", "cable out", "frozen"][kind];
    format!("host {} {name} for {pause:?}", at + 1)
}

/// `SHOAL_CHAOS=COUNT` makes it long and takes its seed from the clock.
#[test]
fn random_faults_heal() {
    let (count, seed) = match std::env::var("SHOAL_CHAOS").ok().and_then(|n| n.parse().ok()) {
        Some(count) => (count, std::time::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_secs())),
        None => (4, 11),
    };
    println!("{count} faults from seed {seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut c = Cluster::form(3, 1);
    let mut replicas = 6;
    c.sleepers(0, "s", replicas, &[]);

    let (stop, acknowledged) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(Mutex::new(BTreeSet::new())),
    );
    let writers: Vec<_> = (0..4)
        .map(|w| {
            let (stop, acknowledged, socket) = (stop.clone(), acknowledged.clone(), c.hosts[w].socket());
            std::thread::spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let name = format!("w{w}n{n}");
                    let body = json!({
                        "Name": name, "Mode": {"Replicated": {"Replicas": 0}},
                        "TaskTemplate": {"ContainerSpec": {"Image": "x"}}
                    });
                    if request(&socket, "POST", "/v1.44/services/create", Some(&body))
                        .is_ok_and(|a| a.status == 201)
                    {
                        acknowledged.lock().unwrap().insert(name);
                    }
                    std::thread::sleep(Duration::from_millis(300));
                }
            })
        })
        .collect();

    for n in 0..count {
        let said = fault(&mut c, &mut rng);
        c.await_ready(4);
        replicas = rng.random_range(1..12);
        let scale = format!("s={replicas}");
        let asked = rng.random_range(0..4);
        eventually("the service is scaled", Duration::from_secs(10), || {
            c.hosts[asked]
                .docker(&["service", "scale", "--detach", &scale])
                .status
                .success()
                .then_some(())
        });
        c.await_running(asked, "s", replicas, Duration::from_secs(30));
        println!("{n}: {said}; {replicas} run");
    }
    stop.store(true, Ordering::Relaxed);
    writers.into_iter().for_each(|w| w.join().expect("a writer ends"));

    let have: BTreeSet<String> = c.hosts[3]
        .api("GET", "/v1.44/services", None)
        .json()
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|s| s["Spec"]["Name"].as_str().map(str::to_owned))
        .collect();
    let wanted = acknowledged.lock().unwrap().clone();
    let lost: Vec<_> = wanted.difference(&have).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged writes are lost: {lost:?}",
        lost.len(),
        wanted.len()
    );
    println!("{} acknowledged writes, all there", wanted.len());
    eventually(
        "exactly the wanted containers run",
        Duration::from_secs(20),
        || {
            let running: usize = c
                .hosts
                .iter()
                .map(|h| h.docker_ok(&["ps", "-q"]).lines().count())
                .sum();
            (running == replicas).then_some(())
        },
    );
}
