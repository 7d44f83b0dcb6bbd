//! Extended attributes of layers, and the two that overlayfs reads.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{XattrFlags, fsetxattr};
use rustix::io::Errno;

const OPAQUE: &str = "trusted.overlay.opaque";

/// Sets what a layer may set. overlayfs' own attributes are never taken from an archive: they could point a
/// directory elsewhere. A file system without a kind of attribute does without, as in Docker.
pub(super) fn set(fd: impl AsFd, xattrs: &[(Vec<u8>, Vec<u8>)]) -> io::Result<()> {
    for (name, value) in xattrs {
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
            continue;
        }
        match fsetxattr(&fd, &name[..], value, XattrFlags::empty()) {
            Err(Errno::OPNOTSUPP) => {}
            Err(Errno::PERM) if name.starts_with(b"user.") => {}
            other => other?,
        }
    }
    Ok(())
}

/// Hides everything that lower layers have in this directory.
pub(super) fn make_opaque(directory: impl AsFd) -> io::Result<()> {
    Ok(fsetxattr(directory, OPAQUE, b"y", XattrFlags::empty())?)
}
