//! Blobs that are on their way here, for those who would have them too.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::digest::Digest;
use crate::store::Growing;

type Table = Mutex<HashMap<Digest, Vec<Growing>>>;

/// By digest; several operations may want the same, of which one brings it.
#[derive(Debug, Default)]
pub(crate) struct Arriving(Arc<Table>);

/// Ends the entry when dropped.
#[derive(Debug)]
pub(crate) struct Arrival {
    table: Weak<Table>,
    digest: Digest,
    growing: Growing,
}

impl Arriving {
    pub fn enter(&self, digest: &Digest, growing: &Growing) -> Arrival {
        let mut table = self.0.lock();
        table.entry(digest.clone()).or_default().push(growing.clone());
        Arrival {
            table: Arc::downgrade(&self.0),
            digest: digest.clone(),
            growing: growing.clone(),
        }
    }

    /// All that may bring it.
    pub fn of(&self, digest: &Digest) -> Vec<Growing> {
        self.0.lock().get(digest).cloned().unwrap_or_default()
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if let Some(table) = self.table.upgrade() {
            let mut table = table.lock();
            if let Some(here) = table.get_mut(&self.digest) {
                here.retain(|growing| !growing.is(&self.growing));
                if here.is_empty() {
                    table.remove(&self.digest);
                }
            }
        }
    }
}
