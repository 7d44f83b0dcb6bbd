//! Attach and exec take the connection over: `101 UPGRADED`, then bytes both ways.

use crate::connection::Origin;
use crate::reply::{Answer, Failure};
use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use hyper::ext::ReasonPhrase;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use shoal_api_backend::{ApiVersion, Attached, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const RAW: &str = "application/vnd.docker.raw-stream";
const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";

/// Bytes of one piece on its way between client and process: at first, and where there are many.
const COPY_BYTES: usize = 16 << 10;
const COPY_BYTES_MAX: usize = 128 << 10;

/// Docker's two kinds of byte streams; clients before API 1.42 know only one name for both.
pub(crate) fn content_type(tty: bool, version: ApiVersion) -> &'static str {
    if tty || !version.at_least(42) {
        RAW
    } else {
        MULTIPLEXED
    }
}

/// The right to take over the connection that a request came on.
pub(crate) struct Takeover {
    upgrade: OnUpgrade,
    origin: Origin,
    protocol: HeaderValue,
}

impl Takeover {
    pub fn of(request: &mut http::Request<Body>) -> Result<Self, Failure> {
        let protocol = request.headers().get(header::UPGRADE).cloned();
        let upgrade = request.extensions_mut().remove::<OnUpgrade>();
        let origin = request.extensions().get::<Origin>().cloned();
        match (upgrade, origin) {
            (Some(upgrade), Some(origin)) => Ok(Self {
                upgrade,
                origin,
                protocol: protocol.unwrap_or(HeaderValue::from_static("tcp")),
            }),
            _ => Err(Error::invalid("this connection cannot be taken over: HTTP/1.1 is needed").into()),
        }
    }

    /// Replies, and joins the two ends until both have ended.
    pub fn join(self, attached: Attached, version: ApiVersion) -> Answer {
        let kind = content_type(attached.tty, version);
        Ok(self.reply(kind, std::future::ready(attached)))
    }

    /// Replies, and then does `start`: the other end of the connection. What fails after a takeover can be said in the
    /// stream only. The reply goes first, as with Docker: clients over TCP that read it through a buffer must not find
    /// output behind it.
    pub fn start(
        self,
        tty: bool,
        version: ApiVersion,
        start: impl Future<Output = shoal_api_backend::Result<Attached>> + Send + 'static,
    ) -> Answer {
        let far = async move {
            start.await.unwrap_or_else(|error| {
                let text = format!("{}\r\n", error.message);
                let bytes = if tty { text.into_bytes() } else { frame(1, &text) };
                let stream = tokio::io::join(std::io::Cursor::new(bytes), tokio::io::sink());
                Attached {
                    tty,
                    stream: Box::new(stream),
                }
            })
        };
        Ok(self.reply(content_type(tty, version), far))
    }

    fn reply(self, kind: &'static str, far: impl Future<Output = Attached> + Send + 'static) -> Response {
        self.origin.taken.take();
        let (upgrade, origin) = (self.upgrade, self.origin);
        tokio::spawn(async move {
            match upgrade.await {
                Ok(client) => pump(TokioIo::new(client), &origin, far.await).await,
                Err(reason) => {
                    tracing::debug!(%reason, "the client left before its connection was taken over")
                }
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response
            .extensions_mut()
            .insert(ReasonPhrase::from_static(b"UPGRADED"));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, self.protocol);
        response
    }
}

/// One of Docker's frames: stream, three zeros, length, bytes.
fn frame(stream: u8, text: &str) -> Vec<u8> {
    let mut frame = vec![stream, 0, 0, 0];
    frame.extend_from_slice(&(text.len() as u32).to_be_bytes());
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// Copies until the output has ended. The end of the client's bytes closes stdin and leaves the output alone.
async fn pump(
    client: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    origin: &Origin,
    attached: Attached,
) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_process, mut to_process) = tokio::io::split(attached.stream);
    let input = async {
        copy(&mut from_client, &mut to_process).await;
        let _ = to_process.shutdown().await;
        // The output decides when it is over.
        std::future::pending::<()>().await
    };
    let output = async {
        let _ = to_client.flush().await;
        origin.taken_in().await;
        copy(&mut from_process, &mut to_client).await;
        let _ = to_client.shutdown().await;
    };
    tokio::select! {
        () = input => {}
        () = output => {}
    }
}

/// Copies and flushes what it has whenever it would have to wait; ends at the end or at the first error.
async fn copy(from: &mut (impl tokio::io::AsyncRead + Unpin), to: &mut (impl tokio::io::AsyncWrite + Unpin)) {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        if to.write_all(&buffer[..count]).await.is_err() || to.flush().await.is_err() {
            return;
        }
        // Much comes: fewer, larger pieces.
        if count == buffer.len() && count < COPY_BYTES_MAX {
            buffer = vec![0; count * 2];
        }
    }
}
