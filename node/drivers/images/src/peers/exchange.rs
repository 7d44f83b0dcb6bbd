//! What serving and taking have in common on one node.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::digest::Digest;
use crate::flights::Flights;
use crate::images::Images;

/// Blobs sent to other nodes at a time; more wait.
const READS_MAX: usize = 16;
/// Blobs of pulls taken from other nodes, or waited for, at a time.
const TAKES_MAX: usize = 4;

/// Images of this node for others and of others for this one.
#[derive(Debug)]
pub struct Exchange {
    pub(super) images: Images,
    /// Pulls from registries under way in which other nodes take part, by manifest.
    pulls: Mutex<HashMap<Digest, Weak<Pull>>>,
    pub(super) reads: Semaphore,
    /// Blobs taken from others that pull the same.
    pub(super) takes: Semaphore,
    /// One search for the same name at a time, by the digest of the name.
    pub(super) searches: Flights,
    /// Bytes sent so far.
    pub(super) sent: Arc<AtomicU64>,
}

impl Exchange {
    pub fn new(images: Images) -> Arc<Exchange> {
        Arc::new(Exchange {
            images,
            pulls: Mutex::default(),
            reads: Semaphore::new(READS_MAX),
            takes: Semaphore::new(TAKES_MAX),
            searches: Flights::default(),
            sent: Arc::default(),
        })
    }

    /// The pull of this manifest, if one is under way. Not to be held on to: it ends when its puller drops it.
    pub(super) fn pull(&self, manifest: &Digest) -> Option<Arc<Pull>> {
        self.pulls.lock().get(manifest).and_then(Weak::upgrade)
    }

    /// The same for a puller: begins it if there is none.
    pub(super) fn begin(&self, manifest: &Digest, lacking: HashSet<Digest>) -> Arc<Pull> {
        let mut pulls = self.pulls.lock();
        pulls.retain(|_, pull| pull.strong_count() > 0);
        if let Some(pull) = pulls.get(manifest).and_then(Weak::upgrade) {
            return pull;
        }
        let pull = Arc::new(Pull {
            lacking,
            table: Mutex::default(),
            moved: AtomicU64::new(0),
        });
        pulls.insert(manifest.clone(), Arc::downgrade(&pull));
        pull
    }
}

/// An image that is being pulled here.
#[derive(Debug)]
pub(crate) struct Pull {
    /// Blobs that were not here when it began, and will be.
    pub lacking: HashSet<Digest>,
    /// Under one lock: a node that comes either is counted in when it is decided who fetches a blob, or hears that this one
    /// fetches it.
    pub table: Mutex<Table>,
    moved: AtomicU64,
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Blobs that come from the registry now.
    pub fetching: HashSet<Digest>,
    /// Other nodes that pull the same.
    pub company: BTreeSet<String>,
}

impl Pull {
    /// Bytes have come, from wherever.
    pub fn count(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }
}
