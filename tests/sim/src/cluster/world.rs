//! A cluster in one thread: managers with disks, hosts with tasks, users, and the network between them.

use crate::cluster::agent::Agent;
use crate::cluster::control;
use crate::cluster::network::{Network, Port};
use crate::cluster::oracle::Oracle;
use crate::cluster::runtime::{self, Virtual};
use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::Mutex;
use rand_chacha::ChaCha8Rng;
use shoal_raft_consensus::engine::{self, Node};
use shoal_raft_consensus::{Config, Consensus, Peer};
use shoal_raft_log::memory::Disk;
use shoal_raft_objects::{IdSource, NodeId, RaftId, Time};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Clones are the same world. Never borrowed across an await.
pub type World = Rc<RefCell<Inside>>;

pub struct Inside {
    pub rng: ChaCha8Rng,
    pub network: Network,
    /// By Raft id.
    pub managers: BTreeMap<u64, Manager>,
    pub agents: BTreeMap<NodeId, Agent>,
    pub oracle: Oracle,
    pub owners: u64,
    /// A change of membership is under way.
    pub changing: bool,
    /// Nothing goes wrong at present.
    pub calm: bool,
    pub counts: BTreeMap<&'static str, u64>,
}

pub struct Manager {
    pub peer: Peer,
    pub disk: Disk,
    pub up: Option<Up>,
    /// Comes back by itself at this time, if it is down.
    pub back_at: u64,
}

pub struct Up {
    pub owner: u64,
    pub node: Arc<Node<Virtual>>,
    pub consensus: Consensus,
    /// Heartbeats of agents that came in, by node.
    pub heard: Arc<Mutex<BTreeMap<NodeId, Time>>>,
}

/// Ids drawn from the seed.
pub struct Ids(pub ChaCha8Rng);
impl IdSource for Ids {
    fn next_u128(&mut self) -> u128 {
        use rand::RngExt;
        self.0.random()
    }
}

pub fn time() -> Time {
    // Some day in the past, so that nothing is at time zero.
    Time(1_700_000_000_000_000_000 + runtime::now() as i64)
}

/// How long the simulated disk takes to make a write durable.
const FSYNC: Duration = Duration::from_millis(2);

pub fn new() -> World {
    Rc::new(RefCell::new(Inside {
        rng: runtime::rng(),
        network: Network::new(),
        managers: BTreeMap::new(),
        agents: BTreeMap::new(),
        oracle: Oracle::default(),
        owners: 100,
        changing: false,
        calm: false,
        counts: BTreeMap::new(),
    }))
}

impl Inside {
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub fn add(&mut self, peer: Peer) {
        let manager = Manager {
            peer: peer.clone(),
            disk: Disk::default(),
            up: None,
            back_at: 0,
        };
        self.managers.insert(peer.id.0, manager);
    }

    /// The manager that leads, as far as it knows itself; of several the one of the latest term.
    pub fn leader(&self) -> Option<&Manager> {
        self.managers
            .values()
            .filter_map(|m| {
                let leadership = m.up.as_ref()?.consensus.leadership().borrow().clone();
                leadership.is_self.then_some((leadership.term, m))
            })
            .max_by_key(|(term, _)| *term)
            .map(|(_, m)| m)
    }

    pub fn ups(&self) -> impl Iterator<Item = (&Manager, &Up)> {
        self.managers.values().filter_map(|m| Some((m, m.up.as_ref()?)))
    }

    /// Power off: everything that was not on disk is gone.
    pub fn crash(&mut self, id: u64) {
        let Some(manager) = self.managers.get_mut(&id) else {
            return;
        };
        let Some(up) = manager.up.take() else { return };
        self.network.unplug(RaftId(id));
        runtime::kill(up.owner);
        manager.disk.crash();
    }
}

/// Starts a manager from its disk.
pub async fn start(world: &World, id: u64) {
    let (config, disk, port, owner) = {
        let mut inside = world.borrow_mut();
        inside.owners += 1;
        let owner = inside.owners;
        let network = inside.network.clone();
        let Some(manager) = inside.managers.get(&id) else {
            return;
        };
        let peer = &manager.peer;
        let mut config = Config::new(peer.id, peer.node.clone(), peer.addr.clone(), "/nowhere");
        config.snapshot_every = 300;
        config.keep = 150;
        config.timing.propose = Duration::from_secs(2);
        (config, manager.disk.clone(), Port { network, me: id }, owner)
    };
    // As the new process, so that all that it starts belongs to it.
    let (done, started) = tokio::sync::oneshot::channel();
    runtime::spawn_for(owner, async move {
        let log = disk.open::<Virtual>(FSYNC);
        let ask = Arc::new(port.clone());
        let node = Node::<Virtual>::start(config, log, Arc::new(disk.snapshots()), port, ask).await;
        let _ = done.send(node);
    });
    let Ok(Ok(node)) = started.await else { return };
    let consensus = engine::handle(&node);
    let up = Up {
        owner,
        node: node.clone(),
        consensus,
        heard: Arc::default(),
    };
    let ids = Ids(runtime::rng());
    runtime::spawn_for(
        owner,
        control::run(world.clone(), id, up.consensus.clone(), up.heard.clone(), ids),
    );
    let mut inside = world.borrow_mut();
    let network = inside.network.clone();
    if let Some(manager) = inside.managers.get_mut(&id) {
        network.plug(RaftId(id), node);
        manager.up = Some(up);
    }
}

/// Index of the last entry that a manager has applied.
pub fn applied(up: &Up) -> Option<u64> {
    let metrics = up.node.raft().metrics();
    let last = metrics.borrow_watched().last_applied;
    last.map(|id| id.index)
}
