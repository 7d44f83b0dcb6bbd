//! Bringing unpacked layers to the disk, some time after whoever asked for them was told that they are there.
//!
//! Until then their blobs, which are on the disk, stand for them: who opens the store after a power cut unpacks them again
//! (`remake`). So nobody waits for thousands of small files, nor for what containers write to the same disk.

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::layers::{SETTLED, UNSETTLED};

/// Nothing new for so long: who has brought images then has the machine for a first start.
const QUIET: Duration = Duration::from_secs(5);
/// What comes all the time is not waited for longer. A start after a power cut unpacks no more than comes in so long.
const MOST: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(crate) struct Settling {
    /// Set while a thread waits.
    running: bool,
    /// When the last layer came.
    last: Option<Instant>,
}

impl Store {
    /// All unpacked layers that are in the store are on the disk then.
    pub fn settle(&self) -> Result<()> {
        let layers: Vec<(Digest, Arc<()>)> = {
            let state = self.state.lock();
            let layers = state.unsettled.iter();
            layers
                .map(|(chain, made)| (chain.clone(), made.clone()))
                .collect()
        };
        if layers.is_empty() {
            return Ok(());
        }
        // Who finds a layer on the disk must find its blob there.
        self.sync_blobs()?;
        let synced = rustix::fs::syncfs(&self.filesystem)
            .map_err(|e| Error::storage("sync file system of", &self.paths.layers, e));
        self.step("layers-synced");
        for (chain, made) in layers {
            let mut state = self.state.lock();
            // It may have been collected since, and even have come again.
            if state
                .unsettled
                .get(&chain)
                .is_some_and(|now| Arc::ptr_eq(now, &made))
            {
                state.unsettled.remove(&chain);
                let directory = self.paths.layer(&chain);
                let (before, after) = (directory.join(UNSETTLED), directory.join(SETTLED));
                // Not to be trusted by who opens the store next, if that failed: a second sync would succeed without it.
                let told = match synced {
                    Ok(()) => fs::rename(&before, &after),
                    Err(_) => fs::remove_file(&before),
                };
                if let Err(error) = told {
                    tracing::warn!("layer {chain} will be unpacked again at the next start: {error}");
                }
            }
            drop(state);
            self.step("layer-settled");
        }
        synced
    }

    /// The same after a while.
    pub(super) fn settle_soon(self: &Arc<Self>) {
        let mut settling = self.settling.lock();
        settling.last = Some(Instant::now());
        if settling.running {
            return;
        }
        let store = Arc::downgrade(self);
        let work = move || {
            let began = Instant::now();
            let mut pause = QUIET;
            loop {
                thread::sleep(pause);
                // A store that is gone is not waited for.
                let Some(store) = store.upgrade() else { return };
                match store.settling.lock().left(began) {
                    Some(left) => pause = left,
                    None => {
                        if let Err(error) = store.settle() {
                            tracing::warn!("layers are not known to be on the disk: {error}");
                        }
                        return;
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("images-settle".into()).spawn(work);
        // Without a thread the next one does it.
        settling.running = thread.is_ok();
    }
}

impl Settling {
    /// How long to wait still, of a thread that began then. When there is nothing to wait for, layers that come from now on
    /// get a thread of their own.
    fn left(&mut self, began: Instant) -> Option<Duration> {
        let quiet = self.last.and_then(|last| QUIET.checked_sub(last.elapsed()));
        let most = MOST.checked_sub(began.elapsed());
        let left = quiet.zip(most).map(|(quiet, most)| quiet.min(most));
        let left = left.filter(|left| !left.is_zero());
        self.running = left.is_some();
        left
    }
}
