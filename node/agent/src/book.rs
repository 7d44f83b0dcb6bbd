//! The tasks of this node on disk, so that a restarted daemon knows them before it hears from a manager.
//!
//! One file, replaced as a whole. It may lag behind by a moment: every act of an executor is idempotent, and the
//! complete set of the next session says what is wanted.

use shoal_raft_objects::{Task, TaskStatus, codec};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug)]
pub(crate) struct Book {
    path: PathBuf,
}

impl Book {
    pub fn new(dir: &Path) -> Self {
        Self {
            path: dir.join("tasks"),
        }
    }

    /// What was written last. A file that cannot be read is as good as none: a complete set will come.
    pub fn load(&self) -> Vec<(Task, TaskStatus)> {
        match fs::read(&self.path) {
            Ok(bytes) => codec::decode(&bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, path = %self.path.display(), "cannot read the tasks of this node");
                Vec::new()
            }),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, path = %self.path.display(), "cannot read the tasks of this node");
                }
                Vec::new()
            }
        }
    }

    pub fn save(&self, tasks: &[(Task, TaskStatus)]) -> io::Result<()> {
        replace(&self.path, &codec::encode(&tasks).map_err(io::Error::other)?)
    }
}

/// Replaces the file at `path` by `bytes`, durably and never by half.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
