//! Collecting content that nothing refers to any more.

use std::collections::HashSet;

use crate::digest::Digest;
use crate::error::Result;
use crate::store::Store;
use crate::store::records::LayerRecord;
use crate::store::state::State;

impl Store {
    /// Removes every layer and blob that no image, snapshot or running operation needs. Returns the layers that
    /// went, the top ones first.
    ///
    /// The lock is held throughout: an operation either has pinned its content or finds it gone and fetches it.
    pub fn collect(&self) -> Result<Vec<LayerRecord>> {
        let mut state = self.state.lock();
        let mut blobs: HashSet<Digest> = state.pins.keys().cloned().collect();
        let mut tops: Vec<Option<Digest>> = state.snapshots.values().cloned().collect();
        tops.extend(state.pins.keys().cloned().map(Some));
        for entry in state.images.values() {
            let record = &entry.record;
            blobs.extend(record.blobs());
            tops.push(record.layers.last().cloned());
        }
        let named: HashSet<Digest> = state.meanings().filter_map(|meaning| meaning.index).collect();
        let State { indexes, pins, .. } = &mut *state;
        indexes.retain(|index, _| named.contains(index) || pins.contains_key(index));
        for index in state.indexes.values() {
            blobs.extend(state.kept_by(index));
        }
        let mut layers = HashSet::new();
        for top in &tops {
            for layer in state.stack(top.as_ref()) {
                layers.insert(layer.chain.clone());
                blobs.insert(layer.blob.digest.clone());
            }
        }
        let mut gone: Vec<LayerRecord> = state
            .layers
            .values()
            .filter(|layer| !layers.contains(&layer.chain))
            .cloned()
            .collect();
        let depth = |layer: &LayerRecord| state.stack(Some(&layer.chain)).len();
        gone.sort_by_cached_key(|layer| (std::cmp::Reverse(depth(layer)), layer.chain.clone()));
        for layer in &gone {
            self.trash.put(&self.paths.layer(&layer.chain))?;
            state.layers.remove(&layer.chain);
            state.unsettled.remove(&layer.chain);
        }
        let unused: Vec<Digest> = state.blobs.difference(&blobs).cloned().collect();
        for blob in unused {
            if state.unsynced.remove(&blob).is_none() {
                self.trash.put(&self.paths.blob(&blob))?;
            }
            state.blobs.remove(&blob);
        }
        drop(state);
        self.step("collected");
        self.trash.sweep();
        Ok(gone)
    }

    /// Takes a file or directory of the store away at once; its deletion goes on in the background.
    pub fn discard(&self, path: &std::path::Path) -> Result<()> {
        self.trash.put(path)?;
        self.trash.sweep();
        Ok(())
    }
}
