//! The root file system: an overlay or a directory, made, attached, and entered with `pivot_root`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, UnmountFlags};

use crate::error::{Error, Result, doing};
use crate::idmap::Mapping;
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

    /// [`Rootfs::detached`] with the ids of a user namespace. The calling process must have one thread.
    pub(crate) fn mapped(&self, mapping: &Mapping) -> Result<OwnedFd> {
        match self {
            Rootfs::Directory(_) => {
                let tree = self.detached()?;
                mapping.apply(tree.as_fd()).map_err(no_ids(self))?;
                Ok(tree)
            }
            Rootfs::Overlay { lower, upper, work } => {
                mapped_overlay(lower, upper, work, mapping).map_err(no_ids(self))
            }
        }
    }

    /// The same at a place of the caller's.
    pub(crate) fn mount_at(&self, place: &OwnedFd) -> Result<()> {
        match self {
            Rootfs::Directory(_) => {
                mounts::attach(self.detached()?.as_fd(), place.as_fd()).map_err(doing("attach the root"))
            }
            Rootfs::Overlay { lower, upper, work } => {
                let place = format!("/proc/self/fd/{}", place.as_raw_fd());
                mount_overlay(lower, upper, work, &place).map_err(|e| self.failed(e))
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
    mount_overlay(lower, upper, work, FOOTHOLD)?;
    rustix::fs::open(
        FOOTHOLD,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn mount_overlay(lower: &[PathBuf], upper: &Path, work: &Path, place: &str) -> Result<(), Errno> {
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
        place,
        "overlay",
        MountFlags::empty(),
        Some(data.as_c_str()),
    )
}

/// An overlay looks at its layers through their mounts: each is mounted with the mapping in a mount namespace that lasts
/// for this call, at paths that are short enough for any number of layers.
pub(crate) fn mapped_overlay(
    lower: &[PathBuf],
    upper: &Path,
    work: &Path,
    mapping: &Mapping,
) -> Result<OwnedFd, Errno> {
    let own = upper.parent().filter(|own| work.parent() == Some(*own));
    let names = (upper.file_name(), work.file_name());
    let (Some(own), (Some(upper), Some(work))) = (own, names) else {
        return Err(Errno::INVAL);
    };
    let namespace = |path: &str| rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let home = namespace("/proc/self/ns/mnt")?;
    sys::unshare(libc::CLONE_NEWNS)?;
    let make = || {
        let slash = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        sys::mount_setattr(slash.as_fd(), true, 0, 0, libc::MS_PRIVATE)?;
        let places = mounts::make("tmpfs", "tmpfs", &[], MountAttrFlags::empty())?;
        let foothold = rustix::fs::open(FOOTHOLD, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        mounts::attach(places.as_fd(), foothold.as_fd())?;
        let place = |name: &str| {
            rustix::fs::mkdirat(&places, name, Mode::from_raw_mode(0o700))?;
            rustix::fs::openat(&places, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        };
        let mut names = Vec::with_capacity(lower.len());
        for (index, layer) in lower.iter().map(PathBuf::as_path).chain([own]).enumerate() {
            let (tree, _) = mounts::tree_of(layer, false)?;
            mapping.apply(tree.as_fd())?;
            let name = index.to_string();
            mounts::attach(tree.as_fd(), place(&name)?.as_fd())?;
            names.push(format!("{FOOTHOLD}/{name}"));
        }
        let own = names.pop().unwrap_or_default();
        let data = format!(
            "lowerdir={},upperdir={own}/{},workdir={own}/{},index=off",
            names.join(":"),
            upper.display(),
            work.display()
        );
        let data = std::ffi::CString::new(data).map_err(|_| Errno::INVAL)?;
        drop(place("merged")?);
        let merged = format!("{FOOTHOLD}/merged");
        rustix::mount::mount(
            "overlay",
            &merged,
            "overlay",
            MountFlags::empty(),
            Some(data.as_c_str()),
        )?;
        mounts::tree_of(Path::new(&merged), false).map(|(tree, _)| tree)
    };
    let made = make();
    sys::setns(home.as_fd(), libc::CLONE_NEWNS)?;
    made
}

fn no_ids(root: &Rootfs) -> impl FnOnce(Errno) -> Error + '_ {
    move |errno| {
        let place = match root {
            Rootfs::Directory(path) => path,
            Rootfs::Overlay { upper, .. } => upper,
        };
        Error::os(
            format_args!(
                "mount the root at {} with the ids of a user namespace (its file system and the kernel must have \
                 idmapped mounts)",
                place.display()
            ),
            errno,
        )
    }
}

/// Make the attached `root` this process's `/` and drop everything that was mounted before.
pub fn enter(root: BorrowedFd<'_>) -> Result<()> {
    rustix::process::fchdir(root).map_err(doing("enter the root"))?;
    // The old root ends up below the new one, at the same place.
    sys::pivot_root(c".", c".").map_err(doing("pivot_root"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(doing("leave the host's root"))?;
    rustix::process::chdir("/").map_err(doing("chdir to the new root"))
}
