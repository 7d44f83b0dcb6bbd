use crate::wire::Daemon;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn malformed_requests_are_refused_and_harm_nobody() {
    let daemon = Daemon::start().await;
    let long_header = format!(
        "GET /_ping HTTP/1.1\r\nHost: d\r\nX: {}\r\n\r\n",
        "a".repeat(2 << 20)
    );
    let many_headers = format!(
        "GET /_ping HTTP/1.1\r\nHost: d\r\n{}\r\n",
        "X: y\r\n".repeat(5000)
    );
    let long_line = format!("GET /{} HTTP/1.1\r\nHost: d\r\n\r\n", "a".repeat(1 << 20));
    for text in [
        "GARBAGE\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET /_ping HTTP/9.9\r\n\r\n",
        "GET /_ping HTTP/1.1\r\nno colon\r\n\r\n",
        "POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Length: x\r\n\r\n",
        "POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Length: -1\r\n\r\n",
        "POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST /volumes/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        "GET /%zz HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n",
        "GET /images/%ff%fe/json HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n",
        "GET /containers/json?filters=%ff HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n",
        &long_header,
        &many_headers,
        &long_line,
    ] {
        let reply = daemon.raw(text.as_bytes()).await;
        let shown: String = text.chars().take(60).collect();
        assert!(
            reply.status == 0 || (400..500).contains(&reply.status),
            "{shown}: {}",
            reply.head
        );
    }
    assert_eq!(daemon.get("/_ping").await.status, 200);
}

#[tokio::test]
async fn bodies_are_bounded() {
    let daemon = Daemon::start().await;
    let deep = "[".repeat(100_000);
    let reply = daemon.post("/containers/create", &deep).await;
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (400, "invalid JSON: exceeded max depth")
    );
    let large = format!("{{\"Image\":\"{}\"}}", "a".repeat(9 << 20));
    let reply = daemon.post("/containers/create", &large).await;
    assert!(reply.status == 0 || reply.status == 400, "{}", reply.head);
    assert_eq!(daemon.get("/_ping").await.status, 200);
}

#[tokio::test]
async fn cut_off_requests_end_their_connection() {
    let daemon = Daemon::start().await;
    for text in [
        "GET /_pi",
        "GET /_ping HTTP/1.1\r\nHost:",
        "POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\n{",
        "POST /exec/echo/start HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\n{",
    ] {
        let mut socket = daemon.connect().await;
        socket.write_all(text.as_bytes()).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut all = Vec::new();
        let read =
            tokio::time::timeout(std::time::Duration::from_secs(5), socket.read_to_end(&mut all)).await;
        assert!(read.is_ok(), "{text:?} is left open");
        assert!(!all.starts_with(b"HTTP/1.1 2"), "{text:?}");
    }
}
