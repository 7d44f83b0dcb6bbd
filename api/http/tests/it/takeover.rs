use crate::fake::frame;
use crate::wire::{Daemon, until};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: tcp\r\n";

#[tokio::test]
async fn with_an_upgrade_the_answer_is_101() {
    let daemon = Daemon::start().await;
    for (version, kind) in [
        ("/v1.41", "application/vnd.docker.raw-stream"),
        ("/v1.42", "application/vnd.docker.multiplexed-stream"),
        ("", "application/vnd.docker.multiplexed-stream"),
    ] {
        let mut socket = daemon.connect().await;
        let head = format!(
            "POST {version}/containers/echo/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: d\r\n{UPGRADE}\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let reply = String::from_utf8(until(&mut socket, b"\r\n\r\n").await).unwrap();
        assert!(reply.starts_with("HTTP/1.1 101 UPGRADED\r\n"), "{reply}");
        assert!(
            reply.contains("Connection: Upgrade\r\n") && reply.contains("Upgrade: tcp\r\n"),
            "{reply}"
        );
        assert!(reply.contains(&format!("Content-Type: {kind}\r\n")), "{reply}");
        socket.write_all(b"hello").await.unwrap();
        // Half-closed: the process sees its input end, and what it says then still arrives.
        socket.shutdown().await.unwrap();
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, frame(1, b"got: hello"));
    }
}

#[tokio::test]
async fn without_an_upgrade_the_answer_is_200_and_raw() {
    let daemon = Daemon::start().await;
    // What is pipelined behind the request is the process's.
    let mut socket = daemon.connect().await;
    socket
        .write_all(b"POST /containers/cat/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: d\r\n\r\nearly\r\n\r\n")
        .await
        .unwrap();
    let wanted = frame(1, b"early\r\n\r\n");
    let all = until(&mut socket, &wanted).await;
    let head = String::from_utf8_lossy(&all);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        !head.contains("Content-Length") && !head.contains("Transfer-Encoding") && !head.contains("Upgrade"),
        "{head}"
    );
    assert!(
        head.contains("Content-Type: application/vnd.docker.raw-stream\r\n"),
        "{head}"
    );
    assert!(all.ends_with(&[b"\r\n\r\n".as_slice(), &wanted].concat()));
    socket.write_all(b"later").await.unwrap();
    until(&mut socket, &frame(1, b"later")).await;
}

#[tokio::test]
async fn a_terminal_is_raw_in_every_version() {
    let daemon = Daemon::start().await;
    let mut socket = daemon.connect().await;
    socket
        .write_all(format!("POST /containers/tty/attach HTTP/1.1\r\nHost: d\r\n{UPGRADE}\r\nx").as_bytes())
        .await
        .unwrap();
    socket.shutdown().await.unwrap();
    let mut all = Vec::new();
    socket.read_to_end(&mut all).await.unwrap();
    let text = String::from_utf8(all).unwrap();
    assert!(
        text.contains("application/vnd.docker.raw-stream") && text.ends_with("\r\n\r\ngot: x"),
        "{text}"
    );
}

#[tokio::test]
async fn exec_has_a_body_before_its_stream() {
    let daemon = Daemon::start().await;
    let body = r#"{"Detach":false,"Tty":false}"#;
    for upgrade in [UPGRADE, ""] {
        let mut socket = daemon.connect().await;
        let text = format!(
            "POST /v1.45/exec/echo/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n{upgrade}Content-Length: {}\r\n\r\n{body}stdin",
            body.len()
        );
        socket.write_all(text.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
        socket.write_all(b" more").await.unwrap();
        socket.shutdown().await.unwrap();
        let mut all = Vec::new();
        socket.read_to_end(&mut all).await.unwrap();
        let start = if upgrade.is_empty() {
            "HTTP/1.1 200 OK\r\n"
        } else {
            "HTTP/1.1 101 UPGRADED\r\n"
        };
        assert!(
            all.starts_with(start.as_bytes()),
            "{}",
            String::from_utf8_lossy(&all)
        );
        assert!(
            all.ends_with(&frame(1, b"got: stdin more")),
            "{}",
            String::from_utf8_lossy(&all)
        );
    }
}

#[tokio::test]
async fn the_head_of_a_takeover_is_a_read_of_its_own() {
    // docker-py reads the head through a buffer, and the output from the socket below it.
    let daemon = Daemon::start().await;
    for target in ["/exec/echo/start", "/containers/echo/attach"] {
        for upgrade in [UPGRADE, ""] {
            let mut socket = daemon.connect().await;
            let text = format!("POST {target} HTTP/1.1\r\nHost: d\r\n{upgrade}\r\nx");
            socket.write_all(text.as_bytes()).await.unwrap();
            socket.shutdown().await.unwrap();
            // Head and output are both there by then.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut first = vec![0; 8192];
            let count = socket.read(&mut first).await.unwrap();
            assert!(
                first[..count].ends_with(b"\r\n\r\n"),
                "{}",
                String::from_utf8_lossy(&first[..count])
            );
            let mut rest = Vec::new();
            socket.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, frame(1, b"got: x"));
        }
    }
}

#[tokio::test]
async fn who_waits_to_be_asked_for_the_body_is_taken_over_too() {
    let daemon = Daemon::start().await;
    let mut socket = daemon.connect().await;
    let text =
        "POST /exec/echo/start HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}x";
    socket.write_all(text.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut all = Vec::new();
    socket.read_to_end(&mut all).await.unwrap();
    let text = String::from_utf8_lossy(&all);
    assert!(
        text.contains("HTTP/1.1 200 OK\r\n") && !text.contains(" 101 "),
        "{text}"
    );
    assert!(all.ends_with(&frame(1, b"got: x")), "{text}");
}

#[tokio::test]
async fn failures_before_a_takeover_are_plain_replies_on_a_connection_that_lives_on() {
    let daemon = Daemon::start().await;
    let mut socket = daemon.connect().await;
    for upgrade in [UPGRADE, ""] {
        for target in ["/containers/nope/attach", "/exec/nope/start"] {
            socket
                .write_all(format!("POST {target} HTTP/1.1\r\nHost: d\r\n{upgrade}\r\n").as_bytes())
                .await
                .unwrap();
            let reply = String::from_utf8(until(&mut socket, b"}\n").await).unwrap();
            assert!(
                reply.starts_with("HTTP/1.1 404 Not Found\r\n") && reply.contains("nope"),
                "{reply}"
            );
        }
    }
    socket
        .write_all(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        .await
        .unwrap();
    until(&mut socket, b"\r\n\r\nOK").await;
}

#[tokio::test]
async fn an_exec_that_does_not_start_says_so_in_its_stream() {
    let daemon = Daemon::start().await;
    let mut socket = daemon.connect().await;
    socket
        .write_all(format!("POST /exec/forever/start HTTP/1.1\r\nHost: d\r\n{UPGRADE}\r\n").as_bytes())
        .await
        .unwrap();
    let mut all = Vec::new();
    socket.read_to_end(&mut all).await.unwrap();
    assert!(all.starts_with(b"HTTP/1.1 101 UPGRADED\r\n"));
    assert!(all.ends_with(&frame(
        1,
        b"OCI runtime exec failed: exec: \"nope\": executable file not found in $PATH\r\n"
    )));
}

#[tokio::test]
async fn a_detached_exec_is_no_takeover() {
    let daemon = Daemon::start().await;
    let mut socket = daemon.connect().await;
    let body = r#"{"Detach":true}"#;
    for _ in 0..2 {
        let text = format!(
            "POST /exec/echo/start HTTP/1.1\r\nHost: d\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(text.as_bytes()).await.unwrap();
        let reply = String::from_utf8(until(&mut socket, b"\r\n\r\n").await).unwrap();
        assert!(
            reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.contains("Content-Length: 0"),
            "{reply}"
        );
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let daemon = Daemon::start().await;
    let mut socket = daemon.connect().await;
    let two = "POST /volumes/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n{\"Name\":\"v\"}\r\n0\r\n\r\nGET /_ping HTTP/1.1\r\nHost: d\r\n\r\n";
    let attach = format!("POST /containers/cat/attach HTTP/1.1\r\nHost: d\r\n{UPGRADE}\r\nin");
    socket
        .write_all(format!("{two}{attach}").as_bytes())
        .await
        .unwrap();
    let all = until(&mut socket, &frame(1, b"in")).await;
    let text = String::from_utf8_lossy(&all);
    let places: Vec<_> = ["201 Created", "\"Name\":\"v\"", "\r\n\r\nOK", "101 UPGRADED"]
        .iter()
        .map(|w| text.find(w).unwrap())
        .collect();
    assert!(places.is_sorted(), "{text}");
}
