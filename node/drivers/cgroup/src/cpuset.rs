//! Which processors and memory nodes a group may use. The same two files in both versions.

use std::path::Path;

use oci_spec::runtime::LinuxResources;

use crate::dir::Dir;
use crate::error::Result;

pub(crate) fn apply(dir: &Dir, resources: &LinuxResources) -> Result<()> {
    let Some(cpu) = resources.cpu() else { return Ok(()) };
    if let Some(cpus) = cpu.cpus().as_ref().filter(|v| !v.is_empty()) {
        dir.write("cpuset.cpus", cpus)?;
    }
    if let Some(mems) = cpu.mems().as_ref().filter(|v| !v.is_empty()) {
        dir.write("cpuset.mems", mems)?;
    }
    Ok(())
}

/// A new version 1 group has no processor at all and can take no process: copies both sets down from the root of the
/// tree to `group` wherever they are empty.
pub(crate) fn inherit(mount: &Path, group: &Path) -> Result<()> {
    let Ok(inside) = group.strip_prefix(mount) else {
        return Ok(());
    };
    let mut upper = Dir::open(mount.to_owned())?;
    for part in inside.components() {
        let dir = Dir::open(upper.path().join(part))?;
        for name in ["cpuset.cpus", "cpuset.mems"] {
            if dir.read(name)?.trim().is_empty() {
                dir.write(name, upper.read(name)?.trim())?;
            }
        }
        upper = dir;
    }
    Ok(())
}
