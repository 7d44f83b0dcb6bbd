//! The connection as hyper sees it, byte for byte.

use super::*;
use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn requests_are_never_mixed_and_what_follows_a_takeover_is_raw() {
    let (mut client, server) = tokio::io::duplex(1 << 16);
    let taken = Taken::default();
    let mut connection = Connection::new(
        server,
        taken.clone(),
        Lane::default(),
        Arc::default(),
        Attention::default(),
    );
    let chunked = "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let attach = "POST /v1.41/containers/a/attach?stream=1 HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n";
    let all = format!("{chunked}GET / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi{attach}stdin\r\n\r\nmore");
    client.write_all(all.as_bytes()).await.unwrap();
    let mut parts = Vec::new();
    let mut buffer = vec![0; 4096];
    for _ in 0..7 {
        let count = connection.read(&mut buffer).await.unwrap();
        parts.push(String::from_utf8_lossy(&buffer[..count]).into_owned());
    }
    assert_eq!(parts[..5].concat(), chunked);
    assert_eq!(parts[5], "GET / HTTP/1.1\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(parts[6], "hi");
    let count = connection.read(&mut buffer).await.unwrap();
    let head = "POST /v1.41/containers/a/attach?stream=1 HTTP/1.1\r\nConnection: Upgrade, close\r\nUpgrade: tcp\r\nHost: d\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(&buffer[..count]), head);
    taken.take();
    connection
        .write_all(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nContent-")
        .await
        .unwrap();
    connection
        .write_all(b"Type: x\r\nUpgrade: tcp\r\n\r\nout")
        .await
        .unwrap();
    connection.flush().await.unwrap();
    let count = client.read(&mut buffer).await.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&buffer[..count]),
        "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nout"
    );
    let count = connection.read(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..count], b"stdin\r\n\r\nmore");
}

#[tokio::test]
async fn targets_that_go_takes_are_escaped_for_hyper() {
    let target = |raw: &'static [u8]| async move {
        let (mut client, server) = tokio::io::duplex(1 << 12);
        let lane = Lane::default();
        let mut connection = Connection::new(
            server,
            Taken::default(),
            lane,
            Arc::default(),
            Attention::default(),
        );
        let request = [b"GET ", raw, b" HTTP/1.1\r\nX: {\"}\r\n\r\n"].concat();
        client.write_all(&request).await.unwrap();
        let mut buffer = vec![0; 4096];
        let count = connection.read(&mut buffer).await.unwrap();
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    let rest = " HTTP/1.1\r\nX: {\"}\r\n\r\n";
    let escaped = target(br#"/images/json?filters={"label":["a=b"]}"#).await;
    assert_eq!(
        escaped,
        format!("GET /images/json?filters=%7B%22label%22:[%22a=b%22]%7D{rest}")
    );
    let escaped = target("/containers/ä|b/json?x=#%41".as_bytes()).await;
    assert_eq!(escaped, format!("GET /containers/%C3%A4%7Cb/json?x=%23%41{rest}"));
    let plain = target(b"/x?a=b&c=%7B").await;
    assert_eq!(plain, format!("GET /x?a=b&c=%7B{rest}"));
}

/// Wherever a body is cut on its way, its request is given whole and nothing of the next one with it.
#[tokio::test]
async fn bodies_pass_however_they_are_cut() {
    let head = "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = format!(
        "5;x=y\r\nhello\r\n{:x}\r\n{}\r\n0\r\nTrailer: t\r\n\r\n",
        3000,
        "b".repeat(3000)
    );
    let sized = "PUT /y HTTP/1.1\r\nContent-Length: 4\r\n\r\n";
    let all = format!("{body}{sized}bodyGET / HTTP/1.1\r\n\r\n");
    let ends = [body.len(), body.len() + sized.len() + 4, all.len()];
    for cut in (1..40).chain([63, 64, 1000, 3000, 10_000]) {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        let mut connection = Connection::new(
            server,
            Taken::default(),
            Lane::default(),
            Arc::default(),
            Attention::default(),
        );
        client.write_all(head.as_bytes()).await.unwrap();
        let mut buffer = vec![0; 4096];
        let count = connection.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..count], head.as_bytes());
        // Once, so that the handler can say what it does with the body.
        assert!(connection.read(&mut buffer).now_or_never().is_none());
        let mut seen = Vec::new();
        for piece in all.as_bytes().chunks(cut) {
            client.write_all(piece).await.unwrap();
            // What is there and can be given, until more is needed.
            while let Some(count) = connection.read(&mut buffer).now_or_never() {
                let (from, to) = (seen.len(), seen.len() + count.unwrap());
                seen.extend_from_slice(&buffer[..to - from]);
                let mixed = ends.iter().any(|end| from < *end && *end < to);
                assert!(!mixed, "{cut}: {from} to {to}");
            }
        }
        assert_eq!(String::from_utf8_lossy(&seen), all, "{cut}");
    }
}
