//! The content-addressed store on disk. Everything here blocks; callers are in blocking threads.
//!
//! Order of durability, so that no cut leaves a listed image broken: the content of blobs, their names, the image's record,
//! and last the names. Unpacked layers come to the disk later (`settle`); those that a cut took are unpacked again before
//! anything is listed (`remake`).

mod ahead;
mod arriving;
pub(crate) mod atomic;
mod blobs;
pub(crate) mod block;
mod commit;
mod gc;
mod growing;
pub(crate) mod indexes;
mod known;
mod layers;
mod lease;
mod mount;
mod open;
pub(crate) mod paths;
pub(crate) mod records;
mod remake;
mod settle;
pub(crate) mod state;
mod trash;
mod whole;

use std::fs::File;
use std::sync::Arc;

use parking_lot::Mutex;

use arriving::Arriving;
pub(crate) use blobs::{BlobWriter, Spooled};
pub(crate) use commit::{Moved, Names};
pub(crate) use growing::{Bringing, Growing, GrowingReader, Passing};
use known::Known;
pub(crate) use layers::{Loose, Place, Unpacked};
pub(crate) use lease::Lease;
use mount::Mount;
use paths::Paths;
use settle::Settling;
use state::State;
use trash::Trash;

/// Called with the name of each step that a crash could follow. Tests stop the process there.
pub type FaultHook = Arc<dyn Fn(&'static str) + Send + Sync>;

pub(crate) struct Store {
    pub paths: Paths,
    pub state: Mutex<State>,
    /// Held while records or names are written, so that two writers never write each other's view away.
    writing: Mutex<()>,
    /// Held while content is brought to the disk and named: who finds nothing to sync has waited for who did it.
    syncing: Mutex<()>,
    settling: Mutex<Settling>,
    /// Open from the beginning on: it hears of each failure of the disk since then.
    filesystem: File,
    /// The one that all of it is in.
    mount: Option<Mount>,
    trash: Trash,
    fault: Option<FaultHook>,
    pub known: Known,
    pub arriving: Arriving,
}

impl Store {
    pub(crate) fn step(&self, name: &'static str) {
        if let Some(fault) = &self.fault {
            fault(name);
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}
