//! A manager that runs: its ledger, and everything that works on it.

use crate::authority;
use crate::dispatch::{Examiner, Pulse, Reports, Sessions, herald};
use crate::error;
use crate::host::{Events, Http};
use crate::leader;
use crate::leader::CATCH_UP;
use crate::ledger::{Ledger, WriteError};
use crate::logbroker::Broker;
use shoal_api_backend::{Class, Duplex, Error, Result};
use shoal_api_wire::membership::ProbeRequest;
use shoal_api_wire::membership::membership_client::MembershipClient;
use shoal_node_core_cluster::roles;
use shoal_raft_consensus::{Member, Peer};
use shoal_raft_objects::node::ManagerStatus;
use shoal_raft_objects::{Node, NodeId, NodeState, RaftId, Refusal, Role, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A candidate must answer the leader's call back within this.
const PROBE_TIMEOUT: Duration = Duration::from_secs(4);

pub(crate) struct Manager {
    pub ledger: Ledger,
    pub sessions: Arc<Sessions>,
    pub pulse: Pulse,
    pub reports: Reports,
    pub broker: Broker,
    pub examiner: Examiner,
    pub stop: CancellationToken,
    http: Arc<OnceLock<Arc<dyn Http>>>,
    loops: TaskTracker,
}

/// A manager that was let in.
pub(crate) struct Admitted {
    pub id: RaftId,
    pub members: Vec<Member>,
}

impl Manager {
    pub fn start(ledger: Ledger, http: Arc<OnceLock<Arc<dyn Http>>>, events: Arc<dyn Events>) -> Arc<Self> {
        let manager = Arc::new(Self {
            broker: Broker::new(ledger.clone()),
            examiner: Examiner::default(),
            ledger,
            sessions: Arc::default(),
            pulse: Pulse::new(),
            reports: Reports::default(),
            stop: CancellationToken::new(),
            http,
            loops: TaskTracker::new(),
        });
        let (_, watcher) = manager.ledger.consensus().watch();
        let loops = &manager.loops;
        loops.spawn(herald::run(
            watcher,
            manager.sessions.clone(),
            events,
            manager.stop.clone(),
        ));
        loops.spawn(leader::run(manager.clone()));
        let m = manager.clone();
        loops.spawn(async move { m.reports.run(m.ledger.clone(), m.stop.clone()).await });
        let m = manager.clone();
        loops.spawn(async move {
            m.pulse.run(m.ledger.clone(), &m.sessions, m.stop.clone()).await;
        });
        manager
    }

    /// Ends all loops and sessions. Raft is left to whoever started it.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.sessions.end_all();
        self.loops.close();
        self.loops.wait().await;
    }

    /// Serves a connection that another node has passed on.
    pub fn serve_http(&self, connection: Box<dyn Duplex>) {
        match self.http.get() {
            Some(http) => http.serve(connection),
            None => tracing::warn!("a client's connection was passed on before this daemon's API was ready"),
        }
    }

    /// Addresses of all managers, as this replica knows them.
    pub fn addrs(&self) -> Vec<String> {
        let managers = crate::dispatch::session::managers(&self.ledger.state());
        managers.into_iter().map(|(_, addr)| addr).collect()
    }

    /// Lets the manager `node`, which answers at `addr`, into Raft. On the leader.
    pub async fn admit(&self, node: &NodeId, addr: &str) -> Result<Admitted> {
        self.probe(node, addr).await?;
        let old = loop {
            let state = self.ledger.current().await?;
            let known = state
                .node(node)
                .filter(|known| known.role == Role::Manager)
                .ok_or_else(|| {
                    let why = format!("node {node} is not a manager of this swarm");
                    error::rpc(Class::Forbidden, "PermissionDenied", why)
                })?;
            // Always a new Raft id: a manager that asks again may have lost what its old one had promised.
            let old = known.manager.as_ref().map(|m| m.raft_id);
            let mut admitted = Node::clone(known);
            let touched = admitted.meta.touched;
            admitted.manager = Some(ManagerStatus {
                raft_id: RaftId(0),
                addr: addr.to_owned(),
            });
            let write = Write::Update {
                object: admitted.into(),
                touched,
            };
            match self.ledger.write(vec![write]).await {
                Ok(_) => break old,
                // Its agent has told of the node meanwhile.
                Err(WriteError::Refused(Refusal::Stale { .. })) => {}
                Err(other) => return Err(other.into()),
            }
        };
        let consensus = self.ledger.consensus();
        let id = self
            .ledger
            .state()
            .node(node)
            .and_then(|n| n.manager.as_ref())
            .map(|m| m.raft_id)
            .ok_or_else(|| Error::system(format!("node {node} was removed while it joined")))?;
        if let Some(old) = old.filter(|old| consensus.members().iter().any(|m| m.peer.id == *old)) {
            consensus
                .remove_manager(old)
                .await
                .map_err(|e| error::membership(&e))?;
        }
        let peer = Peer {
            id,
            node: node.clone(),
            addr: addr.to_owned(),
        };
        consensus
            .add_manager(&peer)
            .await
            .map_err(|e| error::membership(&e))?;
        let promoting = consensus.clone();
        self.loops.spawn(async move {
            // One that takes longer is promoted by the roles' loop once it is there.
            if let Err(error) = promoting.promote_manager(id, CATCH_UP).await {
                tracing::warn!(%error, raft_id = %id, "a new manager does not vote yet");
            }
        });
        Ok(Admitted {
            id,
            members: consensus.members(),
        })
    }

    async fn probe(&self, node: &NodeId, addr: &str) -> Result<()> {
        let unreachable = |why: String| {
            let why = format!(
                "could not connect to prospective new cluster member using its advertised address: {why}"
            );
            error::rpc(Class::Unavailable, "Unavailable", why)
        };
        let channel = self
            .ledger
            .peers
            .fresh(addr)
            .map_err(|s| unreachable(s.message().to_owned()))?;
        let mut client = MembershipClient::new(channel);
        let answer = tokio::time::timeout(PROBE_TIMEOUT, client.probe(ProbeRequest {}))
            .await
            .map_err(|_| unreachable(format!("{addr} did not answer")))?
            .map_err(|s| unreachable(format!("{addr}: {}", s.message())))?;
        if answer.into_inner().node_id != node.as_str() {
            return Err(unreachable(format!("{addr} is another node")));
        }
        Ok(())
    }

    /// Takes the manager `node`, which is leaving, out of Raft. On the leader.
    pub async fn dismiss(&self, node: &NodeId) -> Result<()> {
        let state = self.ledger.current().await?;
        let (Some(known), Some(cluster)) = (state.node(node), state.cluster()) else {
            return Ok(());
        };
        let consensus = self.ledger.consensus();
        if let Some(place) = &known.manager {
            let members = Members(consensus.members());
            if roles::Members::contains(&members, place.raft_id) {
                if !roles::keeps_quorum(&state, &members, place.raft_id) {
                    return Err(error::rpc(
                        Class::InvalidParameter,
                        "FailedPrecondition",
                        roles::Refusal::Quorum,
                    ));
                }
                consensus
                    .remove_manager(place.raft_id)
                    .await
                    .map_err(|e| error::membership(&e))?;
            }
        }
        let mut left = Node::clone(known);
        let touched = left.meta.touched;
        left.role = Role::Worker;
        left.spec.role = Role::Worker;
        left.manager = None;
        left.status.state = NodeState::Down;
        left.status.message = "node left the swarm".into();
        left.status.since = crate::ids::now();
        let writes = vec![
            Write::Update {
                object: left.into(),
                touched,
            },
            Write::Update {
                object: authority::revoke(cluster, known).into(),
                touched: cluster.meta.touched,
            },
        ];
        self.pulse.left(node);
        self.ledger.write(writes).await?;
        Ok(())
    }
}

/// What Raft says of its members, for the decisions about roles.
pub(crate) struct Members(pub Vec<Member>);

impl roles::Members for Members {
    fn contains(&self, id: RaftId) -> bool {
        self.0.iter().any(|m| m.peer.id == id)
    }

    fn votes(&self, id: RaftId) -> bool {
        self.0.iter().any(|m| m.peer.id == id && m.votes)
    }

    fn is_reachable(&self, id: RaftId) -> bool {
        self.0
            .iter()
            .any(|m| m.peer.id == id && m.reachable == Some(true))
    }

    fn count(&self) -> usize {
        self.0.iter().filter(|m| m.votes).count()
    }
}
