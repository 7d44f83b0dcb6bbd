//! A container's writable part over an image's layers.
//!
//! Nothing here is synced: what a container writes is promised to survive the daemon, not the power. After a cut
//! `prepare` makes again what is missing.

use std::collections::HashSet;
use std::ffi::CString;
use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::image::{Image, Rootfs};
use crate::images::Images;
use crate::store::Store;
use crate::store::state::lower;

impl Images {
    /// Makes the directories for `key` (a container id) over an image, or finds them there. Fast: three
    /// directories and a link.
    pub async fn prepare(&self, key: &str, image: &Image) -> Result<Rootfs> {
        let (key, top) = (checked(key)?.to_owned(), image.layers.last().cloned());
        let id = image.id.clone();
        self.blocking(move |store| {
            {
                let mut state = store.state.lock();
                let gone = top.as_ref().is_some_and(|top| !state.layers.contains_key(top));
                // While its layers are not on the disk the image must be there: they may have to be made again.
                let going = !state.is_settled(top.as_ref())
                    && !state.snapshots.contains_key(&key)
                    && !Digest::parse(&id).is_ok_and(|id| state.images.contains_key(&id));
                if gone || going {
                    return Err(Error::no_such_image(id));
                }
                // From here on the layers are kept.
                state.snapshots.insert(key.clone(), top.clone());
            }
            let made = make(&store.paths.snapshots.join(&key), top.as_ref());
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

fn make(directory: &Path, top: Option<&Digest>) -> Result<()> {
    directory_of(directory, 0o710)?;
    // overlayfs shows the upper directory's attributes as the root's. This is what Docker gives every container,
    // whatever the image's own root directory is like.
    directory_of(&directory.join("diff"), 0o755)?;
    directory_of(&directory.join("work"), 0o700)?;
    let base = directory.join("base");
    match symlink(top.map_or("none", Digest::as_str), &base) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(Error::storage("create", &base, error)),
        _ => Ok(()),
    }
}

/// One that exists is left as it is: the container may have changed it.
fn directory_of(path: &Path, mode: u32) -> Result<()> {
    let made = DirBuilder::new().mode(mode).create(path).and_then(|()| {
        // A change is a journal entry, a look is not: only if the umask took something.
        match fs::symlink_metadata(path)?.permissions().mode() & 0o7777 == mode {
            true => Ok(()),
            false => fs::set_permissions(path, Permissions::from_mode(mode)),
        }
    });
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(Error::storage("create directory", path, error))
        }
        _ => Ok(()),
    }
}

/// Sizes of everything below, a file with several names once. By descriptor and without following links: a
/// container may be changing it, and what vanishes meanwhile counts nothing.
fn walk(root: &Path) -> Result<u64> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let failed = |e| Error::storage("measure", root, e);
    let mut levels = vec![Level::open(
        rustix::fs::open(root, flags, Mode::empty()).map_err(failed)?,
    )];
    let mut seen = HashSet::new();
    let mut sum = 0;
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.names.pop() else {
            levels.pop();
            continue;
        };
        let Ok(stat) = statat(&level.directory, &*name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if levels.len() < DEPTH_MAX => {
                let level = &levels[levels.len() - 1];
                let below = openat(&level.directory, &*name, flags, Mode::empty());
                levels.extend(below.ok().map(Level::open));
            }
            FileType::RegularFile if stat.st_nlink == 1 || seen.insert(stat.st_ino) => {
                sum += stat.st_size as u64
            }
            _ => {}
        }
    }
    Ok(sum)
}

/// Directories open at a time; what is nested deeper is not counted.
const DEPTH_MAX: usize = 256;

struct Level {
    directory: OwnedFd,
    names: Vec<CString>,
}

impl Level {
    fn open(directory: OwnedFd) -> Level {
        let entries = Dir::read_from(&directory).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_owned());
        let names = names
            .filter(|name| !matches!(name.to_bytes(), b"." | b".."))
            .collect();
        Level { directory, names }
    }
}
