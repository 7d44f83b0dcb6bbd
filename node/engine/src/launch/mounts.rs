//! What a container's record says about mounts, as the specification wants it. Missing directories of `-v` are made.

use crate::containers::{MountRecord, Record};
use crate::error::{Result, invalid, io};
use shoal_node_core_host::ocispec::Mount;
use std::path::{Component, Path, PathBuf};

pub fn mounts(record: &Record) -> Result<Vec<Mount>> {
    let mut out = Vec::with_capacity(record.mounts.len() + record.host.tmpfs.len());
    for mount in &record.mounts {
        out.push(one(mount)?);
    }
    for (destination, options) in record.host.tmpfs.iter() {
        let options = shoal_node_core_host::binds::tmpfs_options(options).map_err(invalid)?;
        out.push(Mount::Tmpfs {
            destination: destination.clone(),
            options,
        });
    }
    Ok(out)
}

fn one(mount: &MountRecord) -> Result<Mount> {
    let point = &mount.point;
    if point.kind == "tmpfs" {
        return Ok(Mount::Tmpfs {
            destination: point.destination.clone(),
            options: mount.tmpfs.clone(),
        });
    }
    let source = subpath(Path::new(&point.source), &mount.subpath)?;
    if point.kind == "bind" && !source.exists() {
        std::fs::create_dir_all(&source).map_err(|e| {
            invalid(format!(
                "error while creating mount source path '{}': {e}",
                source.display()
            ))
        })?;
    }
    Ok(Mount::Bind {
        source,
        destination: point.destination.clone(),
        read_only: !point.rw,
        recursive: !mount.non_recursive,
        propagation: point.propagation.clone(),
    })
}

/// A directory below a volume's root, whose contents a container wrote: no link is followed on the way.
fn subpath(root: &Path, subpath: &str) -> Result<PathBuf> {
    if subpath.is_empty() {
        return Ok(root.into());
    }
    let relative = Path::new(subpath);
    if relative
        .components()
        .any(|c| !matches!(c, Component::Normal(_) | Component::CurDir))
    {
        return Err(invalid(format!("invalid volume subpath {subpath:?}")));
    }
    use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let found = open(root, flags | OFlags::DIRECTORY, Mode::empty()).and_then(|dir| {
        openat2(
            &dir,
            relative,
            flags,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
        )
    });
    found
        .map_err(std::io::Error::from)
        .map_err(io("cannot access path", root.join(relative).display()))?;
    Ok(root.join(relative))
}
