//! Requests made wrong: each is answered or its connection closed in time, nothing panics, and the next client is served.

use crate::wire::Daemon;
use shoal_tests_mutate::mutations;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What clients send: every kind of framing, parameter, body and takeover.
const SEEDS: [&str; 16] = [
    "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\nGET /v1.44/version HTTP/1.1\r\nHost: d\r\n\r\n",
    "HEAD /_ping HTTP/1.0\r\n\r\n",
    "GET /v1.44/containers/json?all=1&limit=5&size=true&filters=%7B%22label%22%3A%5B%22a%3Db%22%5D%7D HTTP/1.1\r\nHost: d\r\n\r\n",
    "GET /v1.24/containers/x/logs?stdout=1&tail=5&since=1.5&until=2024-01-01T00:00:00Z&timestamps=1 HTTP/1.1\r\nHost: d\r\n\r\n",
    "POST /v1.51/containers/create?name=x&platform=linux/arm64/v8 HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 97\r\n\r\n{\"Image\":\"x\",\"Cmd\":[\"a\"],\"Labels\":{\"a\":\"b\"},\"HostConfig\":{\"Memory\":5,\"Binds\":null,\"Init\":true}}\r\n",
    "POST /volumes/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n7;x=y\r\n{\"Name\"\r\n5\r\n:\"v\"}\r\n0\r\nTrailer: x\r\n\r\n",
    "POST /volumes/create HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    "POST /containers/cat/attach?stream=1&stdin=1&stdout=1&detachKeys=ctrl-p,q HTTP/1.1\r\nHost: d\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\nbytes for the process",
    "POST /v1.44/containers/cat/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: 0\r\n\r\nmore",
    "POST /exec/echo/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 29\r\n\r\n{\"Detach\":false,\"Tty\":true}  ",
    "GET /containers/cat/attach/ws?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\u{2}\u{5}\0\0\0\0hello\u{1}~\0\u{7f}",
    "GET /events?since=1&until=2&filters=%7B%22type%22%3A%7B%22container%22%3Atrue%7D%7D HTTP/1.1\r\nHost: d\r\nAccept: application/jsonl;q=0.5, */*\r\n\r\n",
    "PUT /containers/x/archive?path=%2F&noOverwriteDirNonDir=1 HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\n\r\n\0\0\0\0",
    "POST /images/create?fromImage=a%2Fb&tag=c&platform=%7B%22os%22%3A%22linux%22%7D HTTP/1.1\r\nHost: d\r\nX-Registry-Auth: eyJ1c2VybmFtZSI6InUifQ\r\n\r\n",
    "GET /system/df?type=volume&type=image HTTP/1.1\r\nHost: d\r\nConnection: keep-alive\r\n\r\n",
    "POST /containers/x/resize?h=10&w=70000 HTTP/1.1\nHost: d\n\n",
];
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_comes_is_answered_or_closed() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        before(info);
    }));
    let mut frames: Vec<Vec<u8>> = SEEDS.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    // A whole frame with a mask, a ping, a close, and one that says it is longer than anything.
    let handshake = SEEDS[10].split("\u{2}").next().unwrap_or_default().as_bytes();
    for frame in [
        &b"\x82\x85\x01\x02\x03\x04\x69\x67\x6f\x68\x6e"[..],
        b"\x89\x80\x01\x02\x03\x04\x88\x82\0\0\0\0\x03\xe8",
        b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
    ] {
        frames.push([handshake, frame].concat());
    }
    let daemon = Arc::new(Daemon::start().await);
    let mut inputs = Vec::new();
    mutations(&frames, 3000, |input| inputs.push(input.to_vec()));
    let inputs = Arc::new(std::sync::Mutex::new(inputs.into_iter()));
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let (daemon, inputs) = (daemon.clone(), inputs.clone());
            tokio::spawn(async move {
                loop {
                    let next = inputs.lock().expect("inputs").next();
                    let Some(input) = next else { return };
                    let mut socket = daemon.connect().await;
                    let exchange = async {
                        let _ = socket.write_all(&input).await;
                        let _ = socket.shutdown().await;
                        let mut all = Vec::new();
                        let _ = socket.read_to_end(&mut all).await;
                        all
                    };
                    let shown = || String::from_utf8_lossy(&input).into_owned();
                    let Ok(answer) = tokio::time::timeout(ANSWER_TIME_MAX, exchange).await else {
                        panic!("no end of {:?}", shown());
                    };
                    let fits = answer.is_empty() || answer.starts_with(b"HTTP/1.");
                    assert!(fits, "{:?} to {:?}", String::from_utf8_lossy(&answer), shown());
                    assert!(
                        !answer.starts_with(b"HTTP/1.1 500"),
                        "{:?} to {:?}",
                        String::from_utf8_lossy(&answer),
                        shown()
                    );
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.expect("no end, or no answer");
    }
    assert_eq!(daemon.get("/_ping").await.status, 200);
    assert_eq!(PANICS.load(Ordering::Relaxed), 0, "something panicked");
}
