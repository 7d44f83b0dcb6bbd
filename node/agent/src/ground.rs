//! This node's part of the cluster's networks: what managers say of them, and how far the host has it.

mod journal;

use crate::executor::{Executor, TaskError};
use journal::Journal;
use parking_lot::Mutex;
use shoal_node_core_host::overlay::{News, Tracks};
use shoal_raft_objects::{NodeId, Track};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Before what could not be laid is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// However much or little happens, the whole host is compared with what it should be so often.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What took its time leaves time for other work, but no more than this.
const REST_MAX: Duration = Duration::from_millis(100);

/// By key: pieces as they are now, or nothing where they are gone.
pub(crate) type Changed = BTreeMap<String, Option<Arc<Track>>>;

/// What was heard and not laid yet. Of each piece the last word alone is kept.
#[derive(Default)]
struct Heard {
    news: Option<Pending>,
    /// Log index of the last assignments; nothing before a manager was heard.
    index: Option<u64>,
}

#[derive(Clone)]
enum Pending {
    /// All of it, in place of whatever was known.
    Whole(Tracks),
    Changed(Changed),
}

/// Shared by the session, which hears, and the loop that has it laid.
pub(crate) struct Ground {
    heard: Mutex<Heard>,
    changed: Notify,
    laid: watch::Sender<u64>,
    /// What is known on disk, so that a restarted daemon answers names before it hears from a manager.
    journal: Arc<Mutex<Journal>>,
}

impl Ground {
    /// With what was known before the daemon went.
    pub fn load(dir: &Path) -> Self {
        Self {
            heard: Mutex::default(),
            changed: Notify::new(),
            laid: watch::Sender::new(0),
            journal: Arc::new(Mutex::new(Journal::open(dir))),
        }
    }

    /// All of it, as of `index`.
    pub fn replace(&self, tracks: Tracks, index: u64) {
        *self.heard.lock() = Heard {
            news: Some(Pending::Whole(tracks)),
            index: Some(index),
        };
        // A new session has to hear it again, whatever an earlier one was told.
        self.laid.send_replace(0);
        self.changed.notify_one();
    }

    /// What changed since; every later assignment counts, with or without pieces in it.
    pub fn change(&self, pieces: Changed, index: u64) {
        let mut heard = self.heard.lock();
        heard.index = Some(index);
        match &mut heard.news {
            Some(Pending::Whole(tracks)) => apply(tracks, pieces),
            Some(Pending::Changed(changed)) => changed.extend(pieces),
            None if pieces.is_empty() => {}
            None => heard.news = Some(Pending::Changed(pieces)),
        }
        drop(heard);
        self.changed.notify_one();
    }

    /// Up to which assignments the host has everything.
    pub fn laid(&self) -> watch::Receiver<u64> {
        self.laid.subscribe()
    }

    /// Has the host follow what is heard until `stop`.
    pub async fn run(&self, node: NodeId, executor: Arc<dyn Executor>, stop: CancellationToken) {
        let known = self.journal.lock().tracks().clone();
        if !known.is_empty()
            && let Err(error) = executor.lay(News::Whole(node.clone(), known)).await
        {
            tracing::warn!(%error, "this node's part of the cluster's networks is not as it was");
        }
        let mut look = Instant::now() + LOOK_EVERY;
        // The last attempt failed: the host has everything once all of it was looked at.
        let mut doubtful = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.changed.notified() => {}
                () = tokio::time::sleep_until(look) => {}
            }
            let due = look <= Instant::now();
            let (news, index) = {
                let mut heard = self.heard.lock();
                let Some(index) = heard.index else {
                    look = Instant::now() + LOOK_EVERY;
                    continue;
                };
                (heard.news.take(), index)
            };
            let began = Instant::now();
            // What changed comes first, because it is waited for.
            let work = async {
                let mut done = match news {
                    Some(news) => self.lay(&node, &*executor, news).await,
                    None if doubtful => executor.lay(News::Changed(Changed::new())).await,
                    None => Ok(()),
                };
                // Not for what was replaced meanwhile: its index may be of an earlier session.
                if done.is_ok() && self.heard.lock().index >= Some(index) {
                    self.laid.send_replace(index);
                }
                if due && done.is_ok() {
                    done = executor.lay(News::Changed(Changed::new())).await;
                }
                done
            };
            let done = tokio::select! {
                () = stop.cancelled() => return,
                done = work => done,
            };
            doubtful = done.is_err();
            if due || doubtful {
                look = Instant::now() + if doubtful { RETRY } else { LOOK_EVERY };
            }
            if let Err(error) = done {
                tracing::warn!(%error, "this node's part of the cluster's networks is not as it should be yet");
            }
            // Changes that come fast are laid together.
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(began.elapsed().min(REST_MAX)) => {}
            }
        }
    }

    /// On the host and on disk.
    async fn lay(&self, node: &NodeId, executor: &dyn Executor, news: Pending) -> Result<(), TaskError> {
        let lay = executor.lay(match news.clone() {
            Pending::Whole(tracks) => News::Whole(node.clone(), tracks),
            Pending::Changed(changed) => News::Changed(changed),
        });
        tokio::join!(lay, self.save(news)).0
    }

    async fn save(&self, news: Pending) {
        let journal = self.journal.clone();
        let work = move || match news {
            Pending::Whole(tracks) => journal.lock().replace(tracks),
            Pending::Changed(changed) => journal.lock().add(changed),
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot keep what this node knows of networks"),
            Err(error) => tracing::error!(%error, "writing what this node knows of networks failed"),
        }
    }
}

fn apply(tracks: &mut Tracks, changed: Changed) {
    for (key, piece) in changed {
        match piece {
            Some(track) => drop(tracks.insert(key, track)),
            None => drop(tracks.remove(&key)),
        }
    }
}
