//! The data root: whether it is ours, who we are in it, and that nobody else uses it now.

use crate::files::{self, Durability};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What this daemon can read. A newer one refuses to run rather than to guess.
const FORMAT: &str = "shoal-1";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "{0} is a data root of another Docker engine; it is left untouched, choose another with --data-root"
    )]
    Foreign(PathBuf),
    #[error("{path} has the format {found:?}, this shoald reads {FORMAT:?}; it is left untouched")]
    Format { path: PathBuf, found: String },
    #[error(
        "{0} is not empty and holds no shoald data; it is left untouched, choose another with --data-root"
    )]
    NotOurs(PathBuf),
    #[error("{0} is in use by another shoald")]
    InUse(PathBuf),
    #[error("{what} {path}: {source}")]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

/// A data root that is ours, locked until this value goes.
#[derive(Debug)]
pub struct Home {
    pub root: PathBuf,
    /// 32 hex digits, made once.
    pub engine_id: String,
    _lock: File,
}

/// What dockerd has in its data root and we do not.
const DOCKERD: [&str; 6] = ["overlay2", "image", "buildkit", "network", "containerd", "rootfs"];
/// What may lie in a data root before the engine has ever run: other parts of the daemon make it.
const TOLERATED: [&str; 4] = ["lost+found", "swarm", "lock", "shoald.pid"];

impl Home {
    /// Opens or makes the data root.
    pub fn open(root: &Path) -> Result<Home, Error> {
        let fail = |what, path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { what, path, source }
        };
        files::make_dir(root, 0o710).map_err(fail("create", root))?;
        let format_path = root.join("format");
        let known = files::read(&format_path).map_err(fail("read", &format_path))?;
        let known = known.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_string());
        match known.as_deref() {
            Some(FORMAT) => {}
            Some(found) => {
                return Err(Error::Format {
                    path: root.into(),
                    found: found.chars().take(40).collect(),
                });
            }
            None => refuse_foreign(root)?,
        }
        let lock_path = root.join("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(fail("open", &lock_path))?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::InUse(root.into())),
            Err(e) => return Err(fail("lock", &lock_path)(e.into())),
        }
        std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o710))
            .map_err(fail("set the mode of", root))?;
        if known.is_none() {
            files::replace(root, "format", FORMAT.as_bytes(), Durability::Synced)
                .map_err(fail("write", &format_path))?;
        }
        for (dir, mode) in [("containers", 0o710), ("tmp", 0o700)] {
            let path = root.join(dir);
            files::make_dir(&path, mode).map_err(fail("create", &path))?;
        }
        let engine_id = engine_id(root)?;
        Ok(Home {
            root: root.into(),
            engine_id,
            _lock: lock,
        })
    }

    /// The first eight digits: part of the names of everything of ours in the kernel.
    pub fn sid(&self) -> &str {
        &self.engine_id[..8]
    }

    pub fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    pub fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }
}

fn refuse_foreign(root: &Path) -> Result<(), Error> {
    if DOCKERD.iter().any(|name| root.join(name).exists()) {
        return Err(Error::Foreign(root.into()));
    }
    let entries = std::fs::read_dir(root).map_err(|source| Error::Io {
        what: "list",
        path: root.into(),
        source,
    })?;
    let strange = entries
        .flatten()
        .any(|e| !TOLERATED.iter().any(|t| e.file_name() == *t));
    if strange {
        Err(Error::NotOurs(root.into()))
    } else {
        Ok(())
    }
}

fn engine_id(root: &Path) -> Result<String, Error> {
    let path = root.join("engine-id");
    let fail = |what| {
        let path = path.clone();
        move |source| Error::Io { what, path, source }
    };
    if let Some(bytes) = files::read(&path).map_err(fail("read"))? {
        let id = String::from_utf8_lossy(&bytes).trim().to_string();
        if id.len() >= 12 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(id);
        }
        return Err(fail("read")(io::Error::new(
            io::ErrorKind::InvalidData,
            "not an engine id",
        )));
    }
    let id = hex::encode(rand::random::<[u8; 16]>());
    files::replace(root, "engine-id", id.as_bytes(), Durability::Synced).map_err(fail("write"))?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once_then_the_same() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = dir.path().join("data");
        let first = Home::open(&root).expect("made");
        let id = first.engine_id.clone();
        assert!(matches!(Home::open(&root), Err(Error::InUse(_))));
        drop(first);
        assert_eq!(Home::open(&root).expect("opened again").engine_id, id);
        let mode = std::fs::metadata(&root).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o710);
    }

    #[test]
    fn what_is_not_ours_stays_as_it_is() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(dir.path().join("overlay2")).expect("made");
        assert!(matches!(Home::open(dir.path()), Err(Error::Foreign(_))));
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1);
        let other = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(other.path().join("format"), "shoal-99").expect("written");
        assert!(matches!(Home::open(other.path()), Err(Error::Format { .. })));
        let family = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(family.path().join("photo"), "x").expect("written");
        assert!(matches!(Home::open(family.path()), Err(Error::NotOurs(_))));
    }
}
