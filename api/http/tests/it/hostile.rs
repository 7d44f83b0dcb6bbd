use crate::fake;
use crate::wire::Daemon;
use shoal_api_http::{Limits, router};
use std::time::{Duration, Instant};
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

#[tokio::test]
async fn those_who_say_nothing_make_room_for_those_who_do() {
    let limits = Limits {
        connections_max: 40,
        ..Limits::default()
    };
    let daemon = Daemon::bounded(router(fake::backends()), limits).await;
    // One that is being answered is nobody's room.
    let mut busy = daemon.connect().await;
    let attach = "POST /containers/echo/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n";
    busy.write_all(attach.as_bytes()).await.unwrap();
    let mut head = [0; 16];
    busy.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 101 UPG");
    let mut silent = Vec::new();
    for n in 0..400 {
        let mut socket = daemon.connect().await;
        // Half of them begin something that never ends.
        if n % 2 == 0 {
            let _ = socket.write_all(b"GET /_ping HTTP/1.1\r\nX: ").await;
        }
        silent.push(socket);
    }
    let begun = Instant::now();
    assert_eq!(daemon.get("/_ping").await.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let mut byte = [0];
    let first = tokio::time::timeout(Duration::from_secs(5), silent[0].read(&mut byte)).await;
    assert!(
        matches!(first, Ok(Ok(0) | Err(_))),
        "the first of them was closed: {first:?}"
    );
    busy.write_all(b"x").await.unwrap();
    let still = tokio::time::timeout(Duration::from_millis(200), busy.read(&mut byte)).await;
    assert!(
        !matches!(still, Ok(Ok(0) | Err(_))),
        "the busy one was closed: {still:?}"
    );
}

#[tokio::test]
async fn what_comes_drop_by_drop_is_waited_for_in_bounded_time() {
    let limits = Limits {
        head_timeout: Duration::from_millis(400),
        ..Limits::default()
    };
    let daemon = Daemon::bounded(router(fake::backends()), limits).await;
    for text in [
        "GET /_ping HTTP/1.1\r\nHost: d\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n",
        "POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Length: 90\r\n\r\n{\"Name\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
    ] {
        let mut socket = daemon.connect().await;
        let begun = Instant::now();
        let mut closed = false;
        for byte in text.as_bytes() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let mut buffer = [0; 512];
            let _ = socket.write_all(&[*byte]).await;
            if let Ok(Ok(_) | Err(_)) =
                tokio::time::timeout(Duration::from_millis(1), socket.read(&mut buffer)).await
            {
                closed = true;
                break;
            }
        }
        assert!(
            closed && begun.elapsed() < Duration::from_secs(3),
            "{text}: {:?}",
            begun.elapsed()
        );
    }
    assert_eq!(daemon.get("/_ping").await.status, 200);
}

#[tokio::test]
async fn an_answer_reaches_a_client_that_still_sends() {
    let daemon = Daemon::start().await;
    let head = "POST /containers/echo/start HTTP/1.1\r\nHost: d\r\nContent-Length: 8388608\r\n\r\n";
    let asked = async || {
        let mut socket = daemon.connect().await;
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        socket.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 400");
        socket
    };
    let mut socket = asked().await;
    for _ in 0..64 {
        socket.write_all(&[b'x'; 64 << 10]).await.expect("it may go on");
    }
    let mut rest = String::new();
    socket.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("non-empty request body"), "{rest}");
    // But not for ever.
    let mut slow = asked().await;
    let begun = Instant::now();
    while slow.write_all(b"x").await.is_ok() {
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "it is listened to for ever"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
