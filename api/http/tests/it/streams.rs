use crate::fake::{Fake, frame};
use crate::wire::{Daemon, until};
use shoal_api_http::router;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

async fn send(daemon: &Daemon, text: &str) -> tokio::net::UnixStream {
    let mut socket = daemon.connect().await;
    socket
        .write_all(format!("{text} HTTP/1.1\r\nHost: d\r\n\r\n").as_bytes())
        .await
        .unwrap();
    socket
}

#[tokio::test]
async fn wait_sends_its_header_before_the_container_starts() {
    let daemon = Daemon::start().await;
    let mut wait = send(&daemon, "POST /v1.51/containers/echo/wait?condition=next-exit").await;
    let head = String::from_utf8(until(&mut wait, b"\r\n\r\n").await).unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("Content-Type: application/json"),
        "{head}"
    );
    assert_eq!(
        daemon.call("POST", "/containers/echo/start", "", "").await.status,
        204
    );
    until(&mut wait, b"{\"StatusCode\":3}\n").await;
    assert_eq!(
        daemon.call("POST", "/containers/nope/wait", "", "").await.status,
        404
    );
}

#[tokio::test]
async fn headers_of_events_come_before_the_first_event() {
    let daemon = Daemon::start().await;
    let began = Instant::now();
    let mut events = send(&daemon, "GET /v1.51/events").await;
    until(&mut events, b"\r\n\r\n").await;
    assert!(
        began.elapsed() < Duration::from_millis(150),
        "the first event comes after 200 ms"
    );
    let line = String::from_utf8(until(&mut events, b"\n\r\n").await).unwrap();
    assert!(
        line.contains(r#"{"status":"start","id":"abc","from":"i","Type":"container","Action":"start""#),
        "{line}"
    );
    // Newer clients get no copies, and the kind of stream that they ask for.
    let mut socket = daemon.connect().await;
    socket
        .write_all(b"GET /v1.52/events HTTP/1.1\r\nHost: d\r\nAccept: application/json-seq\r\n\r\n")
        .await
        .unwrap();
    let text = String::from_utf8(until(&mut socket, b"}\n").await).unwrap();
    assert!(
        text.contains("Content-Type: application/json-seq") && text.contains("\x1e{\"Type\":\"container\""),
        "{text}"
    );
}

#[tokio::test]
async fn a_stream_ends_when_its_reader_has_gone() {
    let fake = Fake::default();
    let daemon = Daemon::serving(router(fake.backends())).await;
    let mut readers = Vec::new();
    for text in [
        "POST /containers/echo/wait",
        "GET /events",
        "GET /containers/echo/logs?stdout=1&follow=1",
    ] {
        let mut socket = send(&daemon, text).await;
        until(&mut socket, b"\r\n\r\n").await;
        readers.push(socket);
    }
    assert_eq!(fake.0.open_streams.load(Ordering::SeqCst), 3);
    drop(readers);
    let began = Instant::now();
    while fake.0.open_streams.load(Ordering::SeqCst) > 0 {
        assert!(began.elapsed() < Duration::from_secs(5), "streams are left open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn logs_are_framed_and_typed_by_version() {
    let daemon = Daemon::start().await;
    let both = [frame(1, b"one\n"), frame(2, b"two\n")].concat();
    for (target, kind) in [
        (
            "/v1.41/containers/echo/logs?stdout=1",
            "application/vnd.docker.raw-stream",
        ),
        (
            "/v1.42/containers/echo/logs?stdout=1",
            "application/vnd.docker.multiplexed-stream",
        ),
        (
            "/v1.42/containers/tty/logs?stdout=1",
            "application/vnd.docker.raw-stream",
        ),
        (
            "/services/x/logs?stdout=1",
            "application/vnd.docker.multiplexed-stream",
        ),
    ] {
        let reply = daemon.get(target).await;
        assert_eq!(
            (reply.status, reply.header("Content-Type")),
            (200, Some(kind)),
            "{target}"
        );
        assert_eq!(reply.body, both);
    }
}

#[tokio::test]
async fn progress_is_flushed_and_its_failures_are_told_apart() {
    let daemon = Daemon::start().await;
    let mut slow = send(&daemon, "POST /images/create?fromImage=slow").await;
    until(&mut slow, b"{\"status\":\"Pulling\"}\n").await;
    let refused = daemon
        .call("POST", "/images/create?fromImage=refused", "", "")
        .await;
    assert_eq!(
        (refused.status, refused.message().as_str()),
        (404, "pull access denied for refused")
    );
    let broken = daemon
        .call("POST", "/images/create?fromImage=broken", "", "")
        .await;
    assert_eq!(broken.status, 200);
    let last = r#"{"errorDetail":{"message":"unexpected EOF"},"error":"unexpected EOF"}"#;
    assert_eq!(broken.text().lines().last(), Some(last));
}

#[tokio::test]
async fn uploads_stream_in() {
    let daemon = Daemon::start().await;
    let big = "x".repeat(3 << 20);
    let reply = daemon
        .call(
            "POST",
            "/images/load",
            "Content-Type: application/x-tar\r\n",
            &big,
        )
        .await;
    assert_eq!(reply.text(), "{\"stream\":\"3145728 bytes\"}\n");
    let reply = daemon
        .call(
            "POST",
            "/images/create?fromSrc=-&repo=r",
            "Content-Type: text/plain\r\n",
            "tar",
        )
        .await;
    assert_eq!(reply.text(), "{\"status\":\"3 bytes\"}\n");
    assert_eq!(daemon.get("/images/get?names=a").await.text(), "tar");
}
