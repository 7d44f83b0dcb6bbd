//! Bodies of unknown length that a handler takes as bytes, on their way past hyper.

use crate::fake::{Fake, WANTED_FROM};
use crate::wire::{Daemon, Reply, until};
use shoal_api_http::router;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HEAD: &str = "POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Bytes that show where they belong.
fn content(count: usize) -> Vec<u8> {
    (0..count as u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .take(count)
        .collect()
}

fn chunked(content: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in content.chunks(size) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Whatever the client's chunks and writes are, the handler gets every byte in its order, and the next request on the
/// connection is answered as if nothing had been.
#[tokio::test]
async fn every_byte_arrives_and_the_connection_lives_on() {
    let fake = Fake::default();
    let daemon = Daemon::serving(router(fake.backends())).await;
    let mut socket = daemon.connect().await;
    for (count, chunk, write) in [
        (0, 1, 1),
        (1, 1, 1),
        (3_000, 1, 7),
        (20_000, 13, 4096),
        (100_000, 4096, 61),
        (700_000, 32 << 10, 28_678),
        (700_000, 700_000, 100_000),
        (3_000_000, 1 << 20, 3_100_000),
        (2_000_000, 1000, 65_536),
    ] {
        let content = content(count);
        let mut text = HEAD.as_bytes().to_vec();
        text.extend(chunked(&content, chunk));
        text.extend_from_slice(b"0;last=yes\r\nTrailer: t\r\n\r\nGET /_ping HTTP/1.1\r\nHost: d\r\n\r\n");
        for piece in text.chunks(write) {
            socket.write_all(piece).await.unwrap();
        }
        let answers = until(&mut socket, b"\r\n\r\nOK").await;
        let answers = String::from_utf8_lossy(&answers).into_owned();
        assert!(
            answers.contains(&format!("{count} bytes")),
            "{count} {chunk}: {answers}"
        );
        let uploaded = std::mem::take(&mut *fake.0.uploaded.lock().unwrap());
        assert!(uploaded == content, "{count} {chunk} {write}");
    }
}

/// What the handler has no use for counts and is not carried; what follows it is, to the byte.
#[tokio::test]
async fn bytes_of_no_use_come_as_zeros() {
    let fake = Fake::default();
    let daemon = Daemon::serving(router(fake.backends())).await;
    let mut socket = daemon.connect().await;
    let from = WANTED_FROM as usize;
    for (count, chunk) in [
        (16_000_000, 32 << 10),
        (16_000_000, 3_000_000),
        (from - 5, 70_000),
    ] {
        let mut content = content(count);
        content[..4].copy_from_slice(b"pass");
        let mut text = HEAD.as_bytes().to_vec();
        text.extend(chunked(&content, chunk));
        text.extend_from_slice(b"0\r\n\r\nGET /_ping HTTP/1.1\r\nHost: d\r\n\r\n");
        socket.write_all(&text).await.unwrap();
        let answers = until(&mut socket, b"\r\n\r\nOK").await;
        let answers = String::from_utf8_lossy(&answers).into_owned();
        assert!(answers.contains(&format!("{count} bytes")), "{count}: {answers}");
        let uploaded = std::mem::take(&mut *fake.0.uploaded.lock().unwrap());
        let from = from.min(count);
        assert!(uploaded[from..] == content[from..], "{count} {chunk}");
        let same = uploaded.iter().zip(&content).take_while(|(a, b)| a == b).count();
        assert!(same < from, "{count} {chunk}: all of it was carried");
        let zeros = &uploaded[same..from];
        assert!(zeros.iter().all(|byte| *byte == 0), "{count} {chunk}: {same}");
        assert!(zeros.len() > 1_000_000, "{count} {chunk}: {same}");
    }
}

/// Framing out of the ordinary is hyper's to judge, wherever in the body it stands.
#[tokio::test]
async fn what_is_wrong_with_a_body_is_told() {
    let daemon = Daemon::start().await;
    for (tail, fine) in [
        ("5\r\nhello\r\n0\r\n\r\n", true),
        ("5;ext=1\r\nhello\r\n5\r\nthere\r\n0\r\n\r\n", true),
        ("05\r\nhello\r\n00\r\n\r\n", true),
        ("5\r\nhello0\r\n\r\n", false),
        ("5\r\nhello\n\n0\r\n\r\n", false),
        ("+5\r\nhello\r\n0\r\n\r\n", false),
        ("5\r\nhello\r\n-1\r\n\r\n", false),
        ("fffffffffffffffff\r\nhello\r\n0\r\n\r\n", false),
        ("\r\n", false),
    ] {
        for before in [&b""[..], &content(300_000)] {
            let mut text = HEAD.replace("Host", "Connection: close\r\nHost").into_bytes();
            text.extend(chunked(before, 50_000));
            text.extend_from_slice(tail.as_bytes());
            let reply = daemon.raw(&text).await;
            let told = reply.status == 200 && reply.text().contains("bytes");
            assert_eq!(told, fine, "{tail:?} {}: {reply:?}", before.len());
        }
    }
    assert_eq!(daemon.get("/_ping").await.status, 200);
}

/// A client that goes in the middle ends the upload; one whose upload is refused in the middle reads why.
#[tokio::test]
async fn an_upload_may_end_before_its_end() {
    let fake = Fake::default();
    let daemon = Daemon::serving(router(fake.backends())).await;
    let mut socket = daemon.connect().await;
    socket.write_all(HEAD.as_bytes()).await.unwrap();
    socket
        .write_all(&chunked(&content(400_000), 32 << 10))
        .await
        .unwrap();
    socket.write_all(b"8000\r\nhalf").await.unwrap();
    socket.shutdown().await.unwrap();
    let mut all = Vec::new();
    socket.read_to_end(&mut all).await.unwrap();
    assert!(!String::from_utf8_lossy(&all).contains("bytes"), "{all:?}");

    let mut socket = daemon.connect().await;
    socket.write_all(HEAD.as_bytes()).await.unwrap();
    let refused = [b"refuse".as_slice(), &content(200_000)].concat();
    let (mut from, mut to) = socket.split();
    let sending = async {
        // For as long as anybody reads it.
        while to.write_all(&chunked(&refused, 32 << 10)).await.is_ok() {}
    };
    let mut all = Vec::new();
    let reading = async {
        let _ = from.read_to_end(&mut all).await;
    };
    let both = async { tokio::join!(sending, reading) };
    tokio::time::timeout(Duration::from_secs(10), both)
        .await
        .expect("no end");
    let reply = Reply::parse(&all);
    assert_eq!((reply.status, reply.message().as_str()), (400, "refused"));
    assert_eq!(daemon.get("/_ping").await.status, 200);
}
