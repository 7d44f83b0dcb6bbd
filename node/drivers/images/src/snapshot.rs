//! A container's writable part over an image's layers.
//!
//! Nothing here is synced: what a container writes is promised to survive the daemon, not the power. After a cut
//! `prepare` makes again what is missing.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::image::{Image, RootAttributes, Rootfs};
use crate::images::Images;
use crate::store::Store;
use crate::store::state::lower;

impl Images {
    /// Makes the directories for `key` (a container id) over an image, or finds them there. Fast: three
    /// directories and a link.
    pub async fn prepare(&self, key: &str, image: &Image) -> Result<Rootfs> {
        let (key, top, root) = (checked(key)?.to_owned(), image.layers.last().cloned(), image.root);
        let id = image.id.clone();
        self.blocking(move |store| {
            {
                let mut state = store.state.lock();
                if top.as_ref().is_some_and(|top| !state.layers.contains_key(top)) {
                    return Err(Error::no_such_image(id));
                }
                // From here on the layers are kept.
                state.snapshots.insert(key.clone(), top.clone());
            }
            let made = make(&store.paths.snapshots.join(&key), top.as_ref(), root);
            if made.is_err() {
                store.state.lock().snapshots.remove(&key);
                let _ = store.discard(&store.paths.snapshots.join(&key));
            }
            made?;
            rootfs(store, &key)
        })
        .await
    }

    /// Where the directories of a prepared key are.
    pub fn rootfs(&self, key: &str) -> Result<Rootfs> {
        rootfs(&self.store, checked(key)?)
    }

    /// Gives a key up, at once; its files are deleted in the background. Fine if there is none.
    pub async fn discard(&self, key: &str) -> Result<()> {
        let key = checked(key)?.to_owned();
        self.blocking(move |store| {
            store.discard(&store.paths.snapshots.join(&key))?;
            store.state.lock().snapshots.remove(&key);
            Ok(())
        })
        .await
    }

    /// The keys that exist, for a caller that looks for what nobody owns any more.
    pub fn snapshots(&self) -> Vec<String> {
        self.store.state.lock().snapshots.keys().cloned().collect()
    }

    /// Bytes that the container itself wrote.
    pub async fn usage(&self, key: &str) -> Result<u64> {
        let upper = self.rootfs(key)?.upper;
        self.blocking(move |_| walk(&upper)).await
    }
}

fn rootfs(store: &Store, key: &str) -> Result<Rootfs> {
    let state = store.state.lock();
    let Some(top) = state.snapshots.get(key) else {
        return Err(Error::NotFound(format!("no root file system for {key}")));
    };
    let directory = store.paths.snapshots.join(key);
    Ok(Rootfs {
        lower: lower(&store.paths, &state.stack(top.as_ref())),
        upper: directory.join("diff"),
        work: directory.join("work"),
    })
}

/// A key becomes a file's name.
fn checked(key: &str) -> Result<&str> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    match !key.is_empty() && !key.starts_with('.') && key.len() <= 200 && key.bytes().all(valid) {
        true => Ok(key),
        false => Err(Error::InvalidParameter(format!("invalid key {key:?}"))),
    }
}

fn make(directory: &Path, top: Option<&Digest>, root: RootAttributes) -> Result<()> {
    directory_of(
        directory,
        RootAttributes {
            mode: 0o710,
            ..RootAttributes::default()
        },
    )?;
    // overlayfs shows the upper directory's attributes as the root's.
    directory_of(&directory.join("diff"), root)?;
    directory_of(
        &directory.join("work"),
        RootAttributes {
            mode: 0o700,
            ..RootAttributes::default()
        },
    )?;
    let base = directory.join("base");
    match symlink(top.map_or("none", Digest::as_str), &base) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(Error::storage("create", &base, error)),
        _ => Ok(()),
    }
}

/// One that exists is left as it is: the container may have changed it.
fn directory_of(path: &Path, attributes: RootAttributes) -> Result<()> {
    let made = fs::create_dir(path).and_then(|()| {
        if (attributes.uid, attributes.gid) != (0, 0) {
            chown(path, Some(attributes.uid), Some(attributes.gid))?;
        }
        fs::set_permissions(path, Permissions::from_mode(attributes.mode))
    });
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(Error::storage("create directory", path, error))
        }
        _ => Ok(()),
    }
}

/// Sizes of everything below, a file with several names once, without following links. A container may be
/// changing it: what vanishes meanwhile counts nothing.
fn walk(root: &Path) -> Result<u64> {
    let mut directories: Vec<PathBuf> = vec![root.to_owned()];
    let mut seen = std::collections::HashSet::new();
    let mut sum = 0;
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                directories.push(entry.path());
            } else if meta.is_file() && (meta.nlink() == 1 || seen.insert(meta.ino())) {
                sum += meta.len();
            }
        }
    }
    Ok(sum)
}
