//! How overlayfs writes down in a layer what is not there any more.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::error::{Error, Result};
use crate::inside;

const OPAQUE: [&str; 2] = ["trusted.overlay.opaque", "user.overlay.opaque"];

pub fn is_whiteout(stat: &Stat) -> bool {
    inside::kind(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

pub fn is_opaque(directory: BorrowedFd<'_>) -> bool {
    OPAQUE.iter().any(|name| {
        let mut value = [0u8; 1];
        matches!(rustix::fs::fgetxattr(directory, *name, &mut value), Ok(1) if value[0] == b'y')
    })
}

/// Layers as one read-only directory, top first; mounted nowhere that anybody sees.
pub fn lower(layers: &[PathBuf]) -> Result<OwnedFd> {
    let what = || format!("mount {} layers read-only", layers.len());
    if let [only] = layers {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        return rustix::fs::open(only, flags, Mode::empty()).map_err(|e| Error::os(what(), e));
    }
    let failed = |e| Error::os(what(), e);
    match mounted(|context, kept| {
        layers.iter().try_for_each(|layer| {
            rustix::mount::fsconfig_set_string(context, "lowerdir+", short(layer, kept)?)
        })
    }) {
        // Kernels before 6.7 take one string, which must be short.
        Err(Errno::INVAL) => {}
        other => return other.map_err(failed),
    }
    mounted(|context, kept| {
        let names = layers
            .iter()
            .map(|layer| Ok(short(layer, kept)?.display().to_string()));
        let names = names.collect::<Result<Vec<_>, Errno>>()?;
        rustix::mount::fsconfig_set_string(context, "lowerdir", names.join(":"))
    })
    .map_err(failed)
}

fn mounted(layers: impl FnOnce(&OwnedFd, &mut Vec<OwnedFd>) -> Result<(), Errno>) -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    // Descriptors that stand in for long paths live until the file system is made.
    let mut kept = Vec::new();
    rustix::mount::fsconfig_set_string(&context, "source", "overlay")?;
    layers(&context, &mut kept)?;
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_RDONLY,
    )
}

/// A name that is short and has no character that means something to overlayfs.
fn short(path: &Path, kept: &mut Vec<OwnedFd>) -> Result<PathBuf, Errno> {
    let fd = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let name = format!("/proc/self/fd/{}", fd.as_raw_fd()).into();
    kept.push(fd);
    Ok(name)
}
