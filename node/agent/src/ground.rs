//! This node's part of the cluster's networks: what managers say of them, and how far the host has it.

use crate::book::replace;
use crate::executor::Executor;
use parking_lot::Mutex;
use shoal_raft_objects::{NodeId, Track, codec};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Before what could not be laid is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// However quiet it is, the host is compared with what it should be so often.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What took its time leaves time for other work, but no more than this.
const REST_MAX: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Plan {
    tracks: Arc<BTreeMap<String, Track>>,
    /// Log index of the assignments that it is from; nothing before a manager was heard.
    index: Option<u64>,
    /// It differs from what is on disk.
    unsaved: bool,
}

/// Shared by the session, which changes the plan, and the loop that has it laid.
pub(crate) struct Ground {
    plan: Mutex<Plan>,
    changed: Notify,
    laid: watch::Sender<u64>,
    /// The plan on disk, so that a restarted daemon answers names before it hears from a manager.
    path: PathBuf,
}

impl Ground {
    /// With what was known before the daemon went.
    pub fn load(dir: &Path) -> Self {
        let path = dir.join("networks");
        // A file that cannot be read is as good as none: a complete set will come.
        let tracks: BTreeMap<String, Track> = std::fs::read(&path)
            .ok()
            .and_then(|bytes| codec::decode(&bytes).ok())
            .unwrap_or_default();
        Self {
            plan: Mutex::new(Plan {
                tracks: Arc::new(tracks),
                ..Plan::default()
            }),
            path,
            changed: Notify::new(),
            laid: watch::Sender::new(0),
        }
    }

    /// All of it, as of `index`.
    pub fn replace(&self, tracks: BTreeMap<String, Track>, index: u64) {
        let mut plan = self.plan.lock();
        plan.unsaved |= *plan.tracks != tracks;
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
            plan.unsaved = true;
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
        let known = self.plan.lock().tracks.clone();
        if !known.is_empty()
            && let Err(error) = executor.lay(&node, &known).await
        {
            tracing::warn!(%error, "this node's part of the cluster's networks is not as it was");
        }
        let mut wait = LOOK_EVERY;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.changed.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            let (tracks, index, unsaved) = {
                let mut plan = self.plan.lock();
                match plan.index {
                    Some(index) => (plan.tracks.clone(), index, std::mem::take(&mut plan.unsaved)),
                    None => continue,
                }
            };
            let began = Instant::now();
            let save = async {
                if unsaved {
                    self.save(tracks.clone()).await;
                }
            };
            let both = async { tokio::join!(executor.lay(&node, &tracks), save).0 };
            let done = tokio::select! {
                () = stop.cancelled() => return,
                done = both => done,
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
            // Changes that come fast are laid together.
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(began.elapsed().min(REST_MAX)) => {}
            }
        }
    }
}

impl Ground {
    async fn save(&self, tracks: Arc<BTreeMap<String, Track>>) {
        let path = self.path.clone();
        let work = move || {
            let bytes = codec::encode(&*tracks).map_err(std::io::Error::other)?;
            replace(&path, &bytes)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot keep what this node knows of networks"),
            Err(error) => tracing::error!(%error, "writing what this node knows of networks failed"),
        }
    }
}

/// One change of the plan.
pub(crate) enum Piece {
    Track(Box<Track>),
    Gone(String),
}
