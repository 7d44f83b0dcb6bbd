//! Forming, looking at and leaving a cluster.

use shoal_tests_cluster::{Cluster, IMAGE};
use shoal_tests_harness::{World, busybox_tar};

#[test]
fn every_node_answers_node_ls_and_service_calls() {
    let c = Cluster::form(3, 1);
    for (i, host) in c.hosts.iter().enumerate() {
        let list = host.docker_ok(&[
            "node",
            "ls",
            "--format",
            "{{.Hostname}} {{.Status}} {{.Availability}} {{.ManagerStatus}}",
        ]);
        let mut lines: Vec<&str> = list.lines().collect();
        lines.sort();
        assert_eq!(lines.len(), 4, "host {i}: {list}");
        assert!(lines.iter().all(|l| l.contains(" Ready Active")), "{list}");
        assert_eq!(
            lines.iter().filter(|l| l.ends_with("Leader")).count(),
            1,
            "{list}"
        );
        assert_eq!(
            lines.iter().filter(|l| l.ends_with("Reachable")).count(),
            2,
            "{list}"
        );
    }
    // The worker creates, everybody sees.
    c.sleepers(3, "web", 6, &[]);
    for i in 0..4 {
        assert_eq!(
            c.hosts[i].docker_ok(&[
                "service",
                "ls",
                "--format",
                "{{.Name}} {{.Mode}} {{.Replicas}} {{.Image}}"
            ]),
            format!("web replicated 6/6 {IMAGE}")
        );
        // No task was made in vain.
        let list = c.hosts[i].docker_ok(&["service", "ps", "--no-trunc", "web"]);
        assert_eq!(c.tasks(i, "web").len(), 6, "host {i}:\n{list}");
    }
    assert_eq!(
        c.spread(3, "web").len(),
        4,
        "spread over all four: {:?}",
        c.spread(3, "web")
    );
    assert_eq!(
        c.hosts[3].docker_ok(&["service", "inspect", "-f", "{{.Spec.Name}}", "web"]),
        "web"
    );
}

#[test]
fn refusals_speak_dockers_words() {
    let mut world = World::new();
    let (mut one, mut two) = (world.host(), world.host());
    one.start();
    two.start();
    let err = one.docker_err(&["node", "ls"]);
    assert!(err.contains("This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again."), "{err}");
    one.docker_ok(&["swarm", "init", "--advertise-addr", &one.address]);
    let err = one.docker_err(&["swarm", "init"]);
    assert!(err.contains("This node is already part of a swarm. Use \"docker swarm leave\" to leave this swarm and join another one."), "{err}");
    // A token of another cluster, a broken one, and nobody at the address.
    two.docker_ok(&["swarm", "init", "--advertise-addr", &two.address]);
    let foreign = two.docker_ok(&["swarm", "join-token", "-q", "worker"]);
    two.docker_ok(&["swarm", "leave", "--force"]);
    let remote = format!("{}:2377", one.address);
    let start = std::time::Instant::now();
    let err = two.docker_err(&["swarm", "join", "--token", &foreign, &remote]);
    assert!(err.contains("remote CA does not match fingerprint"), "{err}");
    let err = two.docker_err(&["swarm", "join", "--token", "SWMTKN-1-nonsense", &remote]);
    assert!(err.contains("invalid join token"), "{err}");
    let token = one.docker_ok(&["swarm", "join-token", "-q", "worker"]);
    let err = two.docker_err(&["swarm", "join", "--token", &token, "10.84.0.99:2377"]);
    assert!(!err.is_empty());
    assert!(
        start.elapsed() < std::time::Duration::from_secs(40),
        "at once or within a stated timeout"
    );
    assert_eq!(
        two.docker_ok(&["info", "-f", "{{.Swarm.LocalNodeState}}"]),
        "inactive"
    );
    two.docker_ok(&["swarm", "join", "--token", &token, &remote]);
    assert_eq!(
        two.docker_ok(&["info", "-f", "{{.Swarm.LocalNodeState}}"]),
        "active"
    );
    two.docker_ok(&["swarm", "leave"]);
    assert_eq!(
        two.docker_ok(&["info", "-f", "{{.Swarm.LocalNodeState}}"]),
        "inactive"
    );
}

#[test]
fn promote_demote_and_remove() {
    let c = Cluster::form(1, 2);
    c.hosts[0].docker_ok(&["node", "promote", "host2"]);
    let status = |host: &str| {
        c.hosts[0].docker_ok(&[
            "node",
            "inspect",
            "-f",
            "{{.Spec.Role}} {{if .ManagerStatus}}{{.ManagerStatus.Reachability}}{{end}}",
            host,
        ])
    };
    shoal_tests_harness::eventually("host2 is a manager", std::time::Duration::from_secs(15), || {
        (status("host2") == "manager reachable").then_some(())
    });
    c.hosts[0].docker_ok(&["node", "demote", "host2"]);
    shoal_tests_harness::eventually("host2 is a worker", std::time::Duration::from_secs(15), || {
        (status("host2") == "worker").then_some(())
    });
    // What the cluster decided reaches the node a moment later: until then it warns, as any manager does.
    shoal_tests_harness::eventually("host2 leaves", std::time::Duration::from_secs(15), || {
        let left = c.hosts[1].docker(&["swarm", "leave"]);
        left.status.success().then_some(())
    });
    shoal_tests_harness::eventually(
        "host2 is down and can be removed",
        std::time::Duration::from_secs(15),
        || {
            c.hosts[0]
                .docker(&["node", "rm", "host2"])
                .status
                .success()
                .then_some(())
        },
    );
    assert_eq!(c.hosts[0].docker_ok(&["node", "ls", "-q"]).lines().count(), 2);
    let err = c.hosts[0].docker_err(&["node", "demote", "host1"]);
    assert!(err.contains("last manager"), "{err}");
}

#[test]
fn the_image_can_be_imported_before_or_after() {
    let c = Cluster::form(1, 0);
    c.hosts[0].docker_ok(&["import", &busybox_tar().display().to_string(), "another:v1"]);
    c.hosts[0].docker_ok(&[
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--name",
        "a",
        "another:v1",
        "sleep",
        "1000",
    ]);
    c.await_running(0, "a", 1, std::time::Duration::from_secs(10));
}
