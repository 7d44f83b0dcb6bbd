//! This node's part of the cluster's networks: what managers say of them, and how far the host has it.

use crate::executor::Executor;
use parking_lot::Mutex;
use shoal_raft_objects::{NodeId, Track};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Before what could not be laid is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// However quiet it is, the host is compared with what it should be so often.
const LOOK_EVERY: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Plan {
    tracks: Arc<BTreeMap<String, Track>>,
    /// Log index of the assignments that it is from; nothing before a manager was heard.
    index: Option<u64>,
}

/// Shared by the session, which changes the plan, and the loop that has it laid.
pub(crate) struct Ground {
    plan: Mutex<Plan>,
    changed: Notify,
    laid: watch::Sender<u64>,
}

impl Ground {
    pub fn new() -> Self {
        Self {
            plan: Mutex::default(),
            changed: Notify::new(),
            laid: watch::Sender::new(0),
        }
    }

    /// All of it, as of `index`.
    pub fn replace(&self, tracks: BTreeMap<String, Track>, index: u64) {
        let mut plan = self.plan.lock();
        plan.tracks = Arc::new(tracks);
        plan.index = Some(index);
        drop(plan);
        // A new session has to hear it again, whatever an earlier one was told.
        self.laid.send_replace(0);
        self.changed.notify_one();
    }

    /// What changed since; every later assignment counts, with or without pieces in it.
    pub fn change(&self, pieces: Vec<Piece>, index: u64) {
        let mut plan = self.plan.lock();
        if !pieces.is_empty() {
            let tracks = Arc::make_mut(&mut plan.tracks);
            for piece in pieces {
                match piece {
                    Piece::Track(track) => {
                        tracks.insert(track.key(), *track);
                    }
                    Piece::Gone(key) => {
                        tracks.remove(&key);
                    }
                }
            }
        }
        plan.index = Some(index);
        drop(plan);
        self.changed.notify_one();
    }

    /// Up to which assignments the host has everything.
    pub fn laid(&self) -> watch::Receiver<u64> {
        self.laid.subscribe()
    }

    /// Has the host follow the plan until `stop`.
    pub async fn run(&self, node: NodeId, executor: Arc<dyn Executor>, stop: CancellationToken) {
        let mut wait = LOOK_EVERY;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.changed.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            let (tracks, index) = {
                let plan = self.plan.lock();
                match plan.index {
                    Some(index) => (plan.tracks.clone(), index),
                    None => continue,
                }
            };
            let done = tokio::select! {
                () = stop.cancelled() => return,
                done = executor.lay(&node, &tracks) => done,
            };
            wait = match done {
                Ok(()) => {
                    // Not for a plan that was replaced meanwhile: its index may be of an earlier session.
                    if self.plan.lock().index >= Some(index) {
                        self.laid.send_replace(index);
                    }
                    LOOK_EVERY
                }
                Err(error) => {
                    tracing::warn!(%error, "this node's part of the cluster's networks is not as it should be yet");
                    RETRY
                }
            };
        }
    }
}

/// One change of the plan.
pub(crate) enum Piece {
    Track(Box<Track>),
    Gone(String),
}
