//! Accepting connections, boundedly, until told to stop.

use super::Listener;
use super::room::{Idle, Room};
use crate::connection::{Leaving, Limits, Who, serve_connection};
use crate::listen::local::Local;
use crate::router::Router;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A client must have shown who it is within this time.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// After a failed accept (out of descriptors), before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How to serve.
#[derive(Clone, Default)]
pub struct Serving {
    pub limits: Limits,
    /// Stops accepting; replies under way may finish within `grace`, takeovers and streams are cut off after it.
    pub shutdown: CancellationToken,
    /// Zero waits for nobody.
    pub grace: Duration,
}

/// Answers on `listener` until `serving.shutdown` is cancelled.
pub async fn serve(listener: Listener, router: Router, serving: Serving) {
    let tasks = TaskTracker::new();
    let cut = CancellationToken::new();
    let room = Room::new(serving.limits.connections_max);
    let (kind, path) = match listener {
        Listener::Unix { listener, path } => (Kind::Unix(listener), path),
        Listener::Tcp(listener) => (Kind::Tcp(listener), None),
        Listener::Tls(listener, config) => (Kind::Tls(listener, TlsAcceptor::from(config)), None),
    };
    loop {
        let accepted = tokio::select! {
            () = serving.shutdown.cancelled() => break,
            accepted = kind.accept() => accepted,
        };
        let Some(socket) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let place = tokio::select! {
            () = serving.shutdown.cancelled() => break,
            place = room.enter() => place,
        };
        let Some(place) = place else { break };
        let (router, limits, shutdown, cut) = (
            router.clone(),
            serving.limits,
            serving.shutdown.clone(),
            cut.clone(),
        );
        tasks.spawn(async move {
            let idle = place.idle.clone();
            tokio::select! {
                () = socket.run(router, limits, shutdown, idle.clone()) => {}
                () = idle.must_leave() => tracing::debug!("an idle connection makes room for another"),
                () = cut.cancelled() => {}
            }
        });
    }
    drop(kind);
    if let Some(path) = path {
        remove_own(&path);
    }
    tasks.close();
    let _ = tokio::time::timeout(serving.grace, tasks.wait()).await;
    cut.cancel();
}

/// A socket that is somebody else's by now is left.
fn remove_own(path: &PathBuf) {
    if std::os::unix::net::UnixStream::connect(path).is_err() {
        let _ = std::fs::remove_file(path);
    }
}

enum Kind {
    Unix(UnixListener),
    Tcp(TcpListener),
    Tls(TcpListener, TlsAcceptor),
}

enum Socket {
    Unix(tokio::net::UnixStream),
    Tcp(tokio::net::TcpStream),
    Tls(tokio::net::TcpStream, TlsAcceptor),
}

impl Kind {
    /// None when accepting failed for now.
    async fn accept(&self) -> Option<Socket> {
        let accepted = match self {
            Self::Unix(listener) => listener.accept().await.map(|(socket, _)| Socket::Unix(socket)),
            Self::Tcp(listener) => listener.accept().await.map(|(socket, _)| Socket::Tcp(socket)),
            Self::Tls(listener, tls) => listener
                .accept()
                .await
                .map(|(socket, _)| Socket::Tls(socket, tls.clone())),
        };
        match accepted {
            Ok(socket) => Some(socket),
            Err(reason) => {
                tracing::warn!(%reason, "could not accept a connection");
                None
            }
        }
    }
}

impl Socket {
    async fn run(self, router: Router, limits: Limits, shutdown: CancellationToken, idle: Arc<Idle>) {
        match self {
            Self::Unix(socket) => {
                let watch = second(&socket, Leaving::Unix);
                let socket = Local::new(socket);
                serve_connection(socket, router, Who::client(watch, idle), limits, shutdown).await;
            }
            Self::Tcp(socket) => {
                let _ = socket.set_nodelay(true);
                let watch = second(&socket, Leaving::Tcp);
                serve_connection(socket, router, Who::client(watch, idle), limits, shutdown).await;
            }
            Self::Tls(socket, tls) => {
                let _ = socket.set_nodelay(true);
                let watch = second(&socket, Leaving::Tcp);
                match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(socket)).await {
                    Ok(Ok(socket)) => {
                        let shown = socket.get_ref().1.peer_certificates().unwrap_or_default();
                        let mut who = Who::client(watch, idle);
                        who.certificates = shown.iter().map(|der| der.to_vec()).collect();
                        serve_connection(socket, router, who, limits, shutdown).await;
                    }
                    Ok(Err(reason)) => tracing::debug!(%reason, "TLS handshake failed"),
                    Err(_) => tracing::debug!("TLS handshake timed out"),
                }
            }
        }
    }
}

fn second(socket: &impl AsFd, kind: fn(Arc<OwnedFd>) -> Leaving) -> Leaving {
    socket
        .as_fd()
        .try_clone_to_owned()
        .map_or(Leaving::Unknown, |fd| kind(Arc::new(fd)))
}
