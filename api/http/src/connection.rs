//! One connection: hyper over the takeover shim, with bounds, and what handlers may know about who is at the far end.

use crate::attention::Attention;
use crate::lane::Lane;
use crate::listen::local::Quiet;
use crate::listen::room::Idle;
use crate::router::Router;
use crate::takeover::{Connection, Taken};
use crate::unread;
use axum::body::Body;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use shoal_api_backend::Duplex;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

/// Bytes of a tunnel under way in each direction.
const TUNNEL_BYTES: usize = 64 << 10;

/// As much of an unwanted body as Go's server reads before it closes a connection.
const SMALL_BODY_BYTES_MAX: u64 = 256 << 10;

/// Bounds of one connection.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A request's head must arrive within this time, and a small body; also how long an idle connection is kept.
    pub head_timeout: Duration,
    pub head_bytes_max: usize,
    pub headers_max: usize,
    /// Connections at once on one listener; beyond them the longest idle one is closed.
    pub connections_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(300),
            head_bytes_max: 256 << 10,
            headers_max: 256,
            connections_max: 4096,
        }
    }
}

/// The node that passed a request on, proven by its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub node_id: String,
}

/// What handlers may know of the connection; in every request's extensions.
#[derive(Clone)]
pub(crate) struct Origin {
    pub taken: Taken,
    pub lane: Lane,
    /// The node that passed the request on; None for a client of this daemon.
    pub peer: Option<Peer>,
    /// The client's, in DER; empty without TLS.
    pub certificates: Arc<[Vec<u8>]>,
    pub leaving: Leaving,
}

/// How to notice that the far end has gone while a reply is on its way: hyper reads nothing then.
#[derive(Clone)]
pub(crate) enum Leaving {
    /// A second handle on the TCP socket.
    Tcp(Arc<OwnedFd>),
    /// A second handle on the unix socket.
    Unix(Arc<OwnedFd>),
    /// Cancelled by whoever reads the connection.
    Told(CancellationToken),
    Unknown,
}

impl Origin {
    /// Returns when the client has closed its connection or its sending half. For replies that may stay silent for ever.
    async fn gone(&self) {
        let socket = match &self.leaving {
            Leaving::Tcp(fd) | Leaving::Unix(fd) => watchable(fd),
            Leaving::Told(token) => return token.cancelled().await,
            Leaving::Unknown => return std::future::pending().await,
        };
        let Ok(socket) = socket else {
            return std::future::pending().await;
        };
        loop {
            match socket.ready(Interest::READABLE).await {
                Ok(ready) if !ready.is_read_closed() => {
                    // Bytes are hyper's to read; saying that there are none waits for the next change.
                    let _ = socket.try_io(Interest::READABLE, || {
                        Err::<(), _>(std::io::ErrorKind::WouldBlock.into())
                    });
                }
                _ => return,
            }
        }
    }
}

impl Origin {
    /// Returns when the client has read everything that was written so far, or has gone. On a unix socket only: over TCP
    /// nobody can know, so it returns at once.
    ///
    /// docker-py reads a takeover's head through a buffer, and the stream from the bare socket below it: output that
    /// comes in one read with the head is lost to it.
    pub async fn taken_in(&self) {
        let Leaving::Unix(fd) = &self.leaving else { return };
        let Ok(socket) = watchable(fd) else { return };
        // The kernel tells of room whenever the reader has taken something.
        while let Ok(ready) = socket.ready(Interest::WRITABLE).await {
            if ready.is_write_closed() {
                return;
            }
            // Looked at inside: news that came between a look and the clearing would be cleared with what is old.
            let looked = socket.try_io(Interest::WRITABLE, || match unread::is_empty(fd) {
                true => Ok(()),
                false => Err(std::io::ErrorKind::WouldBlock.into()),
            });
            if looked.is_ok() {
                return;
            }
        }
    }
}

/// A handle of the socket's own to wait on. Whatever family it has: nothing but readiness is asked of it.
fn watchable(fd: &OwnedFd) -> std::io::Result<UnixStream> {
    UnixStream::from_std(std::os::unix::net::UnixStream::from(fd.try_clone()?))
}

impl Origin {
    /// Ends `body` when the client has gone, which drops whatever feeds it.
    pub fn until_gone(self, body: Body) -> Body {
        Body::from_stream(
            body.into_data_stream()
                .take_until(async move { self.gone().await }),
        )
    }
}

/// A body of stated and small size is read before anything is decided: an answer given while its bytes still lie unread in
/// the socket would be lost to the client with the reset that follows the close.
async fn whole_if_small(
    head: &http::request::Parts,
    body: Incoming,
    limit: Duration,
) -> std::io::Result<Body> {
    let length: Option<u64> = head
        .headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse().ok());
    match length {
        Some(1..=SMALL_BODY_BYTES_MAX) => match tokio::time::timeout(limit, body.collect()).await {
            Ok(Ok(whole)) => Ok(Body::from(whole.to_bytes())),
            Ok(Err(error)) => Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                error.to_string(),
            )),
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        },
        _ => Ok(Body::new(body)),
    }
}

/// Who is at the far end of a connection.
pub(crate) struct Who {
    pub leaving: Leaving,
    pub peer: Option<Peer>,
    pub certificates: Vec<Vec<u8>>,
    /// Told when it waits for a request.
    pub idle: Arc<Idle>,
}

impl Who {
    pub fn client(leaving: Leaving, idle: Arc<Idle>) -> Self {
        Self {
            idle,
            leaving,
            peer: None,
            certificates: Vec::new(),
        }
    }
}

/// Answers requests on one connection until it ends; finishes the present one when `shutdown` is cancelled.
pub(crate) async fn serve_connection<IO>(
    io: IO,
    router: Router,
    who: Who,
    limits: Limits,
    shutdown: CancellationToken,
) where
    IO: AsyncRead + AsyncWrite + Quiet + Send + Unpin + 'static,
{
    let (taken, lane) = (Taken::default(), Lane::default());
    let watched = match &who.leaving {
        Leaving::Tcp(socket) | Leaving::Unix(socket) => Some(socket.clone()),
        Leaving::Told(_) | Leaving::Unknown => None,
    };
    let plain = match &who.leaving {
        Leaving::Unix(socket) => Some(socket.clone()),
        _ => None,
    };
    let origin = Origin {
        taken: taken.clone(),
        lane: lane.clone(),
        peer: who.peer,
        certificates: who.certificates.into(),
        leaving: who.leaving,
    };
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (router, origin) = (router.clone(), origin.clone());
        async move {
            let (head, body) = request.into_parts();
            // Without a whole body there is nobody left to answer: the connection's own error says why.
            let body = whole_if_small(&head, body, limits.head_timeout).await?;
            Ok::<_, std::io::Error>(router.answer(http::Request::from_parts(head, body), origin).await)
        }
    });
    let attention = Attention::new(watched);
    let mut http = http1::Builder::new();
    http.half_close(true)
        .title_case_headers(true)
        .writev(false)
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head_bytes_max)
        .max_headers(limits.headers_max);
    let connection = http
        .serve_connection(
            TokioIo::new(Connection::new(io, taken, lane, who.idle, attention).on(plain)),
            service,
        )
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(reason) = ended {
        tracing::debug!(%reason, "a connection ended early");
    }
}

/// Answers the cluster calls that another node passes on over `duplex`. Only those: everything else is refused, however the
/// request is written. They are answered here and passed on no further.
pub async fn serve_duplex(duplex: Box<dyn Duplex>, router: Router, peer: Peer) {
    // Somebody must read to see the end, and hyper does not while it answers.
    let (near, far) = tokio::io::duplex(TUNNEL_BYTES);
    let (mut from_peer, mut to_peer) = tokio::io::split(duplex);
    let (mut from_us, mut to_us) = tokio::io::split(far);
    let left = CancellationToken::new();
    let reading = async {
        let _ = tokio::io::copy(&mut from_peer, &mut to_us).await;
        left.cancel();
        let _ = to_us.shutdown().await;
        std::future::pending::<()>().await;
    };
    let writing = async {
        let _ = tokio::io::copy(&mut from_us, &mut to_peer).await;
        let _ = to_peer.shutdown().await;
    };
    let who = Who {
        leaving: Leaving::Told(left.clone()),
        peer: Some(peer),
        certificates: Vec::new(),
        idle: Arc::default(),
    };
    // A takeover goes on after its connection's requests have ended: the end of our bytes is the end.
    let serving = async {
        serve_connection(near, router, who, Limits::default(), CancellationToken::new()).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
        () = serving => {}
    }
}
