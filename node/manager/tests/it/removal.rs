//! Nodes that the cluster does not know any more, and managers that nobody may listen to.

use crate::harness::{Node, create, eventually, running, spec};
use shoal_api_backend::Swarm as _;
use shoal_api_types::Filters;
use shoal_api_wire::ca::RenewRequest;
use shoal_api_wire::ca::ca_client::CaClient;
use shoal_api_wire::dispatcher::dispatcher_client::DispatcherClient;
use shoal_api_wire::dispatcher::{FromAgent, Hello, from_agent};
use shoal_api_wire::membership::membership_client::MembershipClient;
use shoal_api_wire::membership::{HeardRequest, HeardResponse, ProposeRequest};
use shoal_api_wire::{channel, removed};
use shoal_node_drivers_certs::{Credentials, Files, Request};
use shoal_raft_objects::{NodeDescription, Proposal, codec};
use tonic::transport::Channel;
use tonic::{Code, Status};

/// A connection to `to` in the name of `from`.
fn dial(from: &Node, to: &Node) -> Channel {
    dial_with(credentials(from), to)
}

/// Those that the node has now.
fn credentials(node: &Node) -> Credentials {
    let files = Files::new(node.dir.path().join("swarm/certificates"));
    Credentials::load(&files).unwrap().unwrap()
}

fn dial_with(credentials: Credentials, to: &Node) -> Channel {
    channel::lazy(&to.addr, move |addr| {
        let credentials = credentials.clone();
        async move { credentials.connect(&addr).await }
    })
    .unwrap()
}

fn raft_id(node: &Node) -> u64 {
    let text = std::fs::read(node.dir.path().join("swarm/state.json")).unwrap();
    let saved: serde_json::Value = serde_json::from_slice(&text).unwrap();
    saved["raft_id"].as_u64().unwrap()
}

async fn tell(from: &Node, to: &Node, raft_id: u64, alive: &[&str]) -> Result<HeardResponse, Status> {
    let request = HeardRequest {
        laid: Default::default(),
        alive: alive.iter().map(ToString::to_string).collect(),
        left: Vec::new(),
        raft_id,
    };
    let answer = MembershipClient::new(dial(from, to)).heard(request).await;
    answer.map(tonic::Response::into_inner)
}

/// Opens a session in the name of `from` and answers how it began.
async fn session(from: &Node, to: &Node) -> Result<(), Status> {
    let hello = Hello {
        description: codec::encode(&NodeDescription::default()).unwrap().into(),
    };
    let hello = FromAgent {
        message: Some(from_agent::Message::Hello(hello)),
    };
    let messages = tokio_stream::StreamExt::chain(tokio_stream::once(hello), tokio_stream::pending());
    let mut client = DispatcherClient::new(dial(from, to));
    let mut answers = client.session(messages).await?.into_inner();
    answers.message().await.map(drop)
}

async fn set_role(by: &Node, node: &str, role: &str) {
    let node = by.swarm.node(node).await.unwrap();
    let mut spec = node.spec.clone();
    spec.role = role.to_owned();
    by.swarm
        .update_node(&node.id, node.meta.version.index, spec)
        .await
        .unwrap();
}

async fn await_reachable(asked: &Node, managers: usize) {
    eventually("all managers vote", || async {
        let nodes = asked.swarm.nodes(Filters::new()).await.unwrap();
        let reachable = nodes.iter().filter_map(|n| n.manager_status.as_ref());
        reachable.filter(|m| m.reachability == "reachable").count() == managers
    })
    .await;
}

async fn await_lost(node: &Node) {
    let id = node.id().await;
    eventually("it knows that it was removed", || async {
        node.swarm.info().await.local_node_state == "error"
    })
    .await;
    let info = node.swarm.info().await;
    assert!(
        info.error
            .starts_with("rpc error: code = PermissionDenied desc = Permission denied: node ")
            && info.error.ends_with(" was removed from swarm"),
        "{id}: {}",
        info.error
    );
    assert_eq!(node.swarm.ping_state(), "error");
    eventually("its tasks are gone", || async {
        node.host.containers.lock().is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_worker_learns_it_and_stops_its_tasks() {
    let manager = Node::init("m1").await;
    let mut worker = Node::worker_of("w1", &manager).await;
    let id = create(&manager, spec("web", 4)).await;
    eventually("four tasks run", || async {
        running(&manager, &id).await.len() == 4
    })
    .await;
    assert_eq!(worker.host.running().len(), 2);
    let worker_id = worker.id().await;
    manager.swarm.remove_node(&worker_id, true).await.unwrap();
    await_lost(&worker).await;
    eventually("its tasks run elsewhere", || async {
        manager.host.running().len() == 4
    })
    .await;

    // It stays so after a restart, until it is told to leave; then it may join again.
    worker.swarm.shutdown().await;
    worker.reopen().await;
    assert_eq!(worker.swarm.info().await.local_node_state, "error");
    let token = manager.swarm.inspect().await.unwrap().join_tokens.worker;
    let refused = worker.join_as(&manager.addr, token.clone()).await.unwrap_err();
    assert!(
        refused
            .message
            .starts_with("This node is already part of a swarm."),
        "{refused}"
    );
    worker.swarm.leave(false).await.unwrap();
    assert_eq!(worker.swarm.info().await.local_node_state, "inactive");
    worker.join_as(&manager.addr, token).await.unwrap();
    assert_ne!(worker.id().await, worker_id);
    for node in [manager, worker] {
        node.swarm.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_removed_while_they_were_away_learn_it_when_they_return() {
    let first = Node::init("m1").await;
    let second = Node::manager_of("m2", &first).await;
    let mut third = Node::manager_of("m3", &first).await;
    let mut worker = Node::worker_of("w1", &first).await;
    await_reachable(&first, 3).await;
    let id = create(&first, spec("web", 8)).await;
    eventually("eight tasks run", || async {
        running(&first, &id).await.len() == 8
    })
    .await;
    let (third_id, worker_id) = (third.id().await, worker.id().await);
    third.swarm.shutdown().await;
    worker.swarm.shutdown().await;
    assert_eq!(
        third.host.running().len(),
        2,
        "containers run on while the daemon is away"
    );
    set_role(&first, &third_id, "worker").await;
    eventually("it manages no more", || async {
        first
            .swarm
            .node(&third_id)
            .await
            .unwrap()
            .manager_status
            .is_none()
    })
    .await;
    for id in [&third_id, &worker_id] {
        first.swarm.remove_node(id, true).await.unwrap();
    }
    third.reopen().await;
    worker.reopen().await;
    await_lost(&third).await;
    await_lost(&worker).await;
    for node in [first, second, third, worker] {
        node.swarm.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_leader_with_a_majority_hears_and_only_members_are_heard() {
    let first = Node::init("m1").await;
    let second = Node::manager_of("m2", &first).await;
    let third = Node::manager_of("m3", &first).await;
    let worker = Node::worker_of("w1", &first).await;
    await_reachable(&first, 3).await;
    let (second_raft, third_raft) = (raft_id(&second), raft_id(&third));
    let worker_id = worker.id().await;

    let told = tell(&second, &first, second_raft, &[&worker_id, "nobody"])
        .await
        .unwrap();
    assert_eq!(told.removed, ["nobody"]);
    assert!(told.applied > 0);
    // One that does not lead names the leader, and takes no note.
    let refused = tell(&second, &third, second_raft, &[&worker_id])
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    // An id that Raft does not know under this name: that of another, or of an earlier life.
    for id in [third_raft, 9999] {
        let refused = tell(&second, &first, id, &[&worker_id]).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
        assert!(!removed::is(&refused), "the node is still part of the cluster");
    }

    // Two of three are gone: the one that led speaks for nobody.
    assert!(session(&worker, &first).await.is_ok());
    second.swarm.shutdown().await;
    third.swarm.shutdown().await;
    eventually("it hears nobody any more", || async {
        tell(&second, &first, second_raft, &[]).await.is_err()
    })
    .await;
    eventually("it holds no session any more", || async {
        session(&worker, &first)
            .await
            .is_err_and(|e| e.code() == Code::Unavailable)
    })
    .await;
    for node in [first, worker] {
        node.swarm.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_certificate_of_a_removed_manager_is_of_use() {
    let first = Node::init("m1").await;
    let second = Node::manager_of("m2", &first).await;
    let third = Node::manager_of("m3", &first).await;
    await_reachable(&first, 3).await;
    let (old, third_id) = (credentials(&third), third.id().await);
    // It has a newer certificate since: that is the one which the cluster knows.
    let request = RenewRequest {
        csr_pem: Request::new().unwrap().csr_pem,
        on_behalf_of: String::new(),
    };
    CaClient::new(dial(&third, &first)).renew(request).await.unwrap();
    let propose = async || {
        let proposal = codec::encode(&Proposal::default()).unwrap().into();
        let request = ProposeRequest { proposal };
        let mut client = MembershipClient::new(dial_with(old.clone(), &first));
        client.propose(request).await.map(drop)
    };
    propose().await.unwrap();
    set_role(&first, &third_id, "worker").await;
    eventually("it manages no more", || async {
        first
            .swarm
            .node(&third_id)
            .await
            .unwrap()
            .manager_status
            .is_none()
    })
    .await;
    first.swarm.remove_node(&third_id, true).await.unwrap();
    let refused = propose().await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    await_lost(&third).await;
    for node in [first, second, third] {
        node.swarm.shutdown().await;
    }
}
