//! A daemon of fakes on a socket of its own, and requests written by hand.

use crate::fake;
use shoal_api_http::{Limits, Listener, Router, Serving, router, serve};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

pub struct Daemon {
    pub socket: PathBuf,
    pub shutdown: CancellationToken,
    _dir: tempfile::TempDir,
}

impl Daemon {
    pub async fn start() -> Self {
        Self::serving(router(fake::backends())).await
    }
    pub async fn serving(router: Router) -> Self {
        Self::bounded(router, Limits::default()).await
    }
    pub async fn bounded(router: Router, limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("api.sock");
        let listener = Listener::unix(&socket, Some("")).unwrap();
        let shutdown = CancellationToken::new();
        let serving = Serving {
            limits,
            shutdown: shutdown.clone(),
            ..Serving::default()
        };
        tokio::spawn(serve(listener, router, serving));
        Self {
            socket,
            shutdown,
            _dir: dir,
        }
    }
    pub async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.socket).await.unwrap()
    }
    /// Sends a request and reads one reply.
    pub async fn call(&self, method: &str, target: &str, headers: &str, body: &str) -> Reply {
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let text = format!(
            "{method} {target} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n{headers}{length}\r\n{body}"
        );
        self.raw(text.as_bytes()).await
    }
    pub async fn get(&self, target: &str) -> Reply {
        self.call("GET", target, "", "").await
    }
    pub async fn post(&self, target: &str, body: &str) -> Reply {
        self.call("POST", target, "Content-Type: application/json\r\n", body)
            .await
    }
    /// Sends bytes and reads until the daemon closes.
    pub async fn raw(&self, bytes: &[u8]) -> Reply {
        let mut socket = self.connect().await;
        // The daemon may refuse before it has read everything.
        let _ = socket.write_all(bytes).await;
        let mut all = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut all))
            .await
            .expect("no end");
        Reply::parse(&all)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn parse(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .map_or(bytes.len(), |at| at + 4);
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let body = bytes[end..].to_vec();
        let body = if head.contains("Transfer-Encoding: chunked") {
            unchunk(&body)
        } else {
            body
        };
        Self { status, head, body }
    }
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
    pub fn message(&self) -> String {
        self.json()["message"]
            .as_str()
            .unwrap_or_else(|| panic!("no message: {self:?}"))
            .to_owned()
    }
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = bytes.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        out.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 4 + size..];
        if size == 0 {
            break;
        }
    }
    out
}

/// Reads from a socket until `wanted` has come.
pub async fn until(socket: &mut (impl AsyncReadExt + Unpin), wanted: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    let reading = async {
        while !all.windows(wanted.len()).any(|w| w == wanted) {
            let count = socket.read(&mut buffer).await.unwrap();
            assert!(
                count > 0,
                "ended without {:?}: {:?}",
                String::from_utf8_lossy(wanted),
                String::from_utf8_lossy(&all)
            );
            all.extend_from_slice(&buffer[..count]);
        }
    };
    let late = tokio::time::timeout(Duration::from_secs(10), reading)
        .await
        .is_err();
    assert!(
        !late,
        "{:?} never came: {:?}",
        String::from_utf8_lossy(wanted),
        String::from_utf8_lossy(&all)
    );
    all
}

pub fn golden(name: &str) -> serde_json::Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../types/tests/golden")
        .join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
