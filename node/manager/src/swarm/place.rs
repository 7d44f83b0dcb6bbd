//! How a manager takes its place in Raft: the listener, the log, and who may stand where.

use super::member::Member;
use crate::SwarmError;
use crate::error;
use crate::ledger::Ledger;
use crate::manager::Manager;
use crate::peers::Peers;
use crate::serve::membership::at_leader;
use crate::serve::{self, Desk};
use async_trait::async_trait;
use shoal_api_backend::Error;
use shoal_api_wire::membership::JoinRequest;
use shoal_node_drivers_certs::{Credentials, Identity};
use shoal_raft_consensus::{Config, Consensus, Dial, Peer, Stream};
use shoal_raft_objects::{RaftId, Role};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A new manager must hear from a leader, and of itself, within this.
const ADMISSION: Duration = Duration::from_secs(20);
/// The log is closed within this, or left to be closed by the end of the process.
const CLOSE: Duration = Duration::from_secs(3);

/// Raft's connections: this node's TLS, and proof that the other end is the very node that is meant.
pub(crate) struct Dialer(pub Credentials);

#[async_trait]
impl Dial for Dialer {
    async fn dial(&self, peer: &Peer) -> io::Result<Box<dyn Stream>> {
        let stream = self.0.connect(&peer.addr).await?;
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let leaf = certificates.first().ok_or(io::ErrorKind::PermissionDenied)?;
        let identity = Identity::from_der(leaf).map_err(io::Error::other)?;
        if identity.node != peer.node {
            let why = format!("{} is node {}, not {}", peer.addr, identity.node, peer.node);
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        Ok(Box::new(stream))
    }
}

/// A listener at work.
pub(crate) struct Door {
    pub desk: Arc<Desk>,
    server: JoinHandle<()>,
    stop: CancellationToken,
}

impl Door {
    pub async fn listen(addr: &str) -> Result<TcpListener, SwarmError> {
        let failed = |source| SwarmError::Listen {
            addr: addr.to_owned(),
            source,
        };
        let addr: SocketAddr = addr
            .parse()
            .map_err(|e| failed(io::Error::other(format!("{e}"))))?;
        serve::bind(addr).await.map_err(failed)
    }

    /// Serves what a node in this role does.
    pub fn open(listener: TcpListener, member: &Arc<Member>, parts: &super::Inner, role: Role) -> Self {
        let weak = Arc::downgrade(member);
        let poke = Box::new(move || {
            if let Some(agent) = weak.upgrade().and_then(|member| member.agent()) {
                agent.renew();
            }
        });
        let desk = Desk::new(member.credentials.clone(), parts.images.clone(), poke);
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve::run(listener, desk.clone(), role, stop.clone()));
        Self { desk, server, stop }
    }

    pub async fn close(self) {
        self.desk.close();
        self.stop.cancel();
        if let Err(error) = self.server.await {
            tracing::error!(%error, "the cluster's listener ended badly");
        }
    }
}

/// A manager with all that stands behind it.
pub(crate) struct Running {
    pub manager: Arc<Manager>,
    consensus: Consensus,
    door: Door,
}

impl Running {
    pub fn start(member: &Member, door: Door, consensus: Consensus, parts: &super::Inner) -> Self {
        door.desk.mount_raft(&consensus);
        let ledger = Ledger::new(consensus.clone(), member.peers.clone());
        let manager = Manager::start(ledger, parts.http.clone(), parts.events.clone());
        door.desk.open(manager.clone());
        Self {
            manager,
            consensus,
            door,
        }
    }

    /// Hands over if it leads, ends sessions and calls, closes the log.
    pub async fn stop(self) {
        self.manager.stop().await;
        self.consensus.shutdown().await;
        self.door.close().await;
        drop(self.manager);
        if tokio::time::timeout(CLOSE, self.consensus.close()).await.is_err() {
            tracing::warn!("a call is still open; the log is closed when it ends");
        }
    }
}

pub(crate) async fn consensus(
    member: &Member,
    parts: &super::Inner,
    id: RaftId,
) -> Result<Consensus, SwarmError> {
    let advertise = member.saved().advertise_addr;
    let node = member.credentials.identity().node;
    let config = Config {
        timing: parts.timing,
        ..Config::new(id, node, advertise, parts.home.raft())
    };
    let dialer = Arc::new(Dialer(member.credentials.clone()));
    Ok(Consensus::start(config, dialer).await?)
}

/// Asks the leader to be let into Raft, then takes part. `door` is open already: the leader calls back.
pub(crate) async fn enter(
    member: &Member,
    parts: &super::Inner,
    door: &Door,
    remotes: &[String],
) -> Result<Consensus, SwarmError> {
    let advertise = member.saved().advertise_addr;
    let admitted = ask(&member.peers, remotes, &advertise).await?;
    let id = RaftId(admitted);
    let home = parts.home.clone();
    // What is left of an earlier membership has nothing to say in this one.
    blocking(move || home.remove_raft()).await?;
    let consensus = consensus(member, parts, id).await?;
    member.save(|saved| saved.raft_id = Some(id)).await?;
    door.desk.mount_raft(&consensus);
    let me = member.credentials.identity().node;
    let mut leadership = consensus.leadership();
    let (mut state, mut watcher) = consensus.watch();
    let entered = async {
        let _ = leadership.wait_for(|l| l.leader.is_some()).await;
        while state
            .node(&me)
            .is_none_or(|n| n.manager.as_ref().is_none_or(|m| m.raft_id != id))
        {
            if watcher.next().await.is_none() {
                break;
            }
            state = consensus.state();
        }
    };
    if tokio::time::timeout(ADMISSION, entered).await.is_err() {
        let _ = tokio::time::timeout(CLOSE, consensus.close()).await;
        return Err(Error::unavailable(
            "Timeout was reached before node joined. The attempt to join the swarm was given up: no leader was heard.",
        )
        .into());
    }
    Ok(consensus)
}

async fn ask(peers: &Peers, remotes: &[String], advertise: &str) -> Result<u64, Error> {
    let mut last = error::no_leader();
    for remote in remotes {
        let request = JoinRequest {
            addr: advertise.to_owned(),
        };
        let asked = at_leader(peers, remote, |mut client| {
            let request = request.clone();
            async move { client.join(request).await }
        });
        match tokio::time::timeout(ADMISSION, asked).await {
            Ok(Ok(answer)) => return Ok(answer.raft_id),
            Ok(Err(status)) => last = error::status(&status),
            Err(_) => last = error::no_leader(),
        }
        peers.forget(remote);
    }
    Err(last)
}

/// Files are written and synced away from the runtime's threads.
pub(crate) async fn blocking<T, E>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, SwarmError>
where
    T: Send + 'static,
    E: Into<SwarmError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Into::into),
        Err(error) => Err(Error::system(format!("writing the swarm's files failed: {error}")).into()),
    }
}
