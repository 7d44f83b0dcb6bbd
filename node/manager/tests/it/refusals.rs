//! Whom the managers' listener refuses what.

use crate::harness::{Node, eventually, free_addr};
use shoal_api_backend::{Class, Swarm as _};
use shoal_api_types::Filters;
use shoal_api_wire::ca::ca_client::CaClient;
use shoal_api_wire::ca::{IssueRequest, RenewRequest, RootRequest};
use shoal_api_wire::channel;
use shoal_api_wire::dispatcher::dispatcher_client::DispatcherClient;
use shoal_api_wire::dispatcher::{FromAgent, Hello, from_agent};
use shoal_api_wire::logs::SubscribeRequest;
use shoal_api_wire::logs::logs_client::LogsClient;
use shoal_api_wire::membership::membership_client::MembershipClient;
use shoal_api_wire::membership::{
    HeardRequest, JoinRequest, LeaveRequest, PokeRequest, ProbeRequest, ProposeRequest,
};
use shoal_api_wire::raft::Message;
use shoal_api_wire::raft::raft_client::RaftClient;
use shoal_node_drivers_certs::{Credentials, Files, Issued, Request, Root, connect_unverified};
use shoal_raft_objects::Role;
use std::time::{Duration, Instant, SystemTime};
use tonic::Code;
use tonic::transport::Channel;

fn channel(addr: &str, credentials: Option<Credentials>) -> Channel {
    channel::lazy(addr, move |addr| {
        let credentials = credentials.clone();
        async move {
            match credentials {
                Some(credentials) => credentials.connect(&addr).await,
                None => connect_unverified(&addr).await,
            }
        }
    })
    .unwrap()
}

fn credentials(node: &Node) -> Credentials {
    let files = Files::new(node.dir.path().join("swarm/certificates"));
    Credentials::load(&files).unwrap().unwrap()
}

/// Every call that only managers may make, and how it was answered.
async fn manager_calls(channel: Channel) -> Vec<(&'static str, Code)> {
    let mut membership = MembershipClient::new(channel.clone());
    let mut raft = RaftClient::new(channel.clone());
    let mut logs = LogsClient::new(channel.clone());
    let code = |r: Result<(), tonic::Status>| r.map_or_else(|s| s.code(), |()| Code::Ok);
    let m = || Message::default();
    vec![
        ("probe", code(membership.probe(ProbeRequest {}).await.map(drop))),
        (
            "join",
            code(membership.join(JoinRequest { addr: free_addr() }).await.map(drop)),
        ),
        (
            "propose",
            code(membership.propose(ProposeRequest::default()).await.map(drop)),
        ),
        (
            "heard",
            code(membership.heard(HeardRequest::default()).await.map(drop)),
        ),
        ("poke", code(membership.poke(PokeRequest {}).await.map(drop))),
        ("leave", code(membership.leave(LeaveRequest {}).await.map(drop))),
        ("vote", code(raft.vote(m()).await.map(drop))),
        ("pre-vote", code(raft.pre_vote(m()).await.map(drop))),
        ("heartbeat", code(raft.heartbeat(m()).await.map(drop))),
        ("transfer", code(raft.transfer(m()).await.map(drop))),
        (
            "replicate",
            code(raft.replicate(tokio_stream::iter([m()])).await.map(drop)),
        ),
        (
            "snapshot",
            code(raft.snapshot(tokio_stream::iter([m()])).await.map(drop)),
        ),
        (
            "subscribe",
            code(logs.subscribe(SubscribeRequest::default()).await.map(drop)),
        ),
    ]
}

async fn session(channel: Channel) -> Result<(), tonic::Status> {
    let hello = FromAgent {
        message: Some(from_agent::Message::Hello(Hello::default())),
    };
    let mut stream = DispatcherClient::new(channel)
        .session(tokio_stream::iter([hello]))
        .await?
        .into_inner();
    stream.message().await.map(drop)
}

async fn renew(channel: Channel, on_behalf_of: &str) -> Result<(), tonic::Status> {
    let request = RenewRequest {
        csr_pem: Request::new().unwrap().csr_pem,
        on_behalf_of: on_behalf_of.to_owned(),
    };
    CaClient::new(channel).renew(request).await.map(drop)
}

async fn tunnel(channel: Channel, relayed: bool) -> Result<(), tonic::Status> {
    shoal_api_wire::tunnel::open(channel, relayed).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_may_is_answered() {
    let manager = Node::init("m1").await;
    let worker = Node::worker_of("w1", &manager).await;
    let addr = manager.addr.clone();
    let nodes = async || manager.swarm.nodes(Filters::new()).await.unwrap().len();

    // Without a certificate: the root, and nothing else but a try with a token.
    let nobody = channel(&addr, None);
    for (call, code) in manager_calls(nobody.clone()).await {
        assert_eq!(code, Code::Unauthenticated, "{call} without a certificate");
    }
    assert_eq!(
        session(nobody.clone()).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    assert_eq!(
        tunnel(nobody.clone(), false).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    assert_eq!(
        renew(nobody.clone(), "").await.unwrap_err().code(),
        Code::Unauthenticated
    );
    let root_pem = CaClient::new(nobody.clone())
        .root(RootRequest {})
        .await
        .unwrap()
        .into_inner()
        .root_pem;
    let cluster = manager.swarm.inspect().await.unwrap();
    assert_eq!(root_pem, cluster.info.tls_info.trust_root);

    // A wrong token, in every way.
    let good = cluster.join_tokens.worker.clone();
    let (head, _) = good.rsplit_once('-').unwrap();
    for token in [
        String::new(),
        "SWMTKN-1-x-y".into(),
        format!("{head}-{}", "0".repeat(25)),
    ] {
        let request = IssueRequest {
            csr_pem: Request::new().unwrap().csr_pem,
            token,
            ..Default::default()
        };
        let refused = CaClient::new(nobody.clone()).issue(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(
            refused.message().contains("A valid join token is necessary"),
            "{refused}"
        );
    }
    let request = IssueRequest {
        csr_pem: "garbage".into(),
        token: good,
        ..Default::default()
    };
    assert_eq!(
        CaClient::new(nobody).issue(request).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    assert_eq!(nodes().await, 2, "nothing has changed");

    // A worker's certificate: nothing of the managers'.
    let its = channel(&addr, Some(credentials(&worker)));
    for (call, code) in manager_calls(its.clone()).await {
        assert_eq!(code, Code::PermissionDenied, "{call} with a worker's certificate");
    }
    assert_eq!(
        tunnel(its.clone(), true).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    let manager_id = manager.id().await;
    assert_eq!(
        renew(its.clone(), &manager_id).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    tunnel(its.clone(), false).await.unwrap();
    renew(its, "").await.unwrap();

    // Certificates that trust our root and were not signed by it. (Expired ones of our own are refused by the same
    // handshake; the certificates' room tests that, where a root can be made to sign in the past.)
    let stored = Files::new(manager.dir.path().join("swarm/certificates"))
        .load()
        .unwrap()
        .unwrap();
    let forge = |root: &Root, cluster: &str, at: SystemTime| {
        let request = Request::new().unwrap();
        let day = Duration::from_secs(24 * 3600);
        let certificate_pem = root
            .sign(
                &request.csr_pem,
                &manager_id.as_str().into(),
                &cluster.into(),
                Role::Manager,
                at,
                day,
            )
            .unwrap();
        Credentials::new(&Issued {
            certificate_pem,
            key_pem: request.key_pem,
            root_pem: stored.root_pem.clone(),
        })
        .unwrap()
    };
    let now = SystemTime::now();
    let another = Root::create(now).unwrap();
    let none_may = [
        ("another root's", forge(&another, &cluster.info.id, now)),
        (
            "an expired",
            forge(&another, &cluster.info.id, now - Duration::from_secs(48 * 3600)),
        ),
        ("another cluster's", forge(&another, "another", now)),
    ];
    for (which, credentials) in none_may {
        let channel = channel(&addr, Some(credentials));
        for (call, code) in manager_calls(channel.clone()).await {
            assert!(
                !matches!(code, Code::Ok),
                "{call} with {which} certificate: {code}"
            );
        }
        assert!(
            session(channel.clone()).await.is_err(),
            "a session with {which} certificate"
        );
        assert!(
            tunnel(channel.clone(), false).await.is_err(),
            "a tunnel with {which} certificate"
        );
        assert!(
            renew(channel, "").await.is_err(),
            "a renewal with {which} certificate"
        );
    }
    assert_eq!(nodes().await, 2, "nothing has changed");

    // A node that was removed is refused from that moment on, certificate and all.
    let worker_id = worker.id().await;
    let kept = credentials(&worker);
    worker.swarm.shutdown().await;
    manager.swarm.remove_node(&worker_id, true).await.unwrap();
    let gone = channel(&addr, Some(kept));
    assert_eq!(
        session(gone.clone()).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    assert_eq!(
        tunnel(gone.clone(), false).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    assert_eq!(renew(gone, "").await.unwrap_err().code(), Code::PermissionDenied);
    manager.swarm.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_that_must_fail_leave_nothing_behind() {
    let manager = Node::init("m1").await;
    let other = Node::init("o1").await;
    let node = Node::new("n1").await;
    let tokens = manager.swarm.inspect().await.unwrap().join_tokens;

    let error = node.join_as(&manager.addr, "nonsense".into()).await.unwrap_err();
    assert_eq!(
        (error.class, error.message.as_str()),
        (Class::InvalidParameter, "invalid join token")
    );

    let error = node
        .join_as(&other.addr, tokens.worker.clone())
        .await
        .unwrap_err();
    assert!(
        error.message.contains("remote CA does not match fingerprint"),
        "{error}"
    );

    let begun = Instant::now();
    let error = node
        .join_as(&free_addr(), tokens.worker.clone())
        .await
        .unwrap_err();
    assert_eq!(error.class, Class::Unavailable, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());

    // A token that was rotated away.
    let cluster = manager.swarm.inspect().await.unwrap();
    let options = shoal_api_backend::UpdateSwarm {
        version: cluster.info.meta.version.index,
        rotate_worker_token: true,
        ..Default::default()
    };
    manager
        .swarm
        .update(options, cluster.info.spec.clone())
        .await
        .unwrap();
    let error = node.join_as(&manager.addr, tokens.worker).await.unwrap_err();
    assert!(
        error.message.contains("A valid join token is necessary"),
        "{error}"
    );

    assert_eq!(node.swarm.info().await.local_node_state, "inactive");
    assert!(!node.dir.path().join("swarm").exists());
    assert_eq!(manager.swarm.nodes(Filters::new()).await.unwrap().len(), 1);

    // And one that succeeds after all of them.
    let token = manager.swarm.inspect().await.unwrap().join_tokens.worker;
    node.join_as(&manager.addr, token.clone()).await.unwrap();
    eventually("it is ready", || async {
        manager
            .swarm
            .node("n1")
            .await
            .is_ok_and(|n| n.status.state == "ready")
    })
    .await;
    let error = node.join_as(&manager.addr, token).await.unwrap_err();
    assert!(
        error.message.starts_with("This node is already part of a swarm."),
        "{error}"
    );
    for node in [manager, other, node] {
        node.swarm.shutdown().await;
    }
}
