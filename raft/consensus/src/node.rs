//! One manager's Raft, on any runtime.

use crate::config::{Config, Peer, Timing};
use crate::consensus::Engine;
use crate::error::{MembershipError, ProposeError, ReadError, StartError};
use crate::leadership::{self, Leadership};
use crate::machine::Machine;
use crate::members::{self, Member};
use crate::publish::{Published, Watcher};
use async_trait::async_trait;
use openraft::errors::{ClientWriteError, ForwardToLeader, RaftError};
use openraft::network::{NetSnapshot, RaftNetworkFactory};
use openraft::storage::RaftLogStorage;
use openraft::type_config::AsyncRuntime;
use openraft::{Raft, ReadPolicy};
use shoal_raft_log::Snapshots;
use shoal_raft_log::types::{Payload, Reply, TypeConfig};
use shoal_raft_objects::{Event, Proposal, RaftId, codec};
use shoal_raft_store::State;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// An encoded proposal may be this large; a message carries it whole.
pub const PROPOSAL_BYTES_MAX: usize = 8 << 20;

/// A proposal that took effect.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Its log index: the version that its objects now have.
    pub index: u64,
    pub events: Arc<[Event]>,
}

/// How a follower asks the leader for the read index.
#[async_trait]
pub trait Ask: Send + Sync + 'static {
    /// The index after the last one that a reader must see.
    async fn read_index(&self, leader: &Peer) -> io::Result<u64>;
}

pub type RaftOf<RT> = Raft<TypeConfig<RT>, Machine<RT>>;

pub struct Node<RT: AsyncRuntime> {
    pub(crate) raft: RaftOf<RT>,
    pub(crate) me: Peer,
    pub(crate) timing: Timing,
    published: Arc<Published>,
    leadership: watch::Receiver<Leadership>,
    ask: Arc<dyn Ask>,
    /// Changes of membership go one after the other.
    pub(crate) changing: tokio::sync::Mutex<()>,
}

impl<RT: AsyncRuntime> Node<RT> {
    /// Starts on the given log, snapshots and network. Nothing is proposed or voted before it returns.
    pub async fn start<L, N>(
        config: Config,
        log: L,
        snapshots: Arc<dyn Snapshots>,
        network: N,
        ask: Arc<dyn Ask>,
    ) -> Result<Arc<Node<RT>>, StartError>
    where
        L: RaftLogStorage<TypeConfig<RT>>,
        N: RaftNetworkFactory<TypeConfig<RT>>,
        N::Network: NetSnapshot<TypeConfig<RT>, SnapshotData = State>,
    {
        let raft_config = crate::config::raft(&config).map_err(|e| StartError::Timing(e.to_string()))?;
        let machine = Machine::open(snapshots).map_err(StartError::Snapshot)?;
        let published = machine.published();
        let raft = Raft::new(config.id.0, Arc::new(raft_config), network, log, machine)
            .await
            .map_err(|e| StartError::Raft(e.to_string()))?;
        let (out, leadership) = watch::channel(Leadership::default());
        // Ends when the node's core ends.
        let _detached = RT::spawn(leadership::follow::<RT>(raft.clone(), out));
        Ok(Arc::new(Node {
            raft,
            me: config.peer(),
            timing: config.timing,
            published,
            leadership,
            ask,
            changing: tokio::sync::Mutex::new(()),
        }))
    }

    pub fn raft(&self) -> &RaftOf<RT> {
        &self.raft
    }

    /// The index after the last one that a linearizable reader must see; only the leader can tell.
    pub async fn read_index(&self) -> Result<u64, ReadError> {
        let asked = RT::timeout(
            self.timing.propose,
            self.raft.get_read_linearizer(ReadPolicy::ReadIndex),
        )
        .await;
        match asked {
            Ok(Ok(linearizer)) => Ok(linearizer.read_log_id().index() + 1),
            Ok(Err(RaftError::Fatal(fatal))) => Err(ReadError::Stopped(fatal.to_string())),
            Ok(Err(RaftError::APIError(_))) | Err(_) => Err(ReadError::NoQuorum),
        }
    }

    async fn read_index_anywhere(&self) -> Result<u64, ReadError> {
        let mut leadership = self.leadership.clone();
        loop {
            let now = leadership.borrow_and_update().clone();
            let asked = match &now.leader {
                None => Err(ReadError::NoQuorum),
                Some(leader) if leader.id == self.me.id => self.read_index().await,
                Some(leader) => self.ask.read_index(leader).await.map_err(|error| {
                    tracing::debug!(%error, leader = %leader.addr, "cannot ask the leader for the read index");
                    ReadError::NoQuorum
                }),
            };
            match asked {
                Err(ReadError::NoQuorum) => {
                    // Wait for a leader, or give the same one a moment; the caller's timeout bounds this.
                    let changed = RT::timeout(self.timing.heartbeat, leadership.changed()).await;
                    if let Ok(Err(_)) = changed {
                        return Err(ReadError::Stopped("raft stopped".into()));
                    }
                }
                other => return other,
            }
        }
    }

    pub(crate) fn peer(&self, forward: &ForwardToLeader<TypeConfig<RT>>) -> Option<Peer> {
        let member = forward.leader_node.clone()?;
        Some(Peer {
            id: RaftId(forward.leader_id?),
            node: member.node,
            addr: member.addr,
        })
    }

    fn write_error(
        &self,
        error: RaftError<TypeConfig<RT>, ClientWriteError<TypeConfig<RT>>>,
    ) -> ProposeError {
        match error {
            RaftError::Fatal(fatal) => ProposeError::Stopped(fatal.to_string()),
            RaftError::APIError(ClientWriteError::LogEntryDiscarded(forward)) => ProposeError::Unknown {
                leader: self.peer(&forward),
            },
            RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => ProposeError::NotLeader {
                // The leader that cannot reach a majority points at itself.
                leader: self.peer(&forward).filter(|peer| peer.id != self.me.id),
            },
            RaftError::APIError(other) => ProposeError::Stopped(other.to_string()),
        }
    }
}

#[async_trait]
impl<RT: AsyncRuntime> Engine for Node<RT> {
    async fn bootstrap(&self) -> Result<(), StartError> {
        let member = shoal_raft_log::types::Member {
            node: self.me.node.clone(),
            addr: self.me.addr.clone(),
        };
        self.raft
            .initialize(std::collections::BTreeMap::from([(self.me.id.0, member)]))
            .await
            .map_err(|e| StartError::Raft(e.to_string()))
    }

    async fn propose(&self, proposal: &Proposal) -> Result<Applied, ProposeError> {
        let bytes = codec::encode(proposal).map_err(|e| ProposeError::Stopped(e.to_string()))?;
        if bytes.len() > PROPOSAL_BYTES_MAX {
            return Err(ProposeError::TooLarge {
                bytes: bytes.len(),
                max: PROPOSAL_BYTES_MAX,
            });
        }
        let write = self.raft.client_write(Payload(bytes.into()));
        let written = match RT::timeout(self.timing.propose, write).await {
            Err(_) => return Err(ProposeError::NoQuorum),
            Ok(written) => written.map_err(|e| self.write_error(e))?,
        };
        match written.data {
            Reply::Applied(events) => Ok(Applied {
                index: written.log_id.index,
                events,
            }),
            Reply::Refused(refusal) => Err(refusal.into()),
            Reply::Nothing => Ok(Applied {
                index: written.log_id.index,
                events: Arc::default(),
            }),
        }
    }

    async fn barrier(&self) -> Result<State, ReadError> {
        let read = async {
            let next = self.read_index_anywhere().await?;
            self.published
                .reached(next)
                .await
                .map_err(|_| ReadError::Stopped("raft stopped".into()))
        };
        RT::timeout(self.timing.propose, read)
            .await
            .unwrap_or(Err(ReadError::NoQuorum))?;
        Ok(self.published.state())
    }

    fn state(&self) -> State {
        self.published.state()
    }

    fn watch(&self) -> (State, Watcher) {
        self.published.watch()
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    fn members(&self) -> Vec<Member> {
        members::list(self)
    }

    async fn add_manager(&self, peer: &Peer) -> Result<(), MembershipError> {
        members::add(self, peer).await
    }

    async fn promote_manager(&self, id: RaftId, within: Duration) -> Result<(), MembershipError> {
        members::promote(self, id, within).await
    }

    async fn remove_manager(&self, id: RaftId) -> Result<(), MembershipError> {
        members::remove(self, id).await
    }

    async fn transfer_leader(&self, to: Option<RaftId>, within: Duration) -> Result<(), MembershipError> {
        members::transfer(self, to, within).await
    }

    async fn trigger_snapshot(&self) -> Result<(), StartError> {
        self.raft
            .trigger()
            .snapshot()
            .await
            .map_err(|e| StartError::Raft(e.to_string()))
    }

    async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(?error, "raft did not end well");
        }
    }
}
