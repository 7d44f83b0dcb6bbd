//! A node's listener: mutual TLS on one port, and who may call what on it.
//!
//! | service    | without certificate | worker                     | manager |
//! |------------|---------------------|----------------------------|---------|
//! | Ca         | Root, Issue         | + Renew                    | all     |
//! | Dispatcher | –                   | its own session, its own   | its own |
//! |            |                     | containers on networks     |         |
//! | Forward    | –                   | if the cluster allows it   | all     |
//! | Logs       | –                   | Publish                    | all     |
//! | Membership | –                   | –                          | all     |
//! | Raft       | –                   | –                          | all     |
//! | Images     | –                   | all                        | all     |
//!
//! A worker's listener serves Images and nothing else.
//!
//! Role and name come from the certificate of the connection that a call arrives on, checked for every call against
//! the certificates that the cluster has revoked. The listener is up before this manager knows the cluster (a leader
//! dials back whoever wants to become a manager); until then most calls are answered "not yet".

mod ca;
mod dispatcher;
mod forward;
mod images;
mod logs;
pub(crate) mod membership;
mod raft;
mod stream;

use crate::authority::is_refused;
use crate::host::Images;
use crate::manager::Manager;
use parking_lot::RwLock;
use shoal_api_wire::ca::ca_server::CaServer;
use shoal_api_wire::channel::MESSAGE_BYTES_MAX;
use shoal_api_wire::dispatcher::dispatcher_server::DispatcherServer;
use shoal_api_wire::forward::forward_server::ForwardServer;
use shoal_api_wire::logs::logs_server::LogsServer;
use shoal_api_wire::membership::membership_server::MembershipServer;
use shoal_api_wire::removed;
use shoal_node_drivers_certs::{Credentials, Identity, Peer};
use shoal_raft_objects::{NodeId, Role};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use stream::Conn;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Router;
use tonic::{Extensions, Status};

/// Handshakes under way; more wait in the kernel's queue.
const HANDSHAKES: usize = 256;
/// How long open calls may take to notice that the listener stops.
const CLOSING: Duration = Duration::from_millis(300);

/// What all services of one listener share.
pub(crate) struct Desk {
    credentials: Credentials,
    manager: RwLock<Option<Arc<Manager>>>,
    /// A leader that speaks to a manager which is just opening its log is kept waiting for a moment, not turned away:
    /// it would pause before it tries again.
    raft: watch::Sender<Option<raft::Server>>,
    /// Asks this node's agent to fetch a new certificate.
    pub poke: Box<dyn Fn() + Send + Sync>,
    /// This node's images, if it offers any.
    images: Option<Arc<dyn Images>>,
}

impl Desk {
    pub fn new(
        credentials: Credentials,
        images: Option<Arc<dyn Images>>,
        poke: Box<dyn Fn() + Send + Sync>,
    ) -> Arc<Self> {
        Arc::new(Self {
            credentials,
            images,
            manager: RwLock::new(None),
            raft: watch::Sender::new(None),
            poke,
        })
    }

    /// From now on Raft is answered.
    pub fn mount_raft(&self, consensus: &shoal_raft_consensus::Consensus) {
        self.raft
            .send_replace(consensus.service().map(shoal_raft_consensus::service::server));
    }

    /// From now on everything is answered.
    pub fn open(&self, manager: Arc<Manager>) {
        *self.manager.write() = Some(manager);
    }

    /// From now on nothing is answered any more.
    pub fn close(&self) {
        *self.manager.write() = None;
        self.raft.send_replace(None);
    }

    pub fn me(&self) -> NodeId {
        self.credentials.identity().node
    }

    fn manager(&self) -> Result<Arc<Manager>, Status> {
        self.manager
            .read()
            .clone()
            .ok_or_else(|| Status::unavailable("this manager is not ready yet"))
    }

    /// The caller, if it has a certificate of this cluster that was not revoked.
    fn caller(&self, extensions: &Extensions) -> Result<Identity, Status> {
        let identity = self.named(extensions)?;
        if self.is_revoked(&identity) {
            return Err(Status::permission_denied(format!(
                "the certificate of node {} was revoked",
                identity.node
            )));
        }
        Ok(identity)
    }

    /// The caller, revoked or not.
    fn named(&self, extensions: &Extensions) -> Result<Identity, Status> {
        let identity = extensions
            .get::<Peer>()
            .and_then(|peer| peer.identity.clone())
            .ok_or_else(|| Status::unauthenticated("this call needs a certificate of the swarm"))?;
        if identity.cluster != self.credentials.identity().cluster {
            return Err(Status::permission_denied(
                "the certificate belongs to another swarm",
            ));
        }
        Ok(identity)
    }

    fn is_revoked(&self, identity: &Identity) -> bool {
        let manager = self.manager.read().clone();
        manager.is_some_and(|manager| {
            let state = manager.ledger.state();
            state.cluster().is_some_and(|c| is_refused(c, identity))
        })
    }

    fn manager_caller(&self, extensions: &Extensions) -> Result<Identity, Status> {
        let identity = self.caller(extensions)?;
        match identity.role {
            Role::Manager => Ok(identity),
            Role::Worker => Err(Status::permission_denied(format!(
                "node {} is a worker; only managers may call this",
                identity.node
            ))),
        }
    }

    /// A caller whose node the cluster knows. This replica may lag behind, so a stranger is looked up twice; one that
    /// was removed is told so, and not only that its certificate was revoked.
    async fn known_caller(&self, extensions: &Extensions) -> Result<(Identity, Arc<Manager>), Status> {
        let identity = self.named(extensions)?;
        let manager = self.manager()?;
        if manager.ledger.state().node(&identity.node).is_some() {
            self.caller(extensions)?;
            return Ok((identity, manager));
        }
        let current = manager
            .ledger
            .current()
            .await
            .map_err(|e| Status::unavailable(e.message))?;
        match current.node(&identity.node) {
            Some(_) => {
                self.caller(extensions)?;
                Ok((identity, manager))
            }
            None => Err(removed::status(identity.node.as_str())),
        }
    }

    fn addr(extensions: &Extensions) -> Option<SocketAddr> {
        extensions.get::<Peer>().map(|peer| peer.addr)
    }
}

/// Binds before anything else is done, so that a port that is taken is told at once.
pub(crate) async fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(addr).await
}

/// Serves until `stop`: a manager's services, or those that a worker has. Returns once no call is open any more, or they
/// took too long.
pub(crate) async fn run(listener: TcpListener, desk: Arc<Desk>, role: Role, stop: CancellationToken) {
    let (ready, incoming) = mpsc::channel::<io::Result<Conn>>(HANDSHAKES);
    let accepting = accept(listener, desk.credentials.clone(), ready, stop.clone());
    let common = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(2)))
        .http2_keepalive_timeout(Some(Duration::from_secs(3)))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .add_service(images::Door::new(desk.clone()));
    let router = match role {
        Role::Manager => managers(common, desk),
        Role::Worker => common,
    };
    let server =
        router.serve_with_incoming_shutdown(ReceiverStream::new(incoming), stop.clone().cancelled_owned());
    let server = async {
        tokio::pin!(server);
        tokio::select! {
            done = &mut server => done,
            () = async { stop.cancelled().await; tokio::time::sleep(CLOSING).await } => Ok(()),
        }
    };
    let (served, ()) = tokio::join!(server, accepting);
    if let Err(error) = served {
        tracing::error!(%error, "the cluster's listener ended");
    }
}

/// What only managers serve.
fn managers(router: Router, desk: Arc<Desk>) -> Router {
    router
        .add_service(CaServer::new(ca::Service(desk.clone())))
        .add_service(
            DispatcherServer::new(dispatcher::Service(desk.clone()))
                .max_decoding_message_size(MESSAGE_BYTES_MAX),
        )
        .add_service(ForwardServer::new(forward::Service(desk.clone())))
        .add_service(
            LogsServer::new(logs::Service(desk.clone())).max_decoding_message_size(MESSAGE_BYTES_MAX),
        )
        .add_service(
            MembershipServer::new(membership::Service(desk.clone()))
                .max_decoding_message_size(MESSAGE_BYTES_MAX),
        )
        .add_service(raft::Late(desk))
}

async fn accept(
    listener: TcpListener,
    credentials: Credentials,
    ready: mpsc::Sender<io::Result<Conn>>,
    stop: CancellationToken,
) {
    let acceptor = credentials.acceptor();
    let slots = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let slot = match slots.clone().acquire_owned().await {
            Ok(slot) => slot,
            Err(_) => return,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (tcp, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: some will come free.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let acceptor = acceptor.clone();
        let ready = ready.clone();
        tokio::spawn(async move {
            match acceptor.accept(tcp, from).await {
                // The listener has stopped meanwhile: the connection is dropped with it.
                Ok((stream, peer)) => drop(ready.send(Ok(Conn { stream, peer })).await),
                Err(error) => tracing::debug!(%error, %from, "a handshake failed"),
            }
            drop(slot);
        });
    }
}

/// The API's errors in gRPC's terms.
pub(crate) fn to_status(error: shoal_api_backend::Error) -> Status {
    use shoal_api_backend::Class;
    let code = match error.class {
        Class::InvalidParameter => tonic::Code::InvalidArgument,
        Class::Unauthorized => tonic::Code::Unauthenticated,
        Class::Forbidden => tonic::Code::PermissionDenied,
        Class::NotFound => tonic::Code::NotFound,
        Class::Conflict => tonic::Code::AlreadyExists,
        Class::Unavailable => tonic::Code::Unavailable,
        Class::NotImplemented => tonic::Code::Unimplemented,
        Class::NotModified | Class::System => tonic::Code::Unknown,
    };
    // What was wrapped for the API already is not wrapped again on the other side.
    let message = match error.message.split_once(" desc = ") {
        Some((head, text)) if head.starts_with("rpc error: ") => text.to_owned(),
        _ => error.message,
    };
    Status::new(code, message)
}
