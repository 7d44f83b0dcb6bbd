//! Jobs: services whose tasks end well and are done.

use shoal_tests_cluster::{Cluster, IMAGE};
use shoal_tests_harness::eventually;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);

fn create(c: &Cluster, args: &[&str]) {
    let mut all = vec!["service", "create", "--detach", "--no-resolve-image"];
    all.extend(args);
    all.extend([IMAGE, "true"]);
    c.hosts[1].docker_ok(&all);
}

/// The column REPLICAS as the CLI shows it, seen on the reference engine in the same words.
fn await_replicas(c: &Cluster, name: &str, shown: &str) {
    let filter = format!("name={name}");
    let mut seen = String::new();
    let started = Instant::now();
    while seen != shown {
        seen = c.hosts[1].docker_ok(&["service", "ls", "--filter", &filter, "--format", "{{.Replicas}}"]);
        let tasks = || c.hosts[0].docker_ok(&["service", "ps", name]);
        assert!(
            started.elapsed() < SOON,
            "{name} shows {seen}, not {shown}:\n{}",
            tasks()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn jobs_run_to_their_end_once() {
    let c = Cluster::form(1, 1);
    create(
        &c,
        &[
            "--name",
            "r",
            "--mode",
            "replicated-job",
            "--replicas",
            "5",
            "--max-concurrent",
            "2",
        ],
    );
    create(&c, &["--name", "g", "--mode", "global-job"]);
    await_replicas(&c, "r", "0/2 (5/5 completed)");
    await_replicas(&c, "g", "0/0 (2/2 completed)");
    // Forced, it runs once more on each node, and the tasks of the first run are cleared away.
    let ps = || c.hosts[0].docker_ok(&["service", "ps", "-q", "g"]);
    let first = ps();
    c.hosts[0].docker_ok(&["service", "update", "--detach", "--force", "g"]);
    eventually("the second run's two tasks are all there are", SOON, || {
        let now = ps();
        let anew = now.lines().count() == 2 && now.lines().all(|id| !first.contains(id));
        anew.then_some(())
    });
    await_replicas(&c, "g", "0/0 (2/2 completed)");
    // No third run comes by itself.
    let left = || {
        c.hosts
            .iter()
            .map(|h| h.docker_ok(&["ps", "-q"]).lines().count())
            .sum::<usize>()
    };
    assert_eq!(left(), 0);
}
