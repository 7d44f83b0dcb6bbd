//! One connection: hyper over the takeover shim, with bounds, and what handlers may know about who is at the far end.

use crate::router::Router;
use crate::takeover::{Connection, Taken};
use axum::body::Body;
use futures_util::StreamExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use shoal_api_backend::Duplex;
use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

/// Bounds of one connection.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A request's head must arrive within this time; also how long an idle connection is kept.
    pub head_timeout: Duration,
    pub head_bytes_max: usize,
    pub headers_max: usize,
    /// Connections at once on one listener.
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
    /// The node that passed the request on; None for a client of this daemon.
    pub peer: Option<Peer>,
    /// A second handle on the socket, to notice that the client has gone; None inside a tunnel or TLS.
    pub socket: Option<Arc<OwnedFd>>,
}

impl Origin {
    /// Returns when the client has closed its connection or its sending half. For replies that may stay silent for ever:
    /// hyper reads nothing while one is on its way.
    pub async fn gone(&self) {
        let Some(socket) = self.socket.as_ref().and_then(|fd| watchable(fd).ok()) else {
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

/// A handle of the socket's own to wait on. Whatever family it has: nothing but readiness is asked of it.
fn watchable(fd: &OwnedFd) -> std::io::Result<UnixStream> {
    UnixStream::from_std(std::os::unix::net::UnixStream::from(fd.try_clone()?))
}

impl Origin {
    /// Ends `body` when the client has gone, which drops whatever feeds it.
    pub fn until_gone(self, body: Body) -> Body {
        if self.socket.is_none() {
            return body;
        }
        Body::from_stream(
            body.into_data_stream()
                .take_until(async move { self.gone().await }),
        )
    }
}

/// Answers requests on one connection until it ends; finishes the present one when `shutdown` is cancelled.
pub(crate) async fn serve_connection<IO>(
    io: IO,
    router: Router,
    socket: Option<OwnedFd>,
    peer: Option<Peer>,
    limits: Limits,
    shutdown: CancellationToken,
) where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let taken = Taken::default();
    let origin = Origin {
        taken: taken.clone(),
        peer,
        socket: socket.map(Arc::new),
    };
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (router, origin) = (router.clone(), origin.clone());
        async move { Ok::<_, Infallible>(router.answer(request.map(Body::new), origin).await) }
    });
    let mut http = http1::Builder::new();
    http.half_close(true)
        .title_case_headers(true)
        .writev(false)
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head_bytes_max)
        .max_headers(limits.headers_max);
    let connection = http
        .serve_connection(TokioIo::new(Connection::new(io, taken)), service)
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
    serve_connection(
        duplex,
        router,
        None,
        Some(peer),
        Limits::default(),
        CancellationToken::new(),
    )
    .await;
}
