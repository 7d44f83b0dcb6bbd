//! Extended attributes of layers, and the two that overlayfs reads.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};
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

/// All that there are, by name.
pub(super) fn all(fd: impl AsFd) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    // No file system takes longer lists or values: xattr(7).
    let mut list = vec![0; 64 << 10];
    let len = match flistxattr(&fd, &mut list) {
        Err(Errno::OPNOTSUPP) => 0,
        len => len?,
    };
    let mut found = BTreeMap::new();
    for name in list[..len]
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0; 64 << 10];
        let len = fgetxattr(&fd, name, &mut value)?;
        value.truncate(len);
        found.insert(name.to_owned(), value);
    }
    Ok(found)
}

/// Hides everything that lower layers have in this directory.
pub(super) fn make_opaque(directory: impl AsFd) -> io::Result<()> {
    Ok(fsetxattr(directory, OPAQUE, b"y", XattrFlags::empty())?)
}
