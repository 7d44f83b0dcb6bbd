use crate::harness::{Node, eventually};
use shoal_api_backend::{Duplex, Forwarding as _, Route, Swarm as _, UpdateSwarm};
use shoal_api_types::Filters;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn ask(mut connection: Box<dyn Duplex>) -> String {
    connection.write_all(b"?").await.unwrap();
    connection.shutdown().await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer.trim().to_owned()
}

/// Who answers a call made on `node`.
async fn answered_by(node: &Node) -> String {
    match node.swarm.route(true).await {
        Route::Local => node.name.clone(),
        Route::Remote(connection) => ask(connection).await,
        Route::Refuse(error) => format!("refused: {error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_passes_calls_to_the_leader() {
    let alone = Node::new("alone").await;
    assert!(
        answered_by(&alone)
            .await
            .starts_with("refused: This node is not a swarm manager. Use")
    );

    let leader = Node::init("m1").await;
    let follower = Node::manager_of("m2", &leader).await;
    let worker = Node::worker_of("w1", &leader).await;
    for node in [&leader, &follower, &worker] {
        for _ in 0..5 {
            assert_eq!(answered_by(node).await, "m1", "asked on {}", node.name);
        }
    }

    // The cluster may forbid it to workers; followers go on.
    let cluster = leader.swarm.inspect().await.unwrap();
    let mut spec = cluster.info.spec.clone();
    spec.annotations
        .labels
        .insert("io.shoal.worker-forwarding", "false".to_owned());
    let options = UpdateSwarm {
        version: cluster.info.meta.version.index,
        ..Default::default()
    };
    leader.swarm.update(options, spec).await.unwrap();
    eventually("the worker refuses", || async {
        answered_by(&worker)
            .await
            .starts_with("refused: This node is not a swarm manager. Worker nodes can't")
    })
    .await;
    // The managers refuse at once; the worker itself learns of it by its session.
    eventually("the worker says so", || async {
        !worker.swarm.info().await.control_available
    })
    .await;
    assert_eq!(answered_by(&follower).await, "m1");
    assert_eq!(leader.swarm.nodes(Filters::new()).await.unwrap().len(), 3);
    for node in [worker, follower, leader] {
        node.swarm.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_calls_are_refused_in_words() {
    let first = Node::init("m1").await;
    let second = Node::manager_of("m2", &first).await;
    eventually("both vote", || async {
        second.swarm.nodes(Filters::new()).await.is_ok()
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    first.swarm.shutdown().await;
    let begun = std::time::Instant::now();
    let answer = answered_by(&second).await;
    if answer == "m2" {
        // It was handed the leadership before it noticed that it is alone; the write itself is refused then.
        let refused = second.swarm.nodes(Filters::new()).await.unwrap_err();
        assert!(
            refused.message.contains("The swarm does not have a leader."),
            "{refused}"
        );
    } else {
        assert!(answer.contains("The swarm does not have a leader."), "{answer}");
    }
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    second.swarm.shutdown().await;
}
