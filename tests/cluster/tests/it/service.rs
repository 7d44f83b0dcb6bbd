//! Services: scale, update, rollback, placement, restart, removal.

use shoal_tests_cluster::{Cluster, IMAGE};
use shoal_tests_harness::{Host, eventually};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

#[test]
fn scale_update_rollback_and_remove() {
    let c = Cluster::form(1, 1);
    c.sleepers(1, "s", 2, &[]);
    c.hosts[1].docker_ok(&["service", "scale", "--detach", "s=5"]);
    c.await_running(0, "s", 5, SOON);
    c.hosts[0].docker_ok(&["service", "scale", "--detach", "s=1"]);
    c.await_running(0, "s", 1, SOON);
    c.hosts[0].docker_ok(&[
        "service",
        "update",
        "--detach",
        "--env-add",
        "V=2",
        "--update-monitor",
        "200ms",
        "s",
    ]);
    let updated = || {
        c.hosts[0].docker_ok(&[
            "service",
            "inspect",
            "-f",
            "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}",
            "s",
        ])
    };
    eventually("the update completes", SOON, || {
        (updated() == "completed").then_some(())
    });
    assert_eq!(
        c.hosts[0].docker_ok(&[
            "service",
            "inspect",
            "-f",
            "{{.Spec.TaskTemplate.ContainerSpec.Env}}",
            "s"
        ]),
        "[V=2]"
    );
    c.hosts[0].docker_ok(&["service", "rollback", "--detach", "s"]);
    eventually("the rollback completes", SOON, || {
        (updated() == "rollback_completed").then_some(())
    });
    assert_eq!(
        c.hosts[0].docker_ok(&[
            "service",
            "inspect",
            "-f",
            "{{.Spec.TaskTemplate.ContainerSpec.Env}}",
            "s"
        ]),
        "[]"
    );
    c.hosts[1].docker_ok(&["service", "rm", "s"]);
    for host in &c.hosts {
        eventually("no container of it is left", SOON, || {
            host.docker_ok(&["ps", "-aq"]).is_empty().then_some(())
        });
    }
}

#[test]
fn global_constraints_and_drain() {
    let c = Cluster::form(1, 2);
    c.hosts[0].docker_ok(&[
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--mode",
        "global",
        "--name",
        "g",
        IMAGE,
        "sleep",
        "1000",
    ]);
    eventually("one on each node", SOON, || {
        (c.spread(0, "g").values().copied().collect::<Vec<_>>() == [1, 1, 1]).then_some(())
    });
    c.hosts[0].docker_ok(&["node", "update", "--label-add", "disk=ssd", "host2"]);
    c.sleepers(0, "ssd", 3, &["--constraint", "node.labels.disk==ssd"]);
    assert_eq!(c.spread(0, "ssd"), [("host2".to_owned(), 3)].into());
    c.sleepers(0, "any", 3, &[]);
    c.hosts[0].docker_ok(&["node", "update", "--availability", "drain", "host3"]);
    eventually("host3 is empty", SOON, || {
        c.hosts[2].docker_ok(&["ps", "-q"]).is_empty().then_some(())
    });
    c.await_running(0, "any", 3, SOON);
    // What no node can take says why.
    c.hosts[0].docker_ok(&[
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--name",
        "never",
        "--constraint",
        "node.labels.disk==tape",
        IMAGE,
        "sleep",
        "1",
    ]);
    eventually("the reason is shown", SOON, || {
        let err = c.hosts[0].docker_ok(&["service", "ps", "--no-trunc", "--format", "{{.Error}}", "never"]);
        (err.contains("no suitable node") && err.contains("scheduling constraints not satisfied"))
            .then_some(())
    });
    c.hosts[0].docker_ok(&[
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--name",
        "big",
        "--reserve-memory",
        "10000g",
        IMAGE,
        "sleep",
        "1",
    ]);
    eventually("the reason is shown", SOON, || {
        c.hosts[0]
            .docker_ok(&["service", "ps", "--no-trunc", "--format", "{{.Error}}", "big"])
            .contains("insufficient resources")
            .then_some(())
    });
}

#[test]
fn a_failing_task_is_restarted_and_history_is_bounded() {
    let c = Cluster::form(1, 0);
    c.hosts[0].docker_ok(&[
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--restart-delay",
        "10ms",
        "--name",
        "f",
        IMAGE,
        "sh",
        "-c",
        "exit 3",
    ]);
    eventually("several tasks have failed", SOON, || {
        let tasks = c.tasks(0, "f");
        (tasks.iter().filter(|t| t.state.starts_with("Failed")).count() >= 4).then_some(())
    });
    std::thread::sleep(Duration::from_secs(2));
    assert!(
        c.tasks(0, "f").len() <= 7,
        "five old ones are kept: {:?}",
        c.tasks(0, "f")
    );
    c.hosts[0].docker_ok(&[
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--restart-condition",
        "none",
        "--name",
        "once",
        IMAGE,
        "true",
    ]);
    eventually("it completes and stays so", SOON, || {
        c.tasks(0, "once")
            .iter()
            .all(|t| t.state.starts_with("Complete"))
            .then_some(())
    });
}

#[test]
fn host_ports_work() {
    let c = Cluster::form(1, 0);
    let port = "published=18085,target=8080,mode=host";
    c.hosts[0].docker_ok(&[
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--name",
        "w",
        "-p",
        port,
        IMAGE,
        "httpd",
        "-f",
        "-p",
        "8080",
        "-h",
        "/www",
    ]);
    c.await_running(0, "w", 1, SOON);
    let url = format!("http://{}:18085/", c.hosts[0].address);
    eventually("it answers", SOON, || {
        (c.hosts[0]
            .command("curl")
            .args(["-fs", &url])
            .output()
            .unwrap()
            .stdout
            == b"hello\n")
            .then_some(())
    });
}

#[test]
fn service_logs_come_from_every_node() {
    let c = Cluster::form(1, 1);
    c.hosts[0].docker_ok(&[
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--replicas",
        "4",
        "--name",
        "l",
        IMAGE,
        "sh",
        "-c",
        "echo said; sleep 1000",
    ]);
    c.await_running(0, "l", 4, SOON);
    for asked in 0..2 {
        eventually("four lines", SOON, || {
            let logs = c.hosts[asked].docker_ok(&["service", "logs", "l"]);
            (logs.lines().filter(|l| l.ends_with("said")).count() == 4).then_some(())
        });
    }
}

/// Clock ticks (a hundredth of a second each) that the processes of a host have used.
fn ticks(host: &Host) -> u64 {
    let used = host.processes().into_iter().map(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit(") ").next().unwrap_or_default().to_owned();
        let field = |n: usize| after_name.split(' ').nth(n).and_then(|f| f.parse::<u64>().ok());
        field(11).unwrap_or(0) + field(12).unwrap_or(0)
    });
    used.sum()
}

#[test]
fn an_image_that_cannot_be_had_is_tried_again_at_dockers_pace() {
    let c = Cluster::form(1, 0);
    c.hosts[0].docker_ok(&[
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--name",
        "s",
        "127.0.0.1:9/nosuch:1",
    ]);
    let before = ticks(&c.hosts[0]);
    std::thread::sleep(Duration::from_secs(12));
    let used = ticks(&c.hosts[0]) - before;
    let tasks = c.tasks(0, "s");
    // The first and its replacement at once, then one every five seconds.
    assert!((3..=4).contains(&tasks.len()), "after 12 s: {tasks:#?}");
    assert!(
        tasks.iter().all(|t| t.state.starts_with("Rejected")),
        "{tasks:#?}"
    );
    eprintln!("the daemon used {used} ticks in 12 s");
    assert!(
        used < 240,
        "the daemon used {used} ticks in 12 s, a fifth of a core"
    );
}
