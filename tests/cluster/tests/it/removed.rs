//! Nodes that were taken out of the cluster: they learn it, say so, and stop their tasks.

use shoal_tests_cluster::Cluster;
use shoal_tests_harness::eventually;
use std::time::Duration;

fn await_removed(c: &Cluster, host: usize) {
    eventually("it knows that it was removed", Duration::from_secs(30), || {
        let state = c.hosts[host].docker_ok(&["info", "-f", "{{.Swarm.LocalNodeState}}"]);
        (state == "error").then_some(())
    });
    let error = c.hosts[host].docker_ok(&["info", "-f", "{{.Swarm.Error}}"]);
    assert!(
        error.starts_with("rpc error: code = PermissionDenied desc = Permission denied: node ")
            && error.ends_with(" was removed from swarm"),
        "{error}"
    );
    eventually("it stops its tasks", Duration::from_secs(20), || {
        c.hosts[host].docker_ok(&["ps", "-aq"]).is_empty().then_some(())
    });
    c.hosts[host].docker_ok(&["swarm", "leave"]);
    assert_eq!(
        c.hosts[host].docker_ok(&["info", "-f", "{{.Swarm.LocalNodeState}}"]),
        "inactive"
    );
}

#[test]
fn a_removed_worker_stops_its_tasks_and_may_join_again() {
    let c = Cluster::form(1, 1);
    c.sleepers(0, "s", 4, &[]);
    assert_eq!(c.hosts[1].docker_ok(&["ps", "-q"]).lines().count(), 2);
    c.hosts[0].docker_ok(&["node", "rm", "--force", "host2"]);
    await_removed(&c, 1);
    c.await_running(0, "s", 4, Duration::from_secs(20));
    let token = c.hosts[0].docker_ok(&["swarm", "join-token", "-q", "worker"]);
    let remote = format!("{}:2377", c.hosts[0].address);
    c.hosts[1].docker_ok(&["swarm", "join", "--token", &token, &remote]);
    c.await_ready(2);
}

#[test]
fn a_manager_removed_while_it_was_cut_off_learns_it_when_it_returns() {
    let c = Cluster::form(3, 0);
    c.sleepers(0, "s", 6, &[]);
    let leader = c.leader(0).expect("there is a leader");
    let gone = (0..3).find(|i| *i != leader).expect("a follower");
    let name = format!("host{}", gone + 1);
    c.world.cable(&c.hosts[gone], false);
    eventually("all six run on two hosts", Duration::from_secs(20), || {
        let spread = c.spread(leader, "s");
        (!spread.contains_key(&name) && spread.values().sum::<usize>() == 6).then_some(())
    });
    assert_eq!(
        c.hosts[gone].docker_ok(&["ps", "-q"]).lines().count(),
        2,
        "it runs on while it is cut off"
    );
    c.hosts[leader].docker_ok(&["node", "demote", &name]);
    eventually("it is removed", Duration::from_secs(20), || {
        let removed = c.hosts[leader].docker(&["node", "rm", "--force", &name]);
        removed.status.success().then_some(())
    });
    c.world.cable(&c.hosts[gone], true);
    await_removed(&c, gone);
    assert_eq!(c.spread(leader, "s").values().sum::<usize>(), 6);
}
