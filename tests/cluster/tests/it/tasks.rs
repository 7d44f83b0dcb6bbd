//! Service tasks are containers like any other: the same security facts, Docker's names and labels.

#[path = "../../../conformance/tests/it/security_facts.rs"]
mod facts;

use shoal_tests_cluster::Cluster;

#[test]
fn facts_hold_for_service_tasks() {
    let c = Cluster::form(1, 0);
    let args = [
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--restart-condition",
        "none",
        "--name",
        "probe",
        shoal_tests_cluster::IMAGE,
        "sh",
        "-c",
        facts::PROBE,
    ];
    c.hosts[0].docker_ok(&args);
    let id = shoal_tests_harness::eventually("the probe ran", std::time::Duration::from_secs(20), || {
        let ids = c.hosts[0].docker_ok(&[
            "ps",
            "-aq",
            "--filter",
            "status=exited",
            "--filter",
            "label=com.docker.swarm.service.name=probe",
        ]);
        ids.lines().next().map(str::to_owned)
    });
    facts::check(&c.hosts[0].docker_ok(&["logs", &id]), "service task");
}

#[test]
fn names_and_labels_are_dockers() {
    let c = Cluster::form(1, 0);
    c.sleepers(0, "n", 1, &["--container-label", "mine=1"]);
    let task = &c.tasks(0, "n")[0];
    let id = c.hosts[0].docker_ok(&["ps", "-q"]);
    assert_eq!(
        c.hosts[0].docker_ok(&["inspect", "-f", "{{.Name}}", &id]),
        format!("/n.1.{}", task.id)
    );
    let label = |key: &str| {
        c.hosts[0].docker_ok(&[
            "inspect",
            "-f",
            &format!("{{{{index .Config.Labels \"{key}\"}}}}"),
            &id,
        ])
    };
    assert_eq!(label("com.docker.swarm.service.name"), "n");
    assert_eq!(label("com.docker.swarm.task.id"), task.id);
    assert_eq!(label("com.docker.swarm.task.name"), format!("n.1.{}", task.id));
    assert_eq!(label("mine"), "1");
}
