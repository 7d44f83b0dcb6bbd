//! The parts of a container that another OCI runtime cannot make by itself, put where it finds them: the root, and
//! mounts that have no path. All of it lives in a mount namespace of the caller's own, so it is gone with its processes.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result, doing, on};
use crate::idmap::Mapping;
use crate::root::Rootfs;
use crate::{mounts, sys};

/// In the bundle: where the root is attached, and where other mounts are.
const ROOT: &str = "rootfs";
const TREES: &str = "mounts";

/// Leave the host's mount namespace, attach the root and what `spec` mounts without a path below `bundle`, and name
/// these places in `spec`. Mounts of the host still come and go here, and what is shared stays shared.
///
/// # Safety
/// The calling process must have one thread only.
pub unsafe fn furnish(bundle: &Path, rootfs: &Rootfs, spec: &mut Spec) -> Result<()> {
    let bundle = std::fs::canonicalize(bundle)
        .map_err(|e| Error::new(format!("find the bundle {}: {e}", bundle.display())))?;
    // By descriptor they belong to the host's namespace: copied before it is left.
    // SAFETY: the caller's promise.
    let mapping = unsafe { Mapping::of(spec) }?;
    let trees = detached(spec, mapping.as_ref())?;
    let root = match &mapping {
        Some(mapping) => Ok(rootfs.mapped(mapping)?),
        None => rootfs.detached(),
    };
    sys::unshare(libc::CLONE_NEWNS).map_err(doing("make a mount namespace"))?;
    private(&mount_point(&bundle)?)?;
    let place = make_dir(&bundle.join(ROOT))?;
    match root {
        Ok(root) => mounts::attach(root.as_fd(), place.as_fd()).map_err(on("attach the root at", &bundle))?,
        // Older kernels take many layers by the older call only.
        Err(_) => rootfs.mount_at(&place)?,
    }
    // Another may be mounted there for a moment.
    private(Path::new("/proc"))?;
    for (index, tree, subpath) in trees {
        let tree = match subpath.as_os_str().is_empty() {
            true => tree,
            false => mounts::below(tree, &subpath).map_err(on("look into a mount for", &subpath))?,
        };
        let path = bundle.join(TREES).join(index.to_string());
        let place = if is_dir(&tree)? {
            make_dir(&path)?
        } else {
            make_file(&path)?
        };
        mounts::attach(tree.as_fd(), place.as_fd()).map_err(on("attach", &path))?;
        if let Some(mount) = spec.mounts_mut().as_mut().and_then(|all| all.get_mut(index)) {
            let mut options = vec!["rbind".to_owned()];
            options.extend(kept_options(mount.options().as_deref().unwrap_or_default()));
            mount
                .set_typ(Some("bind".into()))
                .set_source(Some(path))
                .set_uid_mappings(None)
                .set_gid_mappings(None)
                .set_options(Some(options));
        }
    }
    if let Some(root) = spec.root_mut() {
        root.set_path(bundle.join(ROOT));
    }
    Ok(())
}

/// Copies of the mounts that only this process can name, by their index.
fn detached(spec: &Spec, mapping: Option<&Mapping>) -> Result<Vec<(usize, OwnedFd, PathBuf)>> {
    let mut out = Vec::new();
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        let by_descriptor = mount.source().as_ref().is_some_and(|s| s.starts_with("/proc/"));
        let layered = mount.typ().as_deref() == Some("overlay");
        if by_descriptor || layered || mounts::is_mapped(mount) {
            let (tree, subpath) = mounts::detached(mount, mapping)?;
            out.push((index, tree, subpath));
        }
    }
    Ok(out)
}

/// What of a mount's options is for the bind that takes its place.
fn kept_options(options: &[String]) -> impl Iterator<Item = String> {
    let own = ["bind", "rbind"];
    options
        .iter()
        .filter(move |o| !o.contains('=') && !own.contains(&o.as_str()))
        .cloned()
        .collect::<Vec<_>>()
        .into_iter()
}

/// The mount that `path` lies on.
fn mount_point(path: &Path) -> Result<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo")
        .map_err(|e| Error::new(format!("read the table of mounts: {e}")))?;
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    let found = points
        .map(|point| PathBuf::from(point.replace("\\040", " ").replace("\\134", "\\")))
        .filter(|point| path.starts_with(point))
        .max_by_key(|point| point.components().count());
    found.ok_or_else(|| Error::new(format!("{} lies on no mount", path.display())))
}

/// What is mounted below this mount from now on is seen here only.
fn private(point: &Path) -> Result<()> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let mount = rustix::fs::open(point, flags, Mode::empty()).map_err(on("open", point))?;
    sys::mount_setattr(mount.as_fd(), false, 0, 0, libc::MS_PRIVATE).map_err(on("make private", point))
}

fn make_dir(path: &Path) -> Result<OwnedFd> {
    std::fs::create_dir_all(path).map_err(|e| Error::new(format!("make {}: {e}", path.display())))?;
    open_path(path)
}

fn make_file(path: &Path) -> Result<OwnedFd> {
    let parent = path.parent().unwrap_or(path);
    let made = std::fs::create_dir_all(parent).and_then(|()| std::fs::File::create(path));
    made.map_err(|e| Error::new(format!("make {}: {e}", path.display())))?;
    open_path(path)
}

fn open_path(path: &Path) -> Result<OwnedFd> {
    rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(on("open", path))
}

fn is_dir(tree: &OwnedFd) -> Result<bool> {
    let stat = rustix::fs::fstat(tree).map_err(|e: Errno| Error::os("look at a mount", e))?;
    Ok(rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_below_a_path_is_the_nearest() {
        assert_eq!(mount_point(Path::new("/proc/self")).unwrap(), Path::new("/proc"));
    }

    #[test]
    fn a_bind_keeps_what_concerns_it() {
        let options = ["ro", "lowerdir+=/a", "upperdir=/b", "rprivate", "rbind"].map(String::from);
        assert_eq!(kept_options(&options).collect::<Vec<_>>(), ["ro", "rprivate"]);
    }
}
