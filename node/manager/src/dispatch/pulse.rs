//! Whose agents live, on the way to the leader, which alone judges.
//!
//! Heartbeats are not written down. A follower tells the leader every now and then whom it has heard; a manager that
//! cannot reach the leader any more lets its agents go, so that they find one that can.

use crate::ids::now;
use crate::ledger::Ledger;
use crate::serve::membership::at_leader;
use parking_lot::Mutex;
use shoal_api_wire::membership::HeardRequest;
use shoal_raft_objects::{NodeId, NodeState, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often a follower tells the leader.
const TELL_EVERY: Duration = Duration::from_millis(300);
/// Without a leader for so long, this manager speaks for nobody.
const LOST: Duration = Duration::from_secs(3);

#[derive(Default)]
struct Heard {
    alive: BTreeMap<NodeId, Time>,
    left: BTreeSet<NodeId>,
}

pub(crate) struct Pulse {
    heard: Mutex<Heard>,
    /// Something that should not wait for the next turn.
    urgent: Notify,
    /// Woken for the leader's loop.
    pub judge: Notify,
    led: Mutex<Instant>,
}

impl Pulse {
    pub fn new() -> Self {
        Self {
            heard: Mutex::default(),
            urgent: Notify::new(),
            judge: Notify::new(),
            led: Mutex::new(Instant::now()),
        }
    }

    pub fn heard(&self, node: &NodeId) {
        self.heard.lock().alive.insert(node.clone(), now());
    }

    /// The node's agent has just come: it should be seen at once.
    pub fn came(&self, node: &NodeId) {
        self.heard(node);
        self.urgent.notify_one();
    }

    /// The node's agent said good-bye.
    pub fn left(&self, node: &NodeId) {
        let mut heard = self.heard.lock();
        heard.alive.remove(node);
        heard.left.insert(node.clone());
        drop(heard);
        self.urgent.notify_one();
    }

    /// For the leader's loop: whom this manager, and through it the others, have heard since the last call.
    pub fn take(&self) -> (BTreeMap<NodeId, Time>, BTreeSet<NodeId>) {
        let heard = std::mem::take(&mut *self.heard.lock());
        (heard.alive, heard.left)
    }

    /// Whether this manager was in touch with a leader lately.
    pub fn is_led(&self) -> bool {
        self.led.lock().elapsed() < LOST
    }

    /// Tells the leader, or wakes the loop of this one, until `stop`. `lost` is called while no leader can be told.
    pub async fn run(&self, ledger: Ledger, lost: impl Fn(), stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(TELL_EVERY) => {}
                () = self.urgent.notified() => {}
            }
            let leadership = ledger.leadership().borrow().clone();
            if leadership.is_self {
                *self.led.lock() = Instant::now();
                if self.has_news(&ledger) {
                    self.judge.notify_one();
                }
                continue;
            }
            let Some(leader) = leadership.leader.filter(|l| l.id != ledger.consensus().me().id) else {
                if !self.is_led() {
                    lost();
                }
                continue;
            };
            let (alive, left) = self.take();
            let request = HeardRequest {
                alive: alive.keys().map(ToString::to_string).collect(),
                left: left.iter().map(ToString::to_string).collect(),
            };
            let told = at_leader(&ledger.peers, &leader.addr, |mut client| {
                let request = request.clone();
                async move { client.heard(request).await }
            });
            if matches!(
                tokio::time::timeout(Duration::from_secs(1), told).await,
                Ok(Ok(_))
            ) {
                *self.led.lock() = Instant::now();
                continue;
            }
            ledger.peers.forget(&leader.addr);
            let mut heard = self.heard.lock();
            for (node, at) in alive {
                heard.alive.entry(node).or_insert(at);
            }
            heard.left.extend(left);
            drop(heard);
            if !self.is_led() {
                lost();
            }
        }
    }

    /// Heartbeats of nodes that are ready change nothing; those of others do.
    fn has_news(&self, ledger: &Ledger) -> bool {
        let state = ledger.state();
        let heard = self.heard.lock();
        !heard.left.is_empty()
            || heard
                .alive
                .keys()
                .any(|id| state.node(id).is_some_and(|n| n.status.state != NodeState::Ready))
    }
}
