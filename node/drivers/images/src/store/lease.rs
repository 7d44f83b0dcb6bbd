//! Keeps content from the collector while an operation builds on it.

use std::sync::Arc;

use crate::digest::Digest;
use crate::store::Store;

/// Blobs and layers named here are not collected until it is dropped. Pin first, then ask whether it is there.
#[derive(Debug)]
pub(crate) struct Lease {
    store: Arc<Store>,
    pinned: Vec<Digest>,
}

impl Lease {
    pub fn new(store: &Arc<Store>) -> Lease {
        Lease {
            store: store.clone(),
            pinned: Vec::new(),
        }
    }

    pub fn pin(&mut self, digest: &Digest) {
        *self.store.state.lock().pins.entry(digest.clone()).or_default() += 1;
        self.pinned.push(digest.clone());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
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
}
