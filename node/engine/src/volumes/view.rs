//! A root filesystem to read from, without a container: its layers mounted read-only where nobody sees it.

use crate::error::{Result, io, system};
use crate::ids;
use rustix::fs::{Mode, OFlags, open};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use shoal_node_drivers_shim::Rootfs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// The merged tree. It is gone when this is.
pub struct View {
    pub root: OwnedFd,
}

impl View {
    /// `tmp` holds the mount point for the blink of an eye in which the mount has a place.
    pub fn open(rootfs: &Rootfs, tmp: &Path) -> Result<View> {
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let (lower, upper) = match rootfs {
            Rootfs::Directory(dir) => {
                let root =
                    open(dir, directory, Mode::empty()).map_err(|e| io("open", dir.display())(e.into()))?;
                return Ok(View { root });
            }
            Rootfs::Overlay { lower, upper, .. } => (lower, upper),
        };
        // By descriptor: mount options are limited to a page, and paths are long.
        let mut layers = Vec::with_capacity(lower.len() + 1);
        for path in std::iter::once(upper).chain(lower) {
            layers.push(
                open(path, directory, Mode::empty()).map_err(|e| io("open", path.display())(e.into()))?,
            );
        }
        let place = tmp.join(format!("view-{}", ids::short(&ids::new())));
        crate::files::make_dir(&place, 0o700).map_err(io("create", place.display()))?;
        let names: Vec<String> = layers
            .iter()
            .map(|fd| format!("/proc/self/fd/{}", fd.as_raw_fd()))
            .collect();
        let options = std::ffi::CString::new(format!("lowerdir={}", names.join(":")))
            .map_err(|e| system(format!("mount options: {e}")))?;
        let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        let done = mount("overlay", &place, "overlay", flags, Some(options.as_c_str()))
            .map_err(|e| io("mount a view at", place.display())(e.into()))
            .and_then(|()| {
                let root = open(&place, directory, Mode::empty());
                // The descriptor keeps the mount alive.
                let _ = unmount(&place, UnmountFlags::DETACH);
                root.map_err(|e| io("open", place.display())(e.into()))
            });
        let _ = std::fs::remove_dir(&place);
        Ok(View { root: done? })
    }
}
