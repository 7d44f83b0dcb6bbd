//! The sessions that this manager holds.

use parking_lot::Mutex;
use shoal_api_wire::dispatcher::{FromManager, from_manager};
use shoal_api_wire::removed;
use shoal_node_core_cluster::concern::{Concern, Touched};
use shoal_raft_objects::{NetworkId, NodeId};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::Status;

pub(crate) type Out = mpsc::Sender<Result<FromManager, Status>>;

/// One agent's session, as others on this manager reach it.
#[derive(Clone)]
pub(crate) struct Entry {
    id: u64,
    pub wake: Arc<Notify>,
    pub news: Arc<News>,
    pub over: CancellationToken,
    pub out: Out,
}

/// What a session has not looked at yet.
#[derive(Default)]
pub(crate) struct News {
    /// What may have changed for the node.
    due: Mutex<Option<Touched>>,
    /// Up to this log index `due` says everything.
    seen: AtomicU64,
    /// The networks that the node was told of.
    on: Mutex<BTreeSet<NetworkId>>,
}

impl News {
    /// What there is to look at, if anything, and the log index up to which that is all.
    pub fn take(&self) -> (Option<Touched>, u64) {
        // In this order: what comes after the index has its own notice.
        let seen = self.seen.load(Ordering::Acquire);
        (self.due.lock().take(), seen)
    }

    /// The log index up to which nothing more concerns the node, if there is nothing to look at.
    pub fn idle(&self) -> Option<u64> {
        let seen = self.seen.load(Ordering::Acquire);
        self.due.lock().is_none().then_some(seen)
    }

    /// The node is told of these networks. What happened on a new one meanwhile has to be looked at once more.
    pub fn told(&self, on: BTreeSet<NetworkId>) -> bool {
        let mut known = self.on.lock();
        let more = !on.is_subset(&known);
        *known = on;
        if more {
            *self.due.lock() = Some(Touched::everything());
        }
        more
    }
}

#[derive(Default)]
pub(crate) struct Sessions {
    inner: Mutex<(u64, HashMap<NodeId, Entry>)>,
}

impl Sessions {
    /// A new session of `node`; an older one of the same node ends.
    pub fn open(&self, node: &NodeId, out: Out) -> Entry {
        let mut inner = self.inner.lock();
        inner.0 += 1;
        let entry = Entry {
            id: inner.0,
            wake: Arc::new(Notify::new()),
            news: Arc::default(),
            over: CancellationToken::new(),
            out,
        };
        if let Some(old) = inner.1.insert(node.clone(), entry.clone()) {
            old.over.cancel();
        }
        entry
    }

    pub fn close(&self, node: &NodeId, entry: &Entry) {
        let mut inner = self.inner.lock();
        if inner.1.get(node).is_some_and(|known| known.id == entry.id) {
            inner.1.remove(node);
        }
    }

    /// What happened at this log index, for whom it may be of interest. Every change is told, in order.
    pub fn happened(&self, index: u64, concerns: &[Concern]) {
        for (node, entry) in &self.inner.lock().1 {
            let on = entry.news.on.lock();
            let mut of_node = concerns
                .iter()
                .filter(|concern| concern.is_of(node, &on))
                .peekable();
            if of_node.peek().is_some() {
                let mut due = entry.news.due.lock();
                let touched = due.get_or_insert_default();
                of_node.for_each(|concern| touched.add(concern));
            }
            drop(on);
            entry.news.seen.store(index, Ordering::Release);
            // Told of an index even if nothing concerns it: the leader waits for every node to know that.
            entry.wake.notify_one();
        }
    }

    /// Anything may have happened.
    pub fn wake_all(&self) {
        for entry in self.inner.lock().1.values() {
            *entry.news.due.lock() = Some(Touched::everything());
            entry.wake.notify_one();
        }
    }

    /// Whose sessions are here.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.inner.lock().1.keys().cloned().collect()
    }

    /// Says something to `node`'s agent, if its session is here and it keeps up.
    pub fn tell(&self, node: &NodeId, message: from_manager::Message) -> bool {
        let entry = self.inner.lock().1.get(node).cloned();
        entry.is_some_and(|entry| {
            let message = FromManager {
                message: Some(message),
            };
            entry.out.try_send(Ok(message)).is_ok()
        })
    }

    /// Ends the session of a node that is not part of the cluster any more, and tells it so.
    pub fn dismiss(&self, node: &NodeId) {
        if let Some(entry) = self.inner.lock().1.remove(node) {
            // An agent that does not keep up is told when it comes again.
            let _ = entry.out.try_send(Err(removed::status(node.as_str())));
            entry.over.cancel();
        }
    }

    /// Ends all of them: this manager cannot speak for the cluster (any more).
    pub fn end_all(&self) {
        for (_, entry) in self.inner.lock().1.drain() {
            entry.over.cancel();
        }
    }
}
