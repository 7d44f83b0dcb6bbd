//! What a container's `LogConfig` means: checked in Docker's words when the container is made, understood when it starts.
//! The shim writes; this says what and where, and tends what the shim does not do: compression, counting what was lost.

mod attributes;
mod options;
mod tag;
mod tend;

pub use options::check;
pub(crate) use tend::Tender;

use crate::containers::Record;
use crate::error::{Error, Result, system};
use options::Kept;
use shoal_node_drivers_logs::Format;
use shoal_node_drivers_shim::LogTarget;
use std::path::{Path, PathBuf};

/// What a container's log may take when nobody says otherwise: five files of 20 MB, the older ones compressed. Docker's
/// json-file has no limit.
pub const DEFAULT_MAX_SIZE: u64 = 20_000_000;
pub const DEFAULT_MAX_FILE: u32 = 5;

/// A container's log, for one start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub target: LogTarget,
    /// Rotated files are to be compressed.
    pub compress: bool,
}

/// Reads the configuration. Docker makes the driver at each start, so most mistakes are found here and not at the create.
pub fn plan(record: &Record, dir: &Path) -> Result<Plan> {
    understood(record, dir).map_err(|why| {
        system(format!(
            "failed to create task for container: failed to initialize logging driver: {why}"
        ))
    })
}

fn understood(record: &Record, dir: &Path) -> Result<Plan, String> {
    let log = &record.host.log_config;
    let Some((path, format)) = file(record, dir) else {
        return Ok(Plan {
            target: LogTarget::None,
            compress: false,
        });
    };
    let get = |key: &str| log.config.get(key).map(String::as_str);
    let (kept, attrs) = match format {
        Format::Json => (
            Kept::json_file(get)?,
            attributes::json(record, tag::tag(record, get("tag").unwrap_or(""))?)?,
        ),
        Format::Local => (Kept::local(get)?, String::new()),
    };
    Ok(Plan {
        target: LogTarget::File {
            path,
            local: format == Format::Local,
            max_size: kept.max_size,
            max_file: kept.max_file,
            attrs,
        },
        compress: kept.compress,
    })
}

/// Where the shim writes this container's log. `None` keeps nothing.
pub fn file(record: &Record, dir: &Path) -> Option<(PathBuf, Format)> {
    match record.host.log_config.kind.as_str() {
        "none" => None,
        "local" => Some((dir.join("local-logs").join("container.log"), Format::Local)),
        _ => Some((record.log_path(dir), Format::Json)),
    }
}

/// Makes the directory that the file lies in, if it has one of its own.
pub fn prepare(target: &LogTarget, dir: &Path) -> Result<(), Error> {
    if let LogTarget::File { path, .. } = target
        && let Some(own) = path.parent().filter(|parent| *parent != dir)
    {
        crate::files::make_dir(own, 0o700).map_err(crate::error::io("create", own.display()))?;
    }
    Ok(())
}
