//! `docker diff`.

use crate::containers::Containers;
use crate::error::{Result, system};
use crate::launch;
use rustix::fs::{Mode, OFlags};
use shoal_api_types::container::{ChangeKind, FilesystemChange};
use shoal_node_drivers_archive as driver;
use shoal_node_drivers_shim::Rootfs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

impl Containers {
    pub async fn changes(&self, reference: &str) -> Result<Vec<FilesystemChange>> {
        let handle = self.kit.registry.get(reference)?;
        let kit = self.kit.clone();
        launch::blocking(move || {
            let rootfs = launch::with_mount_points(&kit, kit.rootfs(handle.id())?)?;
            let (upper, lower) = layers(rootfs)?;
            let fail = |e: driver::Error| system(e.to_string());
            let lower = driver::lower(&lower).map_err(fail)?;
            let changes = driver::changes(upper.as_fd(), lower.as_fd()).map_err(fail)?;
            let told = |change: driver::Change| FilesystemChange {
                kind: match change.kind {
                    driver::Kind::Modified => ChangeKind::Modified,
                    driver::Kind::Added => ChangeKind::Added,
                    driver::Kind::Deleted => ChangeKind::Deleted,
                },
                path: change.path,
            };
            Ok(changes.into_iter().map(told).collect())
        })
        .await
    }
}

/// The container's own layer, and those below it.
pub fn layers(rootfs: Rootfs) -> Result<(OwnedFd, Vec<PathBuf>)> {
    match rootfs {
        Rootfs::Overlay { lower, upper, .. } => Ok((open(&upper)?, lower)),
        Rootfs::Directory(_) => Err(system("the container has no layer of its own")),
    }
}

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|e| system(format!("open {}: {e}", path.display())))
}
