//! A network that delays, loses and cuts.

use crate::cluster::runtime::{self, Virtual};
use async_trait::async_trait;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::AsyncRuntime;
use parking_lot::Mutex;
use rand::RngExt;
use shoal_raft_consensus::Peer;
use shoal_raft_consensus::engine::{Ask, CHUNK_BYTES, Node, TypeConfig};
use shoal_raft_log::types::{CommittedLeaderId, Member, Vote};
use shoal_raft_objects::RaftId;
use shoal_raft_store::{State, snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

type C = TypeConfig<Virtual>;
type SnapshotOf = openraft::storage::Snapshot<CommittedLeaderId, u64, Member, State>;

/// The weather, and who is there. Clones are the same network.
#[derive(Clone)]
pub struct Network(Arc<Mutex<Inside>>);

struct Inside {
    nodes: BTreeMap<u64, Arc<Node<Virtual>>>,
    /// Ordered pairs that cannot hear: (from, to).
    cut: BTreeSet<(u64, u64)>,
    loss: f64,
    delay_max: Duration,
    rng: rand_chacha::ChaCha8Rng,
}

impl Network {
    pub fn new() -> Network {
        Network(Arc::new(Mutex::new(Inside {
            nodes: BTreeMap::new(),
            cut: BTreeSet::new(),
            loss: 0.0,
            delay_max: Duration::from_millis(5),
            rng: runtime::rng(),
        })))
    }

    pub fn plug(&self, id: RaftId, node: Arc<Node<Virtual>>) {
        self.0.lock().nodes.insert(id.0, node);
    }

    pub fn unplug(&self, id: RaftId) {
        // Dropped after the lock: the node's last handle may go with it.
        let node = self.0.lock().nodes.remove(&id.0);
        drop(node);
    }

    pub fn unplug_all(&self) {
        let nodes = std::mem::take(&mut self.0.lock().nodes);
        drop(nodes);
    }

    pub fn weather(&self, loss: f64, delay_max: Duration) {
        let mut inside = self.0.lock();
        inside.loss = loss;
        inside.delay_max = delay_max;
    }

    pub fn cut(&self, from: u64, to: u64) {
        self.0.lock().cut.insert((from, to));
    }

    pub fn heal(&self) {
        self.0.lock().cut.clear();
    }

    pub fn hears(&self, from: u64, to: u64) -> bool {
        !self.0.lock().cut.contains(&(from, to))
    }

    /// One way of one message: lost, or late.
    async fn carry(&self, from: u64, to: u64) -> Result<(), String> {
        let (lost, delay) = {
            let mut inside = self.0.lock();
            let loss = inside.loss;
            let max = inside.delay_max.as_nanos() as u64;
            let lost = inside.cut.contains(&(from, to)) || inside.rng.random_bool(loss);
            (lost, inside.rng.random_range(0..=max.max(1)))
        };
        runtime::sleep(Duration::from_nanos(delay)).await;
        if lost || !self.hears(from, to) {
            return Err(format!("message from {from} to {to} is lost"));
        }
        Ok(())
    }

    fn node(&self, id: u64) -> Result<Arc<Node<Virtual>>, String> {
        let node = self.0.lock().nodes.get(&id).cloned();
        node.ok_or_else(|| format!("nobody listens at {id}"))
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

/// Where one manager's connections come from.
#[derive(Clone)]
pub struct Port {
    pub network: Network,
    pub me: u64,
}

impl RaftNetworkFactory<C> for Port {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _: &Member) -> Link {
        Link {
            network: self.network.clone(),
            me: self.me,
            to: target,
        }
    }
}

#[async_trait]
impl Ask for Port {
    async fn read_index(&self, leader: &Peer) -> io::Result<u64> {
        let asked = async {
            self.network.carry(self.me, leader.id.0).await?;
            let node = self.network.node(leader.id.0)?;
            let next = node.read_index().await.map_err(|e| e.to_string())?;
            self.network.carry(leader.id.0, self.me).await?;
            Ok::<_, String>(next)
        };
        asked.await.map_err(io::Error::other)
    }
}

pub struct Link {
    network: Network,
    me: u64,
    to: u64,
}

fn unreachable(why: impl ToString) -> RPCError<C> {
    RPCError::Unreachable(Unreachable::from_string(why))
}

/// One call there and back, within its time.
macro_rules! call {
    ($link:ident, $option:expr, $node:ident => $answer:expr) => {{
        let (network, me, to) = ($link.network.clone(), $link.me, $link.to);
        let call = async move {
            network.carry(me, to).await.map_err(unreachable)?;
            let $node = network.node(to).map_err(unreachable)?;
            let answer = $answer.await.map_err(unreachable)?;
            network.carry(to, me).await.map_err(unreachable)?;
            Ok(answer)
        };
        match Virtual::timeout($option.hard_ttl(), call).await {
            Ok(answer) => answer,
            Err(late) => Err(unreachable(late)),
        }
    }};
}

impl RaftNetworkV2<C> for Link {
    type SnapshotData = State;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<C>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<C>, RPCError<C>> {
        call!(self, option, node => node.raft().append_entries(request))
    }

    async fn vote(
        &mut self,
        request: VoteRequest<C>,
        option: RPCOption,
    ) -> Result<VoteResponse<C>, RPCError<C>> {
        call!(self, option, node => node.raft().vote(request))
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<C>,
        option: RPCOption,
    ) -> Result<VoteResponse<C>, RPCError<C>> {
        call!(self, option, node => node.raft().pre_vote(request))
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf,
        _cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<C>, StreamingError<C>> {
        // Through bytes, as on a real wire.
        let mut decoder = snapshot::Decoder::default();
        let copied = snapshot::encode(&snapshot.snapshot, CHUNK_BYTES)
            .try_for_each(|chunk| decoder.push(&chunk?))
            .and_then(|()| decoder.finish());
        let copy = SnapshotOf {
            meta: snapshot.meta,
            snapshot: copied.map_err(|e| StreamingError::Network(NetworkError::new(&e)))?,
        };
        let sent: Result<SnapshotResponse<C>, RPCError<C>> =
            call!(self, option, node => node.raft().install_full_snapshot(vote, copy));
        sent.map_err(|e| StreamingError::Unreachable(Unreachable::from_string(e)))
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<C>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<C>, RPCError<C>> {
        call!(self, option, node => node.raft().handle_transfer_leader(request))
    }

    fn backoff(&self) -> Option<Backoff> {
        let delays = [10, 20, 50, 100].into_iter().chain(std::iter::repeat(200));
        Some(Backoff::new(delays.map(Duration::from_millis)))
    }
}
