//! Deleting without waiting: things are renamed away at once and removed by a thread that ends when it is done.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::store::atomic::unique;

#[derive(Debug, Clone)]
pub(crate) struct Trash {
    directory: PathBuf,
    /// Set while the thread runs; `again` asks it for one more round.
    sweeper: Arc<Mutex<Sweeper>>,
}

#[derive(Debug, Default)]
struct Sweeper {
    running: bool,
    again: bool,
}

impl Trash {
    pub fn new(directory: PathBuf) -> Trash {
        Trash {
            directory,
            sweeper: Arc::default(),
        }
    }

    /// Takes `path` out of its place. What is not there is gone already.
    pub fn put(&self, path: &Path) -> Result<()> {
        match fs::rename(path, self.directory.join(unique("gone"))) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::storage("remove", path, error)),
            _ => Ok(()),
        }
    }

    /// Starts removing what is in the trash, unless that is under way.
    pub fn sweep(&self) {
        let mut sweeper = self.sweeper.lock();
        if sweeper.running {
            sweeper.again = true;
            return;
        }
        let trash = self.clone();
        let thread = std::thread::Builder::new()
            .name("images-trash".into())
            .spawn(move || trash.run());
        sweeper.running = thread.is_ok();
    }

    fn run(&self) {
        loop {
            for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
                let path = entry.path();
                let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
                let removed = if directory {
                    fs::remove_dir_all(&path)
                } else {
                    fs::remove_file(&path)
                };
                if let Err(error) = removed {
                    // Busy, perhaps: it stays and is tried again by the next sweep or the next start.
                    tracing::warn!("cannot remove {}: {error}", path.display());
                }
            }
            let mut sweeper = self.sweeper.lock();
            if !std::mem::take(&mut sweeper.again) {
                sweeper.running = false;
                return;
            }
        }
    }
}
