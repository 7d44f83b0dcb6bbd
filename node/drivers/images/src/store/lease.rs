//! Keeps content from the collector while an operation builds on it.

use std::sync::Arc;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::state::State;

/// Blobs and layers named here are not collected until it is dropped. Pin first, then ask whether it is there.
#[derive(Debug)]
pub(crate) struct Lease {
    store: Arc<Store>,
    pinned: Vec<Digest>,
    /// Dropped before it is done, it has what was brought in collected: a failed or cancelled operation leaves
    /// nothing behind.
    building: bool,
}

impl Lease {
    /// To read what is there.
    pub fn reading(store: &Arc<Store>) -> Lease {
        Lease {
            store: store.clone(),
            pinned: Vec::new(),
            building: false,
        }
    }

    /// To bring something in.
    pub fn building(store: &Arc<Store>) -> Lease {
        let mut lease = Lease::reading(store);
        lease.building = true;
        lease
    }

    pub fn pin(&mut self, digest: &Digest) {
        let store = self.store.clone();
        self.pin_all(&mut store.state.lock(), std::iter::once(digest.clone()));
    }

    /// All that makes up an image.
    pub fn pin_image(&mut self, id: &Digest) -> Result<()> {
        let store = self.store.clone();
        let mut state = store.state.lock();
        let entry = state.images.get(id).cloned();
        let record = &entry.ok_or_else(|| Error::no_such_image(id))?.record;
        let blobs = record.blobs().into_iter();
        self.pin_all(&mut state, blobs.chain(record.layers.iter().cloned()));
        Ok(())
    }

    /// An index, its images that are here, and what is said of them.
    pub fn pin_index(&mut self, index: &Digest) {
        let store = self.store.clone();
        let mut state = store.state.lock();
        let Some(entry) = state.indexes.get(index) else {
            return;
        };
        let mut kept = state.kept_by(entry);
        for variant in state.variants(index) {
            kept.extend(variant.image.record.layers.iter().cloned());
        }
        self.pin_all(&mut state, kept.into_iter());
    }

    fn pin_all(&mut self, state: &mut State, all: impl Iterator<Item = Digest>) {
        for digest in all {
            *state.pins.entry(digest.clone()).or_default() += 1;
            self.pinned.push(digest);
        }
    }

    pub fn done(mut self) {
        self.building = false;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        {
            let mut state = self.store.state.lock();
            for digest in &self.pinned {
                if let Some(count) = state.pins.get_mut(digest) {
                    *count -= 1;
                    if *count == 0 {
                        state.pins.remove(digest);
                    }
                }
            }
        }
        if self.building {
            let store = self.store.clone();
            // Elsewhere: this may be an async thread. Without a thread it waits for the next collection.
            let _ = std::thread::Builder::new()
                .name("images-collect".into())
                .spawn(move || {
                    if let Err(error) = store.collect() {
                        tracing::warn!("cannot collect what a failed operation left: {error}");
                    }
                });
        }
    }
}
