//! Whose agents live, on the way to the leader, which alone judges.
//!
//! Heartbeats are not written down. A follower tells the leader every now and then whom it has heard; a manager whose
//! word is not accepted any more (it is cut off, was removed, or stands still) lets its agents go, so that they find
//! one that can speak for the cluster.

use super::Sessions;
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
/// The leader has so long to answer.
const TELL_TIMEOUT: Duration = Duration::from_secs(1);
/// Without a leader for so long, this manager speaks for nobody.
const LOST: Duration = Duration::from_secs(3);

#[derive(Default)]
struct Heard {
    alive: BTreeMap<NodeId, Time>,
    left: BTreeSet<NodeId>,
    /// Up to which log index a node knows the networks; what was not told yet.
    laid: BTreeMap<NodeId, u64>,
}

/// What one turn brings, to the leader's loop or to the leader.
pub(crate) struct News {
    pub alive: BTreeMap<NodeId, Time>,
    pub left: BTreeSet<NodeId>,
    pub laid: BTreeMap<NodeId, u64>,
}

pub(crate) struct Pulse {
    heard: Mutex<Heard>,
    /// Something that should not wait for the next turn.
    urgent: Notify,
    /// Woken for the leader's loop.
    pub judge: Notify,
    touch: Mutex<Touch>,
}

/// How old, at most, what this replica says is.
#[derive(Default)]
struct Touch {
    /// When the leader held no more than this replica does now. None: there is no leader that counts this manager in.
    led: Option<Instant>,
    /// A log index that this replica still has to reach, and when it was the leader's.
    goal: Option<(u64, Instant)>,
}

impl Touch {
    /// The leader, asked at `at`, had come to index `told`; this replica is at `applied`.
    fn told(&mut self, told: u64, applied: u64, at: Instant) {
        if applied >= told {
            self.led = Some(at);
            self.goal = None;
            return;
        }
        match self.goal {
            Some((index, since)) if applied >= index => {
                self.led = Some(since);
                self.goal = Some((told, at));
            }
            Some(_) => {}
            None => self.goal = Some((told, at)),
        }
    }

    fn is_led(&self) -> bool {
        self.led.is_some_and(|led| led.elapsed() < LOST)
    }
}

/// What the leader, or being it, came to.
enum Told {
    Accepted {
        removed: Vec<NodeId>,
    },
    /// Nobody was told; perhaps the next time.
    Unreached,
    /// The leader does not count this manager in.
    Refused,
}

impl Pulse {
    pub fn new() -> Self {
        Self {
            heard: Mutex::default(),
            urgent: Notify::new(),
            judge: Notify::new(),
            // Nobody is spoken for before a leader has accepted this manager.
            touch: Mutex::default(),
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

    /// The node knows the networks as they are at this log index. Tasks may wait to be stopped for it.
    pub fn laid(&self, node: &NodeId, index: u64) {
        let mut heard = self.heard.lock();
        let known = heard.laid.entry(node.clone()).or_default();
        *known = (*known).max(index);
        drop(heard);
        self.urgent.notify_one();
    }

    /// For the leader's loop: whom this manager, and through it the others, have heard since the last call.
    pub fn take(&self) -> News {
        let heard = std::mem::take(&mut *self.heard.lock());
        News {
            alive: heard.alive,
            left: heard.left,
            laid: heard.laid,
        }
    }

    /// Whether this manager may speak for the cluster: it leads with a majority behind it, or the leader counts it in
    /// and its replica is no older than a few seconds.
    pub fn is_led(&self) -> bool {
        self.touch.lock().is_led()
    }

    /// Tells the leader, or wakes the loop of this one, until `stop`. Sessions end while no leader can be told, and
    /// those of removed nodes end for good.
    pub async fn run(&self, ledger: Ledger, sessions: &Sessions, stop: CancellationToken) {
        let mut leadership = ledger.leadership();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(TELL_EVERY) => {}
                () = self.urgent.notified() => {}
                changed = leadership.changed() => if changed.is_err() { return },
            }
            match self.tell(&ledger).await {
                Told::Accepted { removed } => {
                    for node in removed {
                        sessions.dismiss(&node);
                    }
                }
                Told::Unreached => {}
                Told::Refused => *self.touch.lock() = Touch::default(),
            }
            if !self.is_led() {
                sessions.end_all();
            }
        }
    }

    async fn tell(&self, ledger: &Ledger) -> Told {
        let at = Instant::now();
        let me = ledger.consensus().me().id;
        let leadership = ledger.leadership().borrow().clone();
        if leadership.is_self {
            if !ledger.consensus().has_quorum() {
                return Told::Unreached;
            }
            let applied = ledger.state().applied();
            self.touch.lock().told(applied, applied, at);
            if self.has_news(ledger) {
                self.judge.notify_one();
            }
            return Told::Accepted { removed: Vec::new() };
        }
        let Some(leader) = leadership.leader.filter(|l| l.id != me) else {
            return Told::Unreached;
        };
        let News { alive, left, laid } = self.take();
        let request = HeardRequest {
            laid: laid.iter().map(|(id, index)| (id.to_string(), *index)).collect(),
            alive: alive.keys().map(ToString::to_string).collect(),
            left: left.iter().map(ToString::to_string).collect(),
            raft_id: me.0,
        };
        let told = at_leader(&ledger.peers, &leader.addr, |mut client| {
            let request = request.clone();
            async move { client.heard(request).await }
        });
        let refused = match tokio::time::timeout(TELL_TIMEOUT, told).await {
            Ok(Ok(answer)) => {
                let applied = ledger.state().applied();
                self.touch.lock().told(answer.applied, applied, at);
                return Told::Accepted {
                    removed: answer.removed.into_iter().map(NodeId::from).collect(),
                };
            }
            Ok(Err(status)) => status.code() == tonic::Code::PermissionDenied,
            Err(_) => false,
        };
        ledger.peers.forget(&leader.addr);
        let mut heard = self.heard.lock();
        for (node, at) in alive {
            heard.alive.entry(node).or_insert(at);
        }
        heard.left.extend(left);
        for (node, index) in laid {
            let known = heard.laid.entry(node).or_default();
            *known = (*known).max(index);
        }
        if refused { Told::Refused } else { Told::Unreached }
    }

    /// Heartbeats of nodes that are ready change nothing; those of others do.
    fn has_news(&self, ledger: &Ledger) -> bool {
        let state = ledger.state();
        let heard = self.heard.lock();
        !heard.left.is_empty()
            || !heard.laid.is_empty()
            || heard
                .alive
                .keys()
                .any(|id| state.node(id).is_some_and(|n| n.status.state != NodeState::Ready))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ago(seconds: u64) -> Instant {
        Instant::now() - Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn a_replica_counts_only_while_it_keeps_up() {
        let mut touch = Touch::default();
        assert!(!touch.is_led(), "nobody has accepted it yet");
        touch.told(10, 10, ago(0));
        assert!(touch.is_led());
        touch.told(10, 10, ago(5));
        assert!(!touch.is_led(), "that was too long ago");

        // It lags, but by less than what counts as lost.
        let mut touch = Touch::default();
        touch.told(10, 4, ago(2));
        assert!(!touch.is_led());
        touch.told(20, 9, ago(1));
        assert!(!touch.is_led());
        touch.told(30, 12, ago(0));
        assert!(touch.is_led(), "it has what the leader had two seconds ago");

        // It stands still while the leader goes on accepting its word.
        let mut touch = Touch::default();
        touch.told(10, 10, ago(8));
        for second in (0..6).rev() {
            touch.told(20 + second, 10, ago(second));
        }
        assert!(!touch.is_led());
    }
}
