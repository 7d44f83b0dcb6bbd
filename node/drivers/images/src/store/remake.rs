//! Layers that a power cut took before they were on the disk, unpacked again from their blobs.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::Descriptor;
use crate::store::Store;
use crate::store::layers::{Place, Unpacked};
use crate::store::state::Entry;
use crate::unpack::{self, Warm};

/// Where layers lie that are not known to be whole, by chain id.
pub(super) type Lost = HashMap<Digest, PathBuf>;

/// One that is wanted.
struct Wanted {
    place: Place,
    blob: Descriptor,
}

impl Store {
    /// Unpacks what is missing of images whose records say from what. A blob that is not what it should be costs its image, a
    /// disk that refuses is an error: it is to be mended, not to have images forgotten.
    pub(super) fn remake<'a>(&self, images: impl Iterator<Item = &'a Entry>, mut lost: Lost) -> Result<()> {
        let wanted = self.wanted(images);
        if !wanted.is_empty() {
            tracing::info!(
                "unpacking {} layers again that were not on the disk yet",
                wanted.len()
            );
        }
        let warm = Warm::default();
        let (next, lost_now, failed) = (AtomicUsize::new(0), Mutex::new(&mut lost), Mutex::new(None));
        let work = || {
            while let Some(Wanted { place, blob }) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                let before = lost_now.lock().remove(&place.chain);
                match self.remake_one(place, blob, before.as_deref(), &warm) {
                    Err(error @ Error::Corrupt(_)) => {
                        tracing::warn!("layer {} is lost: {error}", place.chain);
                        let before = before.map(|before| (place.chain.clone(), before));
                        lost_now.lock().extend(before);
                    }
                    Err(error) => drop(failed.lock().get_or_insert(error)),
                    Ok(()) => {}
                }
            }
        };
        let threads = thread::available_parallelism()
            .map_or(1, usize::from)
            .min(wanted.len());
        thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        if let Some(error) = failed.into_inner() {
            return Err(error);
        }
        lost.values().try_for_each(|directory| self.trash.put(directory))
    }

    fn wanted<'a>(&self, images: impl Iterator<Item = &'a Entry>) -> Vec<Wanted> {
        let state = self.state.lock();
        let mut wanted = BTreeMap::new();
        for Entry { record, config, .. } in images {
            let layers = record
                .layers
                .iter()
                .zip(&record.packed)
                .zip(&config.rootfs.diff_ids);
            for (at, ((chain, blob), diff_id)) in layers.enumerate() {
                if state.layers.contains_key(chain) || !state.blobs.contains(&blob.digest) {
                    continue;
                }
                let place = Place {
                    diff_id: diff_id.clone(),
                    chain: chain.clone(),
                    parent: at.checked_sub(1).map(|below| record.layers[below].clone()),
                };
                let blob = blob.clone();
                wanted.entry(chain).or_insert(Wanted { place, blob });
            }
        }
        wanted.into_values().collect()
    }

    /// One that lies there whole stays: a container may be using it.
    fn remake_one(&self, place: &Place, blob: &Descriptor, before: Option<&Path>, warm: &Warm) -> Result<()> {
        let layer = self.unpack(blob, Some(place), warm, |_| {})?;
        match before {
            Some(before) if unpack::same(&before.join("diff"), &layer.diff()) => self.keep(before, &layer),
            // What lies there gives way.
            _ => self.take_in(layer),
        }
    }

    fn keep(&self, directory: &Path, layer: &Unpacked) -> Result<()> {
        let record = self.write_record(directory, layer.record.clone())?;
        self.state.lock().add_unsettled(record);
        Ok(())
    }
}
