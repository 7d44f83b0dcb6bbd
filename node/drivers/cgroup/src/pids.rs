//! How many processes and threads a group may have. The same files in both versions.

use oci_spec::runtime::LinuxResources;

use crate::dir::Dir;
use crate::error::Result;
use crate::stats::Pids;

pub(crate) fn apply(dir: &Dir, resources: &LinuxResources) -> Result<()> {
    let Some(pids) = resources.pids() else {
        return Ok(());
    };
    match pids.limit() {
        0 => Ok(()),
        limit if limit < 0 => dir.write("pids.max", "max"),
        limit => dir.write("pids.max", &limit.to_string()),
    }
}

pub(crate) fn stats(dir: &Dir, out: &mut Pids) -> Result<()> {
    out.current = dir.number("pids.current")?.unwrap_or(0);
    out.limit = dir.number("pids.max")?;
    Ok(())
}
