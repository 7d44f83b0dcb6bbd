//! The sessions that this manager holds.

use parking_lot::Mutex;
use shoal_api_wire::dispatcher::{FromManager, from_manager};
use shoal_api_wire::removed;
use shoal_raft_objects::NodeId;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::Status;

pub(crate) type Out = mpsc::Sender<Result<FromManager, Status>>;

/// One agent's session, as others on this manager reach it.
#[derive(Clone)]
pub(crate) struct Entry {
    id: u64,
    pub wake: Arc<Notify>,
    pub over: CancellationToken,
    pub out: Out,
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

    /// Something may have changed for `node`.
    pub fn wake(&self, node: &NodeId) {
        if let Some(entry) = self.inner.lock().1.get(node) {
            entry.wake.notify_one();
        }
    }

    pub fn wake_all(&self) {
        for entry in self.inner.lock().1.values() {
            entry.wake.notify_one();
        }
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
