//! A host is lost, and comes back.

use shoal_tests_cluster::Cluster;
use shoal_tests_harness::eventually;
use std::time::{Duration, Instant};

#[test]
fn a_crashed_hosts_tasks_run_elsewhere_and_it_returns_clean() {
    let mut c = Cluster::form(3, 1);
    c.sleepers(0, "s", 8, &[]);
    let before: Vec<_> = (0..3).map(|i| c.pids(i)).collect();
    c.hosts[3].crash();
    let start = Instant::now();
    eventually("all eight run on three hosts", Duration::from_secs(20), || {
        let spread = c.spread(0, "s");
        (!spread.contains_key("host4") && spread.values().sum::<usize>() == 8).then_some(())
    });
    eprintln!("tasks run elsewhere after {:?}", start.elapsed());
    for (i, pids) in before.iter().enumerate() {
        let now = c.pids(i);
        assert!(
            pids.iter().all(|(id, pid)| now.get(id) == Some(pid)),
            "no task on host {i} restarted"
        );
    }
    c.hosts[3].start();
    c.await_ready(4);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(c.spread(0, "s").values().sum::<usize>(), 8);
    assert_eq!(
        c.hosts[3].docker_ok(&["ps", "-q"]),
        "",
        "what it ran is no longer its own"
    );
}

#[test]
fn a_host_cut_off_stops_its_old_tasks_when_it_returns() {
    let c = Cluster::form(3, 1);
    c.sleepers(0, "s", 8, &[]);
    c.world.cable(&c.hosts[3], false);
    eventually("all eight run on three hosts", Duration::from_secs(20), || {
        let spread = c.spread(0, "s");
        (!spread.contains_key("host4") && spread.values().sum::<usize>() == 8).then_some(())
    });
    assert_eq!(
        c.hosts[3].docker_ok(&["ps", "-q"]).lines().count(),
        2,
        "it runs on while it is cut off"
    );
    c.world.cable(&c.hosts[3], true);
    eventually(
        "it stops what is no longer its own",
        Duration::from_secs(20),
        || c.hosts[3].docker_ok(&["ps", "-q"]).is_empty().then_some(()),
    );
    assert_eq!(c.spread(0, "s").values().sum::<usize>(), 8);
}

#[test]
fn a_frozen_host_starts_nothing_stale() {
    let c = Cluster::form(3, 1);
    c.hosts[3].freeze(true);
    c.hosts[0].docker_ok(&[
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--name",
        "s",
        "--replicas",
        "8",
        shoal_tests_cluster::IMAGE,
        "sleep",
        "1000",
    ]);
    c.await_running(0, "s", 8, Duration::from_secs(30));
    c.hosts[0].docker_ok(&["service", "rm", "s"]);
    c.hosts[3].freeze(false);
    c.await_ready(4);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(
        c.hosts[3].docker_ok(&["ps", "-aq"]),
        "",
        "nothing of the removed service was started"
    );
}
