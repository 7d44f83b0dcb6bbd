use crate::harness::{Node, create, eventually, leader_id, running, spec};
use shoal_api_backend::Swarm as _;
use shoal_api_types::Filters;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_goes_and_the_others_go_on() {
    let first = Node::init("m1").await;
    let second = Node::manager_of("m2", &first).await;
    let third = Node::manager_of("m3", &first).await;
    let worker = Node::worker_of("w1", &first).await;
    eventually("three managers vote", || async {
        let nodes = first.swarm.nodes(Filters::new()).await.unwrap();
        nodes
            .iter()
            .filter(|n| {
                n.manager_status
                    .as_ref()
                    .is_some_and(|m| m.reachability == "reachable")
            })
            .count()
            == 3
    })
    .await;
    let id = create(&first, spec("web", 8)).await;
    eventually("eight tasks run", || async {
        running(&first, &id).await.len() == 8
    })
    .await;
    let kept: Vec<_> = [&second, &third, &worker]
        .iter()
        .map(|n| n.host.running())
        .collect();

    // A hard stop: nothing is handed over, and the node says nothing any more.
    let leader = leader_id(&first).await;
    assert_eq!(leader, Some(first.id().await));
    let first_id = first.id().await;
    let begun = Instant::now();
    let first_host = first.host.clone();
    first.swarm.shutdown().await;
    first_host.containers.lock().clear();
    create(&second, spec("after", 1)).await;
    println!("first write after the leader went: {:?}", begun.elapsed());

    let took = eventually("its tasks run elsewhere", || async {
        let tasks = running(&second, &id).await;
        tasks.len() == 8 && tasks.iter().all(|t| t.node_id != first_id)
    })
    .await;
    println!("tasks elsewhere after {took:?}");
    for (node, before) in [&second, &third, &worker].iter().zip(kept) {
        let now = node.host.running();
        assert!(
            before.iter().all(|task| now.contains(task)),
            "no task on another node restarts"
        );
    }
    for node in [second, third, worker] {
        node.swarm.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_returns_stops_what_is_no_longer_its_own() {
    let manager = Node::init("m1").await;
    let mut worker = Node::worker_of("w1", &manager).await;
    let id = create(&manager, spec("web", 4)).await;
    eventually("four tasks run", || async {
        running(&manager, &id).await.len() == 4
    })
    .await;
    let old = worker.host.running();
    assert_eq!(old.len(), 2);
    let worker_id = worker.id().await;
    worker.swarm.shutdown().await;
    eventually("it is down and replaced", || async {
        manager.swarm.node(&worker_id).await.unwrap().status.state == "down"
            && running(&manager, &id).await.len() == 4
    })
    .await;
    assert_eq!(
        worker.host.running(),
        old,
        "its containers run on while nobody looks"
    );
    worker.reopen().await;
    eventually("it is ready and runs none of the old ones", || async {
        let now = worker.host.running();
        manager.swarm.node(&worker_id).await.unwrap().status.state == "ready"
            && old.iter().all(|task| !now.contains(task))
    })
    .await;
    assert_eq!(running(&manager, &id).await.len(), 4);
    manager.swarm.shutdown().await;
    worker.swarm.shutdown().await;
}
