//! Limits as the API writes them, for the pure half.

use crate::error::{Result, invalid, system};
use shoal_api_types::container::{Resources, ThrottleDevice};
use shoal_node_core_host::ocispec::resources::{DeviceLimit, DeviceLimits, Limits};
use shoal_node_core_host::{cpuset, ocispec::resources};
use std::os::unix::fs::MetadataExt;

pub fn limits(r: &Resources) -> Limits {
    Limits {
        memory: r.memory,
        memory_reservation: r.memory_reservation,
        memory_swap: r.memory_swap,
        memory_swappiness: r.memory_swappiness.filter(|v| *v >= 0),
        oom_kill_disable: r.oom_kill_disable.unwrap_or(false),
        nano_cpus: r.nano_cpus,
        cpu_shares: r.cpu_shares,
        cpu_period: r.cpu_period,
        cpu_quota: r.cpu_quota,
        cpu_realtime_period: r.cpu_realtime_period,
        cpu_realtime_runtime: r.cpu_realtime_runtime,
        cpuset_cpus: r.cpuset_cpus.clone(),
        cpuset_mems: r.cpuset_mems.clone(),
        pids: r.pids_limit,
        blkio_weight: r.blkio_weight,
        devices: DeviceLimits::default(),
    }
}

/// With the devices that are named, looked up on this host.
pub fn with_devices(r: &Resources) -> Result<Limits> {
    let weights = r.blkio_weight_device.iter();
    let rates = |list: &[ThrottleDevice]| {
        list.iter()
            .map(|d| device(&d.path, d.rate))
            .collect::<Result<Vec<_>>>()
    };
    Ok(Limits {
        devices: DeviceLimits {
            weight: weights
                .map(|d| device(&d.path, d.weight.into()))
                .collect::<Result<_>>()?,
            read_bps: rates(&r.blkio_device_read_bps)?,
            write_bps: rates(&r.blkio_device_write_bps)?,
            read_iops: rates(&r.blkio_device_read_iops)?,
            write_iops: rates(&r.blkio_device_write_iops)?,
        },
        ..limits(r)
    })
}

fn device(path: &str, value: u64) -> Result<DeviceLimit> {
    let metadata =
        std::fs::metadata(path).map_err(|e| system(format!("stat {path}: {}", crate::error::plain(&e))))?;
    Ok(DeviceLimit {
        major: rustix::fs::major(metadata.rdev()).into(),
        minor: rustix::fs::minor(metadata.rdev()).into(),
        value,
    })
}

/// What create and update refuse alike, and what they leave out with a warning because this kernel cannot do it.
pub fn check(
    kit: &super::Kit,
    asked: &mut Resources,
    update: bool,
    warnings: &mut Vec<String>,
) -> Result<()> {
    // What is not there is left out before it is judged, as Docker does it.
    if asked.blkio_weight > 0 && !kit.hierarchy.has_io_weight() {
        warnings.push(
            "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded."
                .into(),
        );
        asked.blkio_weight = 0;
    }
    if !asked.blkio_weight_device.is_empty() && !kit.hierarchy.has_io_weight_device() {
        warnings.push("Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.".into());
        asked.blkio_weight_device = Vec::new().into();
    }
    resources::check(&limits(asked), kit.host.cpus, update).map_err(invalid)?;
    if asked.memory > 0 && asked.memory_swap != -1 && !kit.hierarchy.has_swap_limit() {
        warnings.push("Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.".into());
        asked.memory_swap = -1;
    }
    if asked.oom_kill_disable == Some(true) {
        if kit.host.cgroup_v2 {
            warnings.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.".into());
            asked.oom_kill_disable = None;
        } else if asked.memory == 0 {
            warnings.push("OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.".into());
        }
    }
    if !asked.cpuset_cpus.is_empty() || !asked.cpuset_mems.is_empty() {
        let (cpus, mems) = kit.hierarchy.cpuset();
        cpuset::check(&asked.cpuset_cpus, &cpus, "CPUs", "cpus").map_err(invalid)?;
        cpuset::check(&asked.cpuset_mems, &mems, "memory nodes", "mems").map_err(invalid)?;
    }
    if asked.io_maximum_bandwidth != 0 {
        return Err(invalid(
            "invalid option: QoS maximum bandwidth configuration is not supported on linux",
        ));
    }
    if asked.io_maximum_iops != 0 {
        return Err(invalid(
            "invalid option: QoS maximum IOPs configuration is not supported on linux",
        ));
    }
    Ok(())
}
