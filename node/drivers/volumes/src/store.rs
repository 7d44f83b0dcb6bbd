//! The volumes of one data root.

use crate::copy;
use parking_lot::RwLock;
use rustix::fs::{Mode, OFlags, open};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DATA: &str = "_data";
const META: &str = "volume.json";

/// What is known of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub options: BTreeMap<String, String>,
    /// RFC 3339.
    pub created_at: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no such volume: {0}")]
    NotFound(String),
    #[error("invalid volume name {0:?}")]
    Name(String),
    #[error("{what} {path}: {source}")]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

fn fail(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { what, path, source }
}

/// A cheap handle.
#[derive(Clone, Debug)]
pub struct Volumes {
    root: Arc<PathBuf>,
    known: Arc<RwLock<BTreeMap<String, Volume>>>,
}

impl Volumes {
    /// Reads what is there and clears away what is not whole.
    pub fn open(root: &Path) -> Result<Volumes, Error> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o701)
            .create(root)
            .map_err(fail("create", root))?;
        let mut known = BTreeMap::new();
        for entry in fs::read_dir(root).map_err(fail("list", root))?.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            match fs::read(path.join(META)) {
                Ok(bytes) => match serde_json::from_slice::<Volume>(&bytes) {
                    Ok(volume) if volume.name == name => drop(known.insert(name, volume)),
                    _ => {
                        tracing::error!(path = %path.display(), "a volume's metadata cannot be read; it is left alone")
                    }
                },
                Err(e)
                    if e.kind() == io::ErrorKind::NotFound && entry.file_type().is_ok_and(|t| t.is_dir()) =>
                {
                    if let Err(error) = fs::remove_dir_all(&path) {
                        tracing::warn!(path = %path.display(), %error, "a half-made volume stays");
                    }
                }
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "a volume's metadata cannot be read")
                }
            }
        }
        Ok(Volumes {
            root: Arc::new(root.into()),
            known: Arc::new(RwLock::new(known)),
        })
    }

    /// Where a volume's contents are, whether or not it exists.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name).join(DATA)
    }

    pub fn get(&self, name: &str) -> Option<Volume> {
        self.known.read().get(name).cloned()
    }

    /// By name.
    pub fn list(&self) -> Vec<Volume> {
        self.known.read().values().cloned().collect()
    }

    /// Durable when it returns. One that is there already is answered as it is.
    pub fn create(
        &self,
        name: &str,
        labels: BTreeMap<String, String>,
        options: BTreeMap<String, String>,
    ) -> Result<Volume, Error> {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            return Err(Error::Name(name.into()));
        }
        if let Some(volume) = self.get(name) {
            return Ok(volume);
        }
        let created_at = time::OffsetDateTime::now_utc()
            .format(&time::format_description::well_known::Rfc3339)
            .unwrap_or_default();
        let volume = Volume {
            name: name.into(),
            labels,
            options,
            created_at,
        };
        let dir = self.root.join(name);
        let made = make(&self.root, &dir, &volume);
        if made.is_err() {
            let _ = fs::remove_dir_all(&dir);
        }
        made?;
        self.known.write().insert(name.into(), volume.clone());
        Ok(volume)
    }

    /// Gone, durably, when it returns; its contents follow.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        if !self.known.read().contains_key(name) {
            return Err(Error::NotFound(name.into()));
        }
        let dir = self.root.join(name);
        let meta = dir.join(META);
        match fs::remove_file(&meta) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(fail("remove", &meta)(e)),
            _ => {}
        }
        sync(&dir)?;
        self.known.write().remove(name);
        match fs::remove_dir_all(&dir) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(fail("remove", &dir)(e)),
            _ => Ok(()),
        }
    }

    /// Gives an empty volume the contents, owner and mode of a directory. One that has contents is left alone.
    pub fn copy_up(&self, from: impl AsFd, name: &str) -> Result<(), Error> {
        let path = self.path(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let to = open(&path, flags, Mode::empty()).map_err(|e| fail("open", &path)(e.into()))?;
        copy::tree(from.as_fd(), to.as_fd()).map_err(|e| fail("copy into", &path)(e.into()))
    }
}

fn make(root: &Path, dir: &Path, volume: &Volume) -> Result<(), Error> {
    let new = |path: &Path, mode| match DirBuilder::new().mode(mode).create(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(fail("create", path)(e)),
        _ => Ok(()),
    };
    new(dir, 0o701)?;
    new(&dir.join(DATA), 0o755)?;
    let (meta, temporary) = (dir.join(META), dir.join(".volume.json.tmp"));
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&serde_json::to_vec(volume)?)?;
        file.sync_data()?;
        fs::rename(&temporary, &meta)
    };
    write().map_err(fail("write", &meta))?;
    sync(dir)?;
    sync(root)
}

fn sync(dir: &Path) -> Result<(), Error> {
    File::open(dir)
        .and_then(|d| d.sync_all())
        .map_err(fail("sync", dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn volumes_outlive_the_handle() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let volumes = Volumes::open(dir.path()).expect("opened");
        let labels = BTreeMap::from([("a".to_string(), "b".to_string())]);
        let made = volumes.create("data", labels, BTreeMap::new()).expect("made");
        assert_eq!(
            volumes
                .create("data", BTreeMap::new(), BTreeMap::new())
                .expect("there"),
            made
        );
        assert!(volumes.create("../x", BTreeMap::new(), BTreeMap::new()).is_err());
        fs::create_dir_all(dir.path().join("half/_data")).expect("half made");
        let again = Volumes::open(dir.path()).expect("opened again");
        assert_eq!(again.list(), [made]);
        assert!(
            !dir.path().join("half").exists(),
            "what was never answered is gone"
        );
        again.remove("data").expect("removed");
        assert!(matches!(again.remove("data"), Err(Error::NotFound(_))));
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 0);
    }

    #[test]
    fn only_an_empty_volume_is_filled() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let from = dir.path().join("from");
        fs::create_dir_all(from.join("sub")).expect("made");
        fs::write(from.join("sub/file"), "text").expect("written");
        fs::set_permissions(&from, fs::Permissions::from_mode(0o750)).expect("mode set");
        symlink("/etc/passwd", from.join("link")).expect("linked");
        fs::hard_link(from.join("sub/file"), from.join("hard")).expect("linked");
        let volumes = Volumes::open(&dir.path().join("v")).expect("opened");
        volumes
            .create("data", BTreeMap::new(), BTreeMap::new())
            .expect("made");
        let source = File::open(&from).expect("opened");
        volumes.copy_up(&source, "data").expect("filled");
        let data = volumes.path("data");
        assert_eq!(fs::read_to_string(data.join("sub/file")).expect("read"), "text");
        assert_eq!(
            fs::read_link(data.join("link")).expect("a link").to_str(),
            Some("/etc/passwd")
        );
        assert_eq!(fs::metadata(&data).expect("there").mode() & 0o777, 0o750);
        let inode = |path: &str| fs::metadata(data.join(path)).expect("there").ino();
        assert_eq!(inode("hard"), inode("sub/file"));
        fs::write(data.join("sub/file"), "mine").expect("written");
        volumes.copy_up(&source, "data").expect("left alone");
        assert_eq!(fs::read_to_string(data.join("sub/file")).expect("read"), "mine");
    }
}
