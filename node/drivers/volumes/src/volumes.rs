//! The volumes of one data root.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::{Error, Result};
use crate::options::Mount;
use crate::{copy_up, mounting, name, options};

/// Raised when an older version could not read what this one writes.
const FORMAT: u32 = 1;
/// Directories being made or deleted; no volume's name begins with a dot.
const HALF: &str = ".half-";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    pub name: String,
    /// RFC 3339.
    pub created_at: String,
    pub labels: BTreeMap<String, String>,
    pub options: BTreeMap<String, String>,
    /// What containers see: `…/volumes/<name>/_data`.
    pub mountpoint: PathBuf,
}

/// What stands in `volume.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Record {
    format: u32,
    created_at: String,
    labels: BTreeMap<String, String>,
    options: BTreeMap<String, String>,
}

/// A cheap handle.
#[derive(Debug, Clone)]
pub struct Volumes {
    root: Arc<PathBuf>,
    known: Arc<Mutex<BTreeMap<String, Volume>>>,
    /// One filling at a time: two containers that start together must not both find the volume empty.
    filling: Arc<Mutex<()>>,
    quota: Option<Quota>,
}

/// Holds a directory to a size, where the file system can.
#[derive(Clone)]
pub struct Quota(pub Arc<dyn Fn(&Path, u64) -> std::io::Result<()> + Send + Sync>);

impl std::fmt::Debug for Quota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Quota")
    }
}

impl Volumes {
    /// Opens the directory of all volumes (`<data root>/volumes`), clearing away what was half made or half removed.
    pub fn open(root: &Path) -> Result<Volumes> {
        let root = root.to_owned();
        // Docker's mode: passable, not listable.
        let made = DirBuilder::new().recursive(true).mode(0o701).create(&root);
        made.map_err(|e| Error::storage("create directory", &root, e))?;
        let volumes = Volumes {
            root: Arc::new(root),
            known: Arc::default(),
            filling: Arc::default(),
            quota: None,
        };
        let failed = |e| Error::storage("list", &volumes.root, e);
        for entry in fs::read_dir(&*volumes.root).map_err(failed)? {
            let found = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if found.starts_with(HALF) {
                delete_later(volumes.root.join(found));
            } else if name::check(&found).is_ok()
                && let Some(volume) = volumes.read(&found)?
            {
                volumes.known.lock().insert(found, volume);
            }
        }
        Ok(volumes)
    }

    /// From now on volumes may be asked for with a size.
    pub fn with_quota(mut self, quota: Option<Quota>) -> Volumes {
        self.quota = quota;
        self
    }

    /// Makes a volume, durable when it returns; one of that name that exists is given as it is.
    pub fn create(
        &self,
        name: &str,
        labels: BTreeMap<String, String>,
        options: BTreeMap<String, String>,
    ) -> Result<Volume> {
        name::check(name)?;
        let mut known = self.known.lock();
        if let Some(volume) = known.get(name) {
            return Ok(volume.clone());
        }
        options::check(name, &options, self.quota.is_some())?;
        let size = options.get("size").and_then(|text| options::size(text));
        let created_at = OffsetDateTime::now_utc()
            .replace_nanosecond(0)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let created_at = created_at.format(&Rfc3339).unwrap_or_default();
        let record = Record {
            format: FORMAT,
            created_at,
            labels,
            options,
        };
        let half = self.root.join(format!("{HALF}new-{name}"));
        let made = self.make(&half, &record).and_then(|()| {
            if let (Some(size), Some(quota)) = (size, &self.quota) {
                let data = half.join("_data");
                (quota.0)(&data, size).map_err(|e| Error::storage("limit the size of", &data, e))?;
            }
            let place = self.root.join(name);
            fs::rename(&half, &place).map_err(|e| Error::storage("create volume", &place, e))?;
            sync_directory(&self.root)
        });
        if let Err(error) = made {
            let _ = fs::remove_dir_all(&half);
            return Err(error);
        }
        let volume = self.volume(name, record);
        known.insert(name.to_owned(), volume.clone());
        Ok(volume)
    }

    pub fn get(&self, name: &str) -> Result<Volume> {
        self.known
            .lock()
            .get(name)
            .cloned()
            .ok_or_else(|| Error::NotFound(name.to_owned()))
    }

    /// By name.
    pub fn list(&self) -> Vec<Volume> {
        self.known.lock().values().cloned().collect()
    }

    /// Where a volume's files are.
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        self.get(name).map(|volume| volume.mountpoint)
    }

    /// Removes a volume, durably; its files are deleted in the background. Whether it is in use is for the
    /// caller to know.
    pub fn remove(&self, name: &str) -> Result<()> {
        let mut known = self.known.lock();
        if !known.contains_key(name) {
            return Err(Error::NotFound(name.to_owned()));
        }
        let place = self.root.join(name);
        if Mount::of(&known[name].options).is_some() {
            // What is mounted is not ours to delete.
            mounting::detach(&known[name].mountpoint).map_err(|e| Error::storage("unmount", &place, e))?;
        }
        let half = self.half(name);
        match fs::rename(&place, &half) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::storage("remove volume", &place, error));
            }
            _ => {}
        }
        known.remove(name);
        sync_directory(&self.root)?;
        drop(known);
        delete_later(half);
        Ok(())
    }

    /// Whether this volume is a file system that is mounted while it is used.
    pub fn is_mount(&self, name: &str) -> bool {
        self.get(name)
            .is_ok_and(|volume| Mount::of(&volume.options).is_some())
    }

    /// Mounts what the volume's options describe; nothing to do for a plain one, or one that is mounted.
    pub fn mount(&self, name: &str) -> Result<()> {
        let volume = self.get(name)?;
        match Mount::of(&volume.options) {
            Some(mount) => mounting::attach(&mount, &volume.mountpoint).map_err(|why| Error::Mount {
                path: volume.mountpoint,
                why,
            }),
            None => Ok(()),
        }
    }

    /// Takes that off again. Who counts the users is the caller.
    pub fn unmount(&self, name: &str) -> Result<()> {
        let volume = self.get(name)?;
        if Mount::of(&volume.options).is_none() {
            return Ok(());
        }
        mounting::detach(&volume.mountpoint).map_err(|e| Error::storage("unmount", &volume.mountpoint, e))
    }

    /// The same for a directory that is not ours.
    pub fn copy_up_to(&self, source: BorrowedFd, path: &Path) -> Result<bool> {
        let _filling = self.filling.lock();
        copy_up::copy_up(source, path).map_err(|e| Error::storage("copy the image's files to", path, e))
    }

    /// Fills a volume that is empty with what `source` (a directory of an image, by descriptor) holds, and gives
    /// it that directory's owner and mode. Returns whether it did; a volume with anything in it is left alone.
    pub fn copy_up(&self, source: BorrowedFd, name: &str) -> Result<bool> {
        let path = self.path(name)?;
        let _filling = self.filling.lock();
        copy_up::copy_up(source, &path).map_err(|e| Error::storage("copy the image's files to", &path, e))
    }

    /// Bytes of a volume's files.
    pub fn usage(&self, name: &str) -> Result<u64> {
        let path = self.path(name)?;
        copy_up::usage(&path).map_err(|e| Error::storage("measure", &path, e))
    }

    fn make(&self, half: &Path, record: &Record) -> Result<()> {
        let failed = |e| Error::storage("create", half, e);
        // What a failed attempt may have left.
        match fs::remove_dir_all(half) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        DirBuilder::new().mode(0o701).create(half).map_err(failed)?;
        let data = half.join("_data");
        DirBuilder::new().mode(0o755).create(&data).map_err(failed)?;
        // Whatever the umask.
        fs::set_permissions(&data, Permissions::from_mode(0o755)).map_err(failed)?;
        let text = serde_json::to_vec_pretty(record)
            .map_err(std::io::Error::other)
            .map_err(failed)?;
        let mut file = File::create_new(half.join("volume.json")).map_err(failed)?;
        file.write_all(&text)
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        sync_directory(half)
    }

    /// A volume on disk; `None` if the directory is not one. A volume without a record (made by hand, as Docker
    /// allows) has no labels.
    fn read(&self, name: &str) -> Result<Option<Volume>> {
        let place = self.root.join(name);
        if !place.join("_data").is_dir() {
            return Ok(None);
        }
        let path = place.join("volume.json");
        let record = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!("volume {name}: {} cannot be read: {error}", path.display());
                Record::default()
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Record::default(),
            Err(error) => return Err(Error::storage("read", &path, error)),
        };
        if record.format > FORMAT {
            let error = std::io::Error::other(format!("format {} is newer than {FORMAT}", record.format));
            return Err(Error::storage("understand", &path, error));
        }
        Ok(Some(self.volume(name, record)))
    }

    fn volume(&self, name: &str, record: Record) -> Volume {
        Volume {
            name: name.to_owned(),
            created_at: record.created_at,
            labels: record.labels,
            options: record.options,
            mountpoint: self.root.join(name).join("_data"),
        }
    }

    /// A free name for what is to be deleted.
    fn half(&self, name: &str) -> PathBuf {
        let free = (0u32..)
            .map(|n| self.root.join(format!("{HALF}gone-{n}-{name}")))
            .find(|path| !path.exists());
        free.unwrap_or_else(|| self.root.join(format!("{HALF}gone")))
    }
}

fn sync_directory(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| Error::storage("sync directory", path, e))
}

fn delete_later(path: PathBuf) {
    let thread = std::thread::Builder::new().name("volume-delete".into());
    let spawned = thread.spawn(move || {
        // What is mounted over a volume is not ours to delete.
        let data = path.join("_data");
        if mounting::is_mounted(&data).unwrap_or(false) && mounting::detach(&data).is_err()
            || mounting::is_mounted(&data).unwrap_or(false)
        {
            tracing::warn!("{} is still mounted and stays", data.display());
            return;
        }
        if let Err(error) = fs::remove_dir_all(&path) {
            // Tried again at the next start.
            tracing::warn!("cannot remove {}: {error}", path.display());
        }
    });
    if let Err(error) = spawned {
        tracing::warn!("cannot start a thread to delete a volume: {error}");
    }
}
