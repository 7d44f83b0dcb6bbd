//! Bringing everything that was written to the disk: a part of it while more is coming, and the rest when it must be there.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::error::{Error, Result};

/// Bytes after which the disk is set to work, unless it is at it: what is left for the last sync is waited for. With four
/// times as many durability cost a load of 200 MB twice as much.
const AHEAD: u64 = 8 << 20;

#[derive(Debug)]
pub(crate) struct Flush {
    /// In the file system that is meant.
    directory: PathBuf,
    written: AtomicU64,
    /// Held while the file system is synced. What went wrong ahead of time: the kernel tells it once, and whoever needs
    /// the data on the disk must hear of it.
    failed: Mutex<Option<io::Error>>,
}

impl Flush {
    pub fn new(directory: PathBuf) -> Arc<Flush> {
        Arc::new(Flush {
            directory,
            written: AtomicU64::new(0),
            failed: Mutex::new(None),
        })
    }

    /// So many bytes more. The disk begins with them while others are made, so that the sync at the end finds less.
    pub fn wrote(self: &Arc<Self>, bytes: u64) {
        if self.written.fetch_add(bytes, Ordering::Relaxed) + bytes < AHEAD || self.failed.is_locked() {
            return;
        }
        self.written.store(0, Ordering::Relaxed);
        let this = self.clone();
        // Without a thread all of it is done at the end.
        let _ = std::thread::Builder::new()
            .name("images-flush".into())
            .spawn(move || {
                if let Some(mut failed) = this.failed.try_lock()
                    && let Err(error) = this.sync()
                {
                    failed.get_or_insert(error);
                }
            });
    }

    /// All that was written before is on the disk then.
    pub fn all(&self) -> Result<()> {
        let mut failed = self.failed.lock();
        self.written.store(0, Ordering::Relaxed);
        let synced = match failed.take() {
            Some(error) => Err(error),
            None => self.sync(),
        };
        synced.map_err(|e| Error::storage("sync file system of", &self.directory, e))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(&self.directory)?)?)
    }
}
