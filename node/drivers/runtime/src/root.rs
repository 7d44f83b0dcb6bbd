//! The root file system: an overlay or a directory, made, attached, and entered with `pivot_root`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, UnmountFlags};

use crate::error::{Error, Result, doing};
use crate::{mounts, sys};

/// What becomes `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rootfs {
    /// `lower` is ordered top first.
    Overlay {
        lower: Vec<PathBuf>,
        upper: PathBuf,
        work: PathBuf,
    },
    Directory(PathBuf),
}

/// Where the new root is attached for the moment before it becomes the root: it exists everywhere, everybody may reach
/// it (a child in a user namespace too), and nothing in it is needed any more.
const FOOTHOLD: &str = "/etc";

/// The longest string that `fsconfig` takes.
const STRING_MAX: usize = 255;

impl Rootfs {
    /// The root as a mount that is attached nowhere. Works from the host's side or from the child's.
    pub fn detached(&self) -> Result<OwnedFd> {
        let root = match self {
            Rootfs::Directory(path) => {
                let tree = mounts::tree_of(path, true).map(|(tree, _)| tree);
                tree.and_then(|tree| {
                    sys::mount_setattr(tree.as_fd(), true, 0, 0, libc::MS_PRIVATE).map(|()| tree)
                })
            }
            Rootfs::Overlay { lower, upper, work } => overlay(lower, upper, work),
        };
        root.map_err(|e| self.failed(e))
    }

    /// Where [`Rootfs::detached`] failed: attach the root in this mount namespace by the old call, which takes more
    /// layers on kernels before 6.7.
    pub fn attached(&self) -> Result<OwnedFd> {
        match self {
            Rootfs::Directory(_) => attach_detached(self.detached()?),
            Rootfs::Overlay { lower, upper, work } => {
                overlay_by_mount(lower, upper, work).map_err(|e| self.failed(e))
            }
        }
    }

    fn failed(&self, errno: Errno) -> Error {
        match self {
            Rootfs::Directory(path) => {
                Error::os(format_args!("mount the root directory {}", path.display()), errno)
            }
            Rootfs::Overlay { upper, .. } => {
                Error::os(format_args!("mount the overlay of {}", upper.display()), errno)
            }
        }
    }
}

/// Attach a root that was made by [`Rootfs::detached`].
pub fn attach_detached(root: OwnedFd) -> Result<OwnedFd> {
    let foothold = rustix::fs::open(
        FOOTHOLD,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(doing("open the place for the root"))?;
    mounts::attach(root.as_fd(), foothold.as_fd()).map_err(doing("attach the root"))?;
    Ok(root)
}

/// Layers one by one, as kernels from 6.7 on take them; else in one string, which must be short.
pub(crate) fn overlay(lower: &[PathBuf], upper: &Path, work: &Path) -> Result<OwnedFd, Errno> {
    match overlay_with(upper, work, |context, kept| {
        lower.iter().try_for_each(|layer| {
            rustix::mount::fsconfig_set_string(context, "lowerdir+", &*short(layer, kept)?)
        })
    }) {
        Err(Errno::INVAL) => {}
        other => return other,
    }
    overlay_with(upper, work, |context, kept| {
        let mut names = Vec::with_capacity(lower.len());
        for layer in lower {
            names.push(by_descriptor(layer, kept)?.display().to_string());
        }
        rustix::mount::fsconfig_set_string(context, "lowerdir", names.join(":"))
    })
}

fn overlay_with(
    upper: &Path,
    work: &Path,
    layers: impl FnOnce(&OwnedFd, &mut Vec<OwnedFd>) -> Result<(), Errno>,
) -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    // Descriptors that stand in for long paths live until the file system is made.
    let mut kept = Vec::new();
    let set = |key: &str, value: &Path| rustix::mount::fsconfig_set_string(&context, key, value);
    set("source", Path::new("overlay"))?;
    layers(&context, &mut kept)?;
    let upper = short(upper, &mut kept)?;
    set("upperdir", &upper)?;
    let work = short(work, &mut kept)?;
    set("workdir", &work)?;
    // With an index the next start would be refused while the last one's file system is still being synced.
    set("index", Path::new("off"))?;
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

/// A name for `path` that `fsconfig` takes.
fn short(path: &Path, kept: &mut Vec<OwnedFd>) -> Result<PathBuf, Errno> {
    if path.as_os_str().len() <= STRING_MAX {
        return Ok(path.to_owned());
    }
    by_descriptor(path, kept)
}

fn by_descriptor(path: &Path, kept: &mut Vec<OwnedFd>) -> Result<PathBuf, Errno> {
    let fd = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let name = format!("/proc/self/fd/{}", fd.as_raw_fd()).into();
    kept.push(fd);
    Ok(name)
}

fn overlay_by_mount(lower: &[PathBuf], upper: &Path, work: &Path) -> Result<OwnedFd, Errno> {
    let mut kept = Vec::new();
    // By descriptor every layer takes at most 19 bytes, so two hundred fit into the one page that `mount` takes; and no
    // character of a path can be mistaken for a separator.
    let mut names = Vec::with_capacity(lower.len());
    for layer in lower {
        names.push(by_descriptor(layer, &mut kept)?.display().to_string());
    }
    let upper = by_descriptor(upper, &mut kept)?;
    let work = by_descriptor(work, &mut kept)?;
    let data = format!(
        "lowerdir={},upperdir={},workdir={},index=off",
        names.join(":"),
        upper.display(),
        work.display()
    );
    let data = std::ffi::CString::new(data).map_err(|_| Errno::INVAL)?;
    rustix::mount::mount(
        "overlay",
        FOOTHOLD,
        "overlay",
        MountFlags::empty(),
        Some(data.as_c_str()),
    )?;
    rustix::fs::open(
        FOOTHOLD,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// Make the attached `root` this process's `/` and drop everything that was mounted before.
pub fn enter(root: BorrowedFd<'_>) -> Result<()> {
    rustix::process::fchdir(root).map_err(doing("enter the root"))?;
    // The old root ends up below the new one, at the same place.
    sys::pivot_root(c".", c".").map_err(doing("pivot_root"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(doing("leave the host's root"))?;
    rustix::process::chdir("/").map_err(doing("chdir to the new root"))
}
