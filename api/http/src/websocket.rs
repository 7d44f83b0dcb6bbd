//! Attach through a websocket: the process's bytes, without Docker's frames, in messages; the messages' bytes are its
//! input. The end of the output closes the socket; a socket that the client closes is a client that left.

use crate::connection::Origin;
use crate::reply::{Answer, Failure};
use axum::body::Body;
use axum::response::Response;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use shoal_api_backend::{Attached, Error};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

/// A message of a client's may be this large; what it types is smaller by far.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// The right to make a websocket of the connection that a request came on.
pub(crate) struct Handshake {
    upgrade: OnUpgrade,
    origin: Origin,
    accept: HeaderValue,
}

impl Handshake {
    pub fn of(request: &mut http::Request<Body>) -> Result<Self, Failure> {
        let bad = |why: &str| Failure(Error::invalid(why.to_owned()));
        let asked = request.headers().get(header::UPGRADE);
        if !asked.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket")) {
            return Err(bad(
                "websocket: the request does not ask for an upgrade to a websocket",
            ));
        }
        let key = request.headers().get(header::SEC_WEBSOCKET_KEY);
        let key = key.ok_or_else(|| bad("websocket: Sec-WebSocket-Key is missing"))?;
        let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
            .map_err(|_| bad("websocket: Sec-WebSocket-Key is not to be used"))?;
        let upgrade = request.extensions_mut().remove::<OnUpgrade>();
        let origin = request.extensions().get::<Origin>().cloned();
        match (upgrade, origin) {
            (Some(upgrade), Some(origin)) => Ok(Self {
                upgrade,
                origin,
                accept,
            }),
            _ => Err(bad("this connection cannot be taken over: HTTP/1.1 is needed")),
        }
    }

    /// Replies, and joins the two ends until one has ended. Messages are text for clients that know no other.
    pub fn join(self, attached: Attached, binary: bool) -> Answer {
        self.origin.taken.take();
        let (upgrade, origin) = (self.upgrade, self.origin);
        tokio::spawn(async move {
            match upgrade.await {
                Ok(client) => {
                    let limits = WebSocketConfig::default()
                        .max_message_size(Some(MESSAGE_BYTES_MAX))
                        .max_frame_size(Some(MESSAGE_BYTES_MAX));
                    let io = TokioIo::new(client);
                    origin.taken_in().await;
                    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(limits)).await;
                    pump(socket, attached, binary).await;
                }
                Err(reason) => tracing::debug!(%reason, "the client left before its websocket was there"),
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.accept);
        Ok(response)
    }
}

async fn pump<IO: AsyncRead + tokio::io::AsyncWrite + Unpin>(
    socket: WebSocketStream<IO>,
    attached: Attached,
    binary: bool,
) {
    let (mut to_client, mut from_client) = socket.split();
    let (from_process, mut to_process) = tokio::io::split(attached.stream);
    let mut output = Output {
        stream: from_process,
        framed: !attached.tty,
        left: 0,
    };
    let input = async {
        while let Some(Ok(message)) = from_client.next().await {
            let bytes = match message {
                Message::Binary(bytes) => bytes,
                Message::Text(text) => text.into(),
                Message::Close(_) => return,
                _ => continue,
            };
            if to_process.write_all(&bytes).await.is_err() || to_process.flush().await.is_err() {
                // It takes no more; what it says still comes.
                return std::future::pending().await;
            }
        }
    };
    let answers = async {
        let mut buffer = vec![0; 32 << 10];
        while let Some(count) = output.read(&mut buffer).await {
            let bytes = &buffer[..count];
            let message = match binary {
                true => Message::binary(bytes.to_vec()),
                false => Message::text(String::from_utf8_lossy(bytes).into_owned()),
            };
            if to_client.send(message).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = input => {}
        () = answers => {}
    }
    let _ = to_client.close().await;
}

/// A process's output without the frames that it comes in.
struct Output<S> {
    stream: S,
    framed: bool,
    /// Bytes of the present frame that are still to come.
    left: usize,
}

impl<S: AsyncRead + Unpin> Output<S> {
    /// `None` at the end.
    async fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let mut want = buffer.len();
        if self.framed {
            while self.left == 0 {
                let mut head = [0; 8];
                self.stream.read_exact(&mut head).await.ok()?;
                self.left = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
            }
            want = want.min(self.left);
        }
        let count = self
            .stream
            .read(&mut buffer[..want])
            .await
            .ok()
            .filter(|n| *n > 0)?;
        self.left = self.left.saturating_sub(count);
        Some(count)
    }
}
