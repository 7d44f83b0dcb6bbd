//! What is known of layers beyond the images that are here: how one was packed for a push, and which repositories have
//! which blob. Nothing is lost with it but time: it is written whole, and without waiting for the disk.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::Descriptor;

/// Layers remembered; the oldest go first.
const LAYERS_MAX: usize = 4096;
/// Repositories remembered of one blob.
const REPOSITORIES_MAX: usize = 8;

#[derive(Debug)]
pub(crate) struct Known {
    path: PathBuf,
    facts: Mutex<Facts>,
    /// Something came that is not written down.
    changed: AtomicBool,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default)]
struct Facts {
    /// By DiffID: the blob that it was packed to.
    packed: HashMap<Digest, Descriptor>,
    /// By blob: `registry/repository`.
    places: HashMap<Digest, BTreeSet<String>>,
    /// Keys of both in the order in which they came.
    order: VecDeque<Digest>,
}

impl Known {
    /// What cannot be read is forgotten.
    pub fn read(path: PathBuf) -> Known {
        let facts = fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        Known {
            path,
            facts: Mutex::new(facts),
            changed: AtomicBool::new(false),
        }
    }

    pub fn packed(&self, diff_id: &Digest) -> Option<Descriptor> {
        self.facts.lock().packed.get(diff_id).cloned()
    }

    /// The repositories of one registry that had this blob.
    pub fn places(&self, blob: &Digest, domain: &str) -> Vec<String> {
        let facts = self.facts.lock();
        let places = facts.places.get(blob).into_iter().flatten();
        let here = places.filter_map(|place| place.strip_prefix(domain)?.strip_prefix('/'));
        here.map(str::to_owned).collect()
    }

    pub fn set_packed(&self, diff_id: &Digest, blob: &Descriptor) {
        let mut facts = self.facts.lock();
        let before = facts.packed.insert(diff_id.clone(), blob.clone());
        if before.as_ref() != Some(blob) {
            self.changed.store(true, Ordering::Relaxed);
        }
        facts.touch(diff_id);
    }

    pub fn set_place(&self, blob: &Digest, repository: &str) {
        let mut facts = self.facts.lock();
        let places = facts.places.entry(blob.clone()).or_default();
        if places.len() >= REPOSITORIES_MAX && !places.contains(repository) {
            places.pop_first();
        }
        if places.insert(repository.to_owned()) {
            self.changed.store(true, Ordering::Relaxed);
        }
        facts.touch(blob);
    }

    /// Blocks.
    pub fn save(&self) {
        let facts = self.facts.lock();
        if !self.changed.swap(false, Ordering::Relaxed) {
            return;
        }
        let aside = self.path.with_extension("new");
        let written = serde_json::to_vec(&*facts)
            .map_err(std::io::Error::other)
            .and_then(|bytes| fs::write(&aside, bytes))
            .and_then(|()| fs::rename(&aside, &self.path));
        if let Err(error) = written {
            tracing::debug!("cannot keep what is known of layers: {error}");
        }
    }
}

impl Facts {
    fn touch(&mut self, key: &Digest) {
        if !self.order.contains(key) {
            self.order.push_back(key.clone());
        }
        while self.order.len() > LAYERS_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.packed.remove(&oldest);
                self.places.remove(&oldest);
            }
        }
    }
}
