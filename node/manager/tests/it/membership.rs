use crate::harness::{Node, create, eventually, leader_id, running, spec};
use shoal_api_backend::Swarm as _;
use shoal_api_types::Filters;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_one_begins_restarts_and_ends() {
    let begun = Instant::now();
    let mut node = Node::init("one").await;
    println!("init took {:?}", begun.elapsed());
    let info = node.swarm.info().await;
    assert_eq!(info.local_node_state, "active");
    assert!(info.control_available);
    assert_eq!((info.nodes, info.managers), (1, 1));
    let again = node.swarm.init(Default::default()).await.unwrap_err();
    assert!(
        again.message.starts_with("This node is already part of a swarm."),
        "{again}"
    );
    assert_eq!(again.class, shoal_api_backend::Class::Unavailable);

    let id = create(&node, spec("web", 2)).await;
    eventually("two tasks run", || async { running(&node, &id).await.len() == 2 }).await;
    let before = node.host.running();

    // The daemon goes and comes back; its containers have not noticed.
    node.swarm.shutdown().await;
    assert_eq!(node.host.running(), before);
    let begun = Instant::now();
    node.reopen().await;
    eventually("it leads again", || async { leader_id(&node).await.is_some() }).await;
    println!("restart took {:?}", begun.elapsed());
    eventually("both tasks are known to run", || async {
        running(&node, "web").await.len() == 2
    })
    .await;
    assert_eq!(node.host.running(), before, "no task was restarted");

    let refused = node.swarm.leave(false).await.unwrap_err();
    assert!(refused.message.contains("erases all current state"), "{refused}");
    node.swarm.leave(true).await.unwrap();
    assert_eq!(node.swarm.info().await.local_node_state, "inactive");
    assert!(node.host.running().is_empty(), "its tasks are gone");
    assert!(!node.dir.path().join("swarm").exists(), "nothing is left behind");
    let refused = node.swarm.nodes(Filters::new()).await.unwrap_err();
    assert!(
        refused
            .message
            .starts_with("This node is not a swarm manager. Use"),
        "{refused}"
    );

    // And may begin another.
    let request = shoal_api_types::swarm::InitRequest {
        listen_addr: node.addr.clone(),
        ..Default::default()
    };
    node.swarm.init(request).await.unwrap();
    assert!(
        node.swarm
            .services(Filters::new(), false)
            .await
            .unwrap()
            .is_empty()
    );
    node.swarm.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_join_change_roles_and_leave() {
    let first = Node::init("m1").await;
    let begun = Instant::now();
    let second = Node::manager_of("m2", &first).await;
    println!("join as manager took {:?}", begun.elapsed());
    let third = Node::manager_of("m3", &first).await;
    let begun = Instant::now();
    let worker = Node::worker_of("w1", &first).await;
    println!("join as worker took {:?}", begun.elapsed());

    eventually("four nodes are ready", || async {
        let nodes = first.swarm.nodes(Filters::new()).await.unwrap();
        nodes.len() == 4 && nodes.iter().all(|n| n.status.state == "ready")
    })
    .await;
    let worker_id = worker.id().await;
    assert_eq!(first.swarm.node("w1").await.unwrap().id, worker_id);
    eventually("the worker knows its cluster", || async {
        worker.swarm.info().await.nodes == 4
    })
    .await;
    let info = worker.swarm.info().await;
    assert!(info.control_available && info.cluster.is_some());
    assert_eq!(info.remote_managers.len(), 3);

    // A follower answers reads itself, and hands writes to the leader.
    assert_eq!(second.swarm.nodes(Filters::new()).await.unwrap().len(), 4);
    create(&third, spec("through-a-follower", 1)).await;

    // From worker to manager and back.
    let set_role = async |role: &str| {
        let node = first.swarm.node(&worker_id).await.unwrap();
        let mut spec = node.spec.clone();
        spec.role = role.to_owned();
        first
            .swarm
            .update_node(&worker_id, node.meta.version.index, spec)
            .await
            .unwrap();
    };
    set_role("manager").await;
    let took = eventually("the worker manages", || async {
        let node = first.swarm.node(&worker_id).await.unwrap();
        node.manager_status.is_some_and(|m| m.reachability == "reachable")
            && worker.swarm.nodes(Filters::new()).await.is_ok()
    })
    .await;
    println!("promotion took {took:?}");
    set_role("worker").await;
    let took = eventually("the manager works", || async {
        first
            .swarm
            .node(&worker_id)
            .await
            .unwrap()
            .manager_status
            .is_none()
            && worker.swarm.nodes(Filters::new()).await.is_err()
    })
    .await;
    println!("demotion took {took:?}");
    eventually("it is still ready", || async {
        first.swarm.node(&worker_id).await.unwrap().status.state == "ready"
    })
    .await;

    // A worker leaves: it is down at once, and may then be removed.
    let refused = first.swarm.remove_node(&worker_id, false).await.unwrap_err();
    assert!(
        refused.message.contains("is not down and can't be removed"),
        "{refused}"
    );
    worker.swarm.leave(false).await.unwrap();
    eventually("it is down", || async {
        first.swarm.node(&worker_id).await.unwrap().status.state == "down"
    })
    .await;
    first.swarm.remove_node(&worker_id, false).await.unwrap();

    // A manager is made to leave: the others go on without it.
    let third_id = third.id().await;
    let refused = first.swarm.remove_node(&third_id, true).await.unwrap_err();
    assert!(
        refused
            .message
            .contains("must be demoted to worker before removal"),
        "{refused}"
    );
    third.swarm.leave(true).await.unwrap();
    eventually("it manages no more", || async {
        let nodes = second.swarm.nodes(Filters::new()).await.unwrap();
        nodes
            .iter()
            .find(|n| n.id == third_id)
            .is_none_or(|n| n.manager_status.is_none())
    })
    .await;
    for node in [first, second] {
        node.swarm.shutdown().await;
    }
}
