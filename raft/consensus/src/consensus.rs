//! The handle that the rest of the daemon holds.

use crate::config::{Config, Dial, Peer};
use crate::error::{MembershipError, ProposeError, ReadError, StartError};
use crate::grpc;
use crate::leadership::Leadership;
use crate::members::Member;
use crate::node::{Applied, Node};
use crate::publish::Watcher;
use async_trait::async_trait;
use openraft_rt_tokio::TokioRuntime;
use parking_lot::Mutex;
use shoal_raft_log::rocks;
use shoal_raft_objects::{Proposal, RaftId};
use shoal_raft_store::State;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long an orderly shutdown waits for another manager to take over.
const HAND_OVER: Duration = Duration::from_millis(500);

/// What a [`Consensus`] stands on: [`Node`] on whatever runtime.
#[async_trait]
pub(crate) trait Engine: Send + Sync + 'static {
    async fn bootstrap(&self) -> Result<(), StartError>;
    async fn propose(&self, proposal: &Proposal) -> Result<Applied, ProposeError>;
    async fn barrier(&self) -> Result<State, ReadError>;
    fn state(&self) -> State;
    fn watch(&self) -> (State, Watcher);
    fn leadership(&self) -> watch::Receiver<Leadership>;
    fn members(&self) -> Vec<Member>;
    async fn add_manager(&self, peer: &Peer) -> Result<(), MembershipError>;
    async fn promote_manager(&self, id: RaftId, within: Duration) -> Result<(), MembershipError>;
    async fn remove_manager(&self, id: RaftId) -> Result<(), MembershipError>;
    async fn transfer_leader(&self, to: Option<RaftId>, within: Duration) -> Result<(), MembershipError>;
    async fn trigger_snapshot(&self) -> Result<(), StartError>;
    async fn shutdown(&self);
}

/// A cheap handle; clones speak for the same manager.
#[derive(Clone)]
pub struct Consensus {
    me: Peer,
    engine: Arc<dyn Engine>,
    service: Option<grpc::Service>,
    closed: Arc<Mutex<Option<rocks::Closed>>>,
}

impl Consensus {
    /// Opens the log in `config.dir` and starts to take part. A new manager keeps quiet until it is
    /// [bootstrapped](Self::bootstrap) or a leader speaks to it through [`service`](Self::service).
    pub async fn start(config: Config, dial: Arc<dyn Dial>) -> Result<Consensus, StartError> {
        let options = rocks::Options {
            dir: config.dir.clone(),
            owner: config.id,
            faults: rocks::Faults::default(),
        };
        let me = config.peer();
        let peers = grpc::Peers::new(dial);
        let runtime = tokio::runtime::Handle::current();
        // Opening the log and reading a snapshot back block on the disk; and the compiler cannot tell that openraft's
        // own start is `Send`, which a thread that blocks on it need not know.
        let starting = tokio::task::spawn_blocking(move || {
            let opened = rocks::open::<TokioRuntime>(options)?;
            let (closed, snapshots) = (opened.closed, Arc::new(opened.snapshots));
            let ask = Arc::new(peers.clone());
            let node = runtime.block_on(Node::start(config, opened.log, snapshots, peers, ask))?;
            Ok::<_, StartError>((node, closed))
        });
        let (node, closed) = starting.await.map_err(|e| StartError::Raft(e.to_string()))??;
        Ok(Consensus {
            me,
            service: Some(grpc::Service::new(node.clone())),
            engine: node,
            closed: Arc::new(Mutex::new(Some(closed))),
        })
    }

    /// A handle to a node that somebody else assembled; it has no gRPC service.
    pub(crate) fn over(me: Peer, engine: Arc<dyn Engine>) -> Consensus {
        Consensus {
            me,
            engine,
            service: None,
            closed: Arc::default(),
        }
    }

    /// This manager, as the others know it.
    pub fn me(&self) -> &Peer {
        &self.me
    }

    /// What answers the other managers. To be mounted behind [`crate::service::server`].
    pub fn service(&self) -> Option<grpc::Service> {
        self.service.clone()
    }

    /// Makes this manager the first and only one of a new cluster. It leads when this returns.
    pub async fn bootstrap(&self) -> Result<(), StartError> {
        self.engine.bootstrap().await?;
        let mut leadership = self.engine.leadership();
        let led = leadership.wait_for(|l| l.is_self).await;
        led.map(drop).map_err(|_| StartError::Raft("raft stopped".into()))
    }

    /// Returns once the proposal is durable on a majority and applied here. Only the leader can.
    pub async fn propose(&self, proposal: &Proposal) -> Result<Applied, ProposeError> {
        self.engine.propose(proposal).await
    }

    /// The state with everything in it that was acknowledged before the call, by any manager. Works on followers too.
    pub async fn barrier(&self) -> Result<State, ReadError> {
        self.engine.barrier().await
    }

    /// The state as far as this manager has applied it.
    pub fn state(&self) -> State {
        self.engine.state()
    }

    /// A state and all the changes after it.
    pub fn watch(&self) -> (State, Watcher) {
        self.engine.watch()
    }

    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.engine.leadership()
    }

    /// The managers that Raft knows, in the order of their ids.
    pub fn members(&self) -> Vec<Member> {
        self.engine.members()
    }

    /// Leader only: a majority of the voters answered lately.
    pub fn has_quorum(&self) -> bool {
        let members = self.engine.members();
        let voters = members.iter().filter(|m| m.votes).count();
        let reached = members
            .iter()
            .filter(|m| m.votes && m.reachable == Some(true))
            .count();
        reached * 2 > voters
    }

    /// Leader only. Lets the manager receive the log; it does not vote yet. Done twice, it is done once.
    pub async fn add_manager(&self, peer: &Peer) -> Result<(), MembershipError> {
        self.engine.add_manager(peer).await
    }

    /// Leader only. Waits until the manager has the log, then lets it vote. Done twice, it is done once.
    pub async fn promote_manager(&self, id: RaftId, within: Duration) -> Result<(), MembershipError> {
        self.engine.promote_manager(id, within).await
    }

    /// Leader only. Refused if the managers that remain and are reachable would be no majority, and for the leader
    /// itself. Done twice, it is done once.
    pub async fn remove_manager(&self, id: RaftId) -> Result<(), MembershipError> {
        self.engine.remove_manager(id).await
    }

    /// Leader only. Hands over to `to`, or to the manager that is furthest; returns when another one leads.
    pub async fn transfer_leader(&self, to: Option<RaftId>, within: Duration) -> Result<(), MembershipError> {
        self.engine.transfer_leader(to, within).await
    }

    /// Takes a snapshot now; it is built in the background.
    pub async fn trigger_snapshot(&self) -> Result<(), StartError> {
        self.engine.trigger_snapshot().await
    }

    /// Hands over if this manager leads, then stops. When it returns nothing writes to the log any more.
    pub async fn shutdown(&self) {
        if self.engine.leadership().borrow().is_self
            && let Err(error) = self.engine.transfer_leader(None, HAND_OVER).await
        {
            tracing::debug!(%error, "stopping without having handed over");
        }
        self.engine.shutdown().await;
    }

    /// Stops, lets go of everything, and returns when the files of the log are closed, so that they can be removed or
    /// opened again. Every other handle, and the service, must be gone.
    pub async fn close(self) {
        self.shutdown().await;
        let closed = self.closed.lock().take();
        drop(self);
        if let Some(closed) = closed {
            closed.wait().await;
        }
    }
}
