use crate::fake::{Fake, frame};
use crate::wire::{Daemon, until};
use async_trait::async_trait;
use serde_json::json;
use shoal_api_backend::{Error, Forwarding, Route};
use shoal_api_http::{Peer, Router, router, serve_duplex};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

/// Passes everything on to a manager behind a pipe.
struct To {
    manager: Router,
    passed: AtomicUsize,
}

#[async_trait]
impl Forwarding for To {
    async fn route(&self, _: bool) -> Route {
        self.passed.fetch_add(1, Ordering::SeqCst);
        let (near, far) = tokio::io::duplex(1 << 14);
        tokio::spawn(serve_duplex(
            Box::new(far),
            self.manager.clone(),
            Peer {
                node_id: "worker-1".into(),
            },
        ));
        Route::Remote(Box::new(near))
    }
}

/// Must never be asked: what was passed on once stays where it is.
struct Never;
#[async_trait]
impl Forwarding for Never {
    async fn route(&self, _: bool) -> Route {
        panic!("passed on twice")
    }
}

struct Refuse;
#[async_trait]
impl Forwarding for Refuse {
    async fn route(&self, _: bool) -> Route {
        Route::Refuse(Error::unavailable("This node is not part of a swarm"))
    }
}

async fn worker() -> (Daemon, Arc<To>, Fake) {
    let manager = Fake::default();
    let to = Arc::new(To {
        manager: router(manager.forwarding_by(Arc::new(Never))),
        passed: AtomicUsize::new(0),
    });
    (
        Daemon::serving(router(Fake::default().forwarding_by(to.clone()))).await,
        to,
        manager,
    )
}

#[tokio::test]
async fn cluster_calls_are_passed_on_whole() {
    let (daemon, to, _) = worker().await;
    let nodes = daemon.get("/v1.44/nodes").await;
    assert_eq!(nodes.status, 200);
    assert_eq!(nodes.json(), crate::wire::golden("node_list"));
    assert_eq!(nodes.header("Api-Version"), Some("1.55"));
    assert_eq!(nodes.head.matches("Date:").count(), 1, "{}", nodes.head);
    // Version, headers and body arrive as they were sent.
    let body = json!({"Name": "s", "Mode": {"ReplicatedJob": {}}}).to_string();
    let headers = "Content-Type: application/json\r\nX-Registry-Auth: abc\r\n";
    let old = daemon
        .call("POST", "/v1.40/services/create", headers, &body)
        .await;
    assert_eq!(
        (old.status, old.json()),
        (201, json!({"ID": "s", "Warnings": ["abc", "false"]}))
    );
    let missing = daemon.get("/services/x").await;
    assert_eq!(
        (missing.status, missing.message().as_str()),
        (404, "service x not found")
    );
    assert_eq!(to.passed.load(Ordering::SeqCst), 3);
    // What concerns this daemon stays.
    assert_eq!(daemon.get("/containers/json").await.status, 200);
    assert_eq!(daemon.post("/swarm/init", "{}").await.text(), "\"node-id\"\n");
    assert_eq!(to.passed.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn streams_are_relayed_as_they_come_and_end_with_their_reader() {
    let (daemon, _, manager) = worker().await;
    let mut socket = daemon.connect().await;
    socket
        .write_all(b"GET /services/x/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n")
        .await
        .unwrap();
    until(&mut socket, &frame(2, b"two\n")).await;
    assert_eq!(manager.0.open_streams.load(Ordering::SeqCst), 1);
    drop(socket);
    let began = Instant::now();
    while manager.0.open_streams.load(Ordering::SeqCst) > 0 {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "the manager still streams to nobody"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_node_may_pass_on_cluster_calls_only() {
    let manager = router(Fake::default().forwarding_by(Arc::new(Never)));
    for (target, status) in [
        ("GET /nodes", 200),
        ("GET /v1.41/tasks", 200),
        ("GET /containers/json", 403),
        ("GET //containers/json", 301),
        ("POST /v1.41/containers/create", 403),
        ("POST /swarm/leave", 403),
        ("GET /info", 403),
    ] {
        let (mut near, far) = tokio::io::duplex(1 << 14);
        tokio::spawn(serve_duplex(
            Box::new(far),
            manager.clone(),
            Peer {
                node_id: "worker-1".into(),
            },
        ));
        near.write_all(format!("{target} HTTP/1.1\r\nHost: d\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let head = String::from_utf8_lossy(&until(&mut near, b"\r\n\r\n").await).into_owned();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{target}: {head}"
        );
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_its_words() {
    let daemon = Daemon::serving(router(Fake::default().forwarding_by(Arc::new(Refuse)))).await;
    let reply = daemon.get("/nodes").await;
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (503, "This node is not part of a swarm")
    );
}

struct Dead;
#[async_trait]
impl Forwarding for Dead {
    async fn route(&self, _: bool) -> Route {
        Route::Remote(Box::new(tokio::io::duplex(64).0))
    }
}

#[tokio::test]
async fn a_manager_that_hangs_up_is_unavailable() {
    let daemon = Daemon::serving(router(Fake::default().forwarding_by(Arc::new(Dead)))).await;
    let reply = daemon.get("/nodes").await;
    assert_eq!(reply.status, 503);
    assert!(
        reply.message().contains("could not reach a manager"),
        "{}",
        reply.message()
    );
}
