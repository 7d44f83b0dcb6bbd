//! Extended attributes that travel in archives.

use std::os::fd::BorrowedFd;

use rustix::fs::{XattrFlags, getxattr, listxattr, setxattr};
use rustix::io::Errno;

use crate::inside::name_of;

const CAPABILITY: &str = "security.capability";
/// Bytes of the list of names, at first and at most, and of one value; larger ones stay behind.
const LIST_USUAL: usize = 512;
const LIST_MAX: usize = 64 << 10;
const VALUE_MAX: usize = 64 << 10;

/// Sets what an archive may set. overlayfs' own attributes are never taken from one. A file system without a kind of
/// attribute does without, as in Docker.
pub fn set(fd: BorrowedFd<'_>, xattrs: &[(Vec<u8>, Vec<u8>)]) -> Result<(), Errno> {
    for (name, value) in xattrs {
        if name.starts_with(b"trusted.") || name.starts_with(b"user.overlay.") {
            continue;
        }
        match setxattr(name_of(fd), &name[..], value, XattrFlags::empty()) {
            Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            other => other?,
        }
    }
    Ok(())
}

/// What an archive carries of a file: its capabilities and what users set.
pub fn get(fd: BorrowedFd<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let path = name_of(fd);
    // Most files have none or a few.
    let mut list = vec![0u8; LIST_USUAL];
    let length = match listxattr(&path, &mut list[..]) {
        Err(Errno::RANGE) => {
            list.resize(LIST_MAX, 0);
            listxattr(&path, &mut list[..])
        }
        other => other,
    };
    let Ok(length) = length else {
        return Vec::new();
    };
    let names = list[..length.min(list.len())].split(|&b| b == 0);
    let wanted = names.filter(|name| {
        *name == CAPABILITY.as_bytes() || name.starts_with(b"user.") && !name.starts_with(b"user.overlay.")
    });
    let mut out: Vec<_> = wanted
        .filter_map(|name| Some((name.to_vec(), value(&path, name)?)))
        .collect();
    out.sort();
    out
}

fn value(path: &str, name: &[u8]) -> Option<Vec<u8>> {
    let mut value = vec![0u8; VALUE_MAX];
    let length = getxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    if name == CAPABILITY.as_bytes() && value.len() > 20 && value[3] == 3 {
        // Version 3 names the root user of a namespace, which means nothing elsewhere: version 2 is the same without.
        value[3] = 2;
        value.truncate(20);
    }
    Some(value)
}
