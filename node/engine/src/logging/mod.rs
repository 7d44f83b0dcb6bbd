//! What a container's `LogConfig` means: checked in Docker's words when the container is made, understood when it starts.
//! The shim writes; this says what and where, and tends what the shim does not do: compression, counting what was lost.

mod attributes;
mod deliver;
mod options;
mod tag;
mod tend;

pub use options::check;
#[cfg(test)]
pub(crate) use tag::tag;
pub(crate) use tend::Tender;

use crate::containers::Record;
use crate::error::{Error, Result, system};
use options::{Kept, NETWORK};
use shoal_node_drivers_logs::Format;
use shoal_node_drivers_logs::delivery::{self, About};
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
    /// What is written is sent on, by this driver.
    pub deliver: Option<(String, About)>,
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
            deliver: None,
        });
    };
    let get = |key: &str| log.config.get(key).map(String::as_str);
    let deliver = match NETWORK.contains(&log.kind.as_str()) {
        true => Some((log.kind.clone(), about(record)?)),
        false => None,
    };
    if let Some((driver, about)) = &deliver {
        let options = log.config.clone().into_map().into_iter().collect();
        delivery::sink(driver, &options, about.clone())?;
    }
    let (kept, attrs) = match format {
        _ if deliver.is_some() => (options::cache(get)?.0, String::new()),
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
        deliver,
    })
}

fn about(record: &Record) -> Result<About, String> {
    let wanted = record
        .host
        .log_config
        .config
        .get("tag")
        .filter(|tag| !tag.is_empty());
    let command = std::iter::once(&record.path).chain(&record.args);
    Ok(About {
        id: record.id.clone(),
        name: record.name.clone(),
        image_id: record.image_id.clone(),
        image_name: record.config.image.clone(),
        command: command.cloned().collect::<Vec<_>>().join(" "),
        created: shoal_node_drivers_logs::rfc3339_nano(
            std::time::UNIX_EPOCH + std::time::Duration::from_nanos(record.created.0.max(0).unsigned_abs()),
        ),
        hostname: crate::host::Host::name_now(),
        tag: tag::tag(record, wanted.map_or("{{.ID}}", String::as_str))?,
        extra: attributes::extra(record, str::to_owned)?,
    })
}

/// What `docker logs` reads. `None` where the driver keeps nothing for it.
pub fn readable(record: &Record, dir: &Path) -> Option<(PathBuf, Format)> {
    let log = &record.host.log_config;
    let disabled = log
        .config
        .get("cache-disabled")
        .is_some_and(|text| options::boolean(text) == Ok(true));
    if disabled && NETWORK.contains(&log.kind.as_str()) {
        return None;
    }
    file(record, dir)
}

/// Where the shim writes this container's log. `None` keeps nothing.
pub fn file(record: &Record, dir: &Path) -> Option<(PathBuf, Format)> {
    match record.host.log_config.kind.as_str() {
        "none" => None,
        "local" => Some((dir.join("local-logs").join("container.log"), Format::Local)),
        kind if NETWORK.contains(&kind) => {
            Some((dir.join("cached-logs").join("container.log"), Format::Local))
        }
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
