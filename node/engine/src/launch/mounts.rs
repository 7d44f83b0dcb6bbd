//! What a container's record says about mounts, as the specification wants it. Missing directories of `-v` are made.

use crate::containers::{Kit, MountRecord, Record};
use crate::error::{Result, invalid, io, not_found};
use shoal_node_core_host::binds;
use shoal_node_core_host::ocispec::{Mount, ReadOnly};
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// `places` says where volumes are that are mounted for this run; descriptors that mounts name go to `held`.
pub fn mounts(
    kit: &Kit,
    record: &Record,
    places: &BTreeMap<String, PathBuf>,
    held: &mut Vec<OwnedFd>,
) -> Result<Vec<Mount>> {
    let mut out = Vec::with_capacity(record.mounts.len() + record.host.tmpfs.len());
    let mut table = None;
    for mount in &record.mounts {
        // A plugin's volume that is not mounted is nowhere.
        if mount.point.kind == "volume"
            && mount.point.source.is_empty()
            && !places.contains_key(&mount.point.name)
        {
            continue;
        }
        out.push(match mount.point.kind.as_str() {
            "image" => of_image(kit, mount)?,
            _ => one(mount, &mut table, places, held)?,
        });
    }
    for (destination, options) in record.host.tmpfs.iter() {
        let options = binds::tmpfs_options(options).map_err(invalid)?;
        out.push(Mount::Tmpfs {
            destination: destination.clone(),
            options,
        });
    }
    Ok(out)
}

fn of_image(kit: &Kit, mount: &MountRecord) -> Result<Mount> {
    let rootfs = kit.images.rootfs(&mount.layer).map_err(crate::images::error)?;
    Ok(Mount::Image {
        lower: rootfs.lower,
        upper: rootfs.upper,
        work: rootfs.work,
        subpath: mount.subpath.clone(),
        destination: mount.point.destination.clone(),
        read_only: true,
    })
}

/// `table` is this host's mounts, read when first needed.
fn one(
    mount: &MountRecord,
    table: &mut Option<String>,
    places: &BTreeMap<String, PathBuf>,
    held: &mut Vec<OwnedFd>,
) -> Result<Mount> {
    let point = &mount.point;
    if point.kind == "tmpfs" {
        return Ok(Mount::Tmpfs {
            destination: point.destination.clone(),
            options: mount.tmpfs.clone(),
        });
    }
    let root = match places.get(&point.name).filter(|_| point.kind == "volume") {
        Some(place) => place.as_path(),
        None => Path::new(&point.source),
    };
    let source = subpath(root, &mount.subpath, held)?;
    if point.kind == "bind" && !source.exists() {
        std::fs::create_dir_all(&source).map_err(|e| {
            invalid(format!(
                "error while creating mount source path '{}': {e}",
                source.display()
            ))
        })?;
    }
    if point.propagation.ends_with("shared") || point.propagation.ends_with("slave") {
        let text = match table.take() {
            Some(text) => text,
            None => {
                std::fs::read_to_string("/proc/self/mountinfo").map_err(io("read", "the table of mounts"))?
            }
        };
        let real = std::fs::canonicalize(&source).unwrap_or_else(|_| source.clone());
        let checked = binds::check_propagation(&text, &real.to_string_lossy(), &point.propagation);
        *table = Some(text);
        checked.map_err(invalid)?;
    }
    let read_only = match (point.rw, mount.read_only_top) {
        (true, _) => ReadOnly::No,
        (false, true) if mount.read_only_all => {
            return Err(invalid(
                "mount options conflict: ReadOnlyNonRecursive && ReadOnlyForceRecursive",
            ));
        }
        (false, true) => ReadOnly::Top,
        (false, false) => ReadOnly::Recursive,
    };
    Ok(Mount::Bind {
        source,
        destination: point.destination.clone(),
        read_only,
        recursive: !mount.non_recursive,
        propagation: point.propagation.clone(),
        mapped: point.kind == "volume",
    })
}

/// A directory below a volume's root, whose contents a container wrote: no link is followed on the way.
fn subpath(root: &Path, subpath: &str, held: &mut Vec<OwnedFd>) -> Result<PathBuf> {
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
    let shown = root.join(relative);
    let found = found.map_err(|e| match e {
        // As Go says it.
        rustix::io::Errno::NOENT => not_found(format!(
            "cannot access path {0}: lstat {0}: no such file or directory",
            shown.display()
        )),
        e => io("cannot access path", shown.display())(e.into()),
    })?;
    // By descriptor: whoever else uses the volume may put a link in the way before it is mounted.
    let path = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), found.as_raw_fd()));
    held.push(found);
    Ok(path)
}
