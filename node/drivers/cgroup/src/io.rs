//! Block devices: `blkio` in version 1, `io` in version 2.

use oci_spec::runtime::{LinuxBlockIo, LinuxResources, LinuxThrottleDevice};

use crate::dir::Dir;
use crate::error::Result;
use crate::stats::{BlockIo, BlockIoEntry};

pub(crate) fn apply_v1(dir: &Dir, resources: &LinuxResources) -> Result<()> {
    let Some(block) = resources.block_io() else {
        return Ok(());
    };
    if let Some(weight) = block.weight().filter(|v| *v != 0) {
        // The file's name depends on the scheduler; a host with neither cannot weigh, and Docker starts all the same.
        if !dir.write_if_there("blkio.weight", &weight.to_string())? {
            dir.write_if_there("blkio.bfq.weight", &weight.to_string())?;
        }
    }
    for device in block.weight_device().iter().flatten() {
        if let Some(weight) = device.weight().filter(|v| *v != 0) {
            let line = format!("{}:{} {weight}", device.major(), device.minor());
            if !dir.write_if_there("blkio.weight_device", &line)? {
                dir.write_if_there("blkio.bfq.weight_device", &line)?;
            }
        }
    }
    for (name, _, devices) in throttles(block) {
        for device in devices.iter().flatten() {
            dir.write(
                name,
                &format!("{}:{} {}", device.major(), device.minor(), device.rate()),
            )?;
        }
    }
    Ok(())
}

pub(crate) fn apply_v2(dir: &Dir, resources: &LinuxResources) -> Result<()> {
    let Some(block) = resources.block_io() else {
        return Ok(());
    };
    if let Some(weight) = block.weight().filter(|v| *v != 0) {
        // BFQ takes Docker's 10..1000 as it is; the generic weight runs from 1 to 10000.
        if !dir.write_if_there("io.bfq.weight", &weight.to_string())? {
            dir.write_if_there("io.weight", &weight_v2(weight).to_string())?;
        }
    }
    for device in block.weight_device().iter().flatten() {
        if let Some(weight) = device.weight().filter(|v| *v != 0) {
            dir.write_if_there(
                "io.bfq.weight",
                &format!("{}:{} {weight}", device.major(), device.minor()),
            )?;
        }
    }
    for (_, key, devices) in throttles(block) {
        for device in devices.iter().flatten() {
            let rate = if device.rate() == 0 {
                "max".to_owned()
            } else {
                device.rate().to_string()
            };
            dir.write(
                "io.max",
                &format!("{}:{} {key}={rate}", device.major(), device.minor()),
            )?;
        }
    }
    Ok(())
}

type Throttle<'a> = (&'static str, &'static str, &'a Option<Vec<LinuxThrottleDevice>>);

fn throttles(block: &LinuxBlockIo) -> [Throttle<'_>; 4] {
    [
        (
            "blkio.throttle.read_bps_device",
            "rbps",
            block.throttle_read_bps_device(),
        ),
        (
            "blkio.throttle.write_bps_device",
            "wbps",
            block.throttle_write_bps_device(),
        ),
        (
            "blkio.throttle.read_iops_device",
            "riops",
            block.throttle_read_iops_device(),
        ),
        (
            "blkio.throttle.write_iops_device",
            "wiops",
            block.throttle_write_iops_device(),
        ),
    ]
}

/// 10..1000 onto 1..10000.
fn weight_v2(weight: u16) -> u64 {
    1 + (u64::from(weight).clamp(10, 1000) - 10) * 9999 / 990
}

pub(crate) fn stats_v1(dir: &Dir, out: &mut BlockIo) -> Result<()> {
    out.service_bytes = read_v1(dir, "io_service_bytes")?;
    out.serviced = read_v1(dir, "io_serviced")?;
    Ok(())
}

/// BFQ counts when it is the scheduler, the throttling layer always.
fn read_v1(dir: &Dir, what: &str) -> Result<Vec<BlockIoEntry>> {
    for prefix in ["blkio.bfq.", "blkio.throttle."] {
        let text = dir
            .read_if_there(&format!("{prefix}{what}_recursive"))?
            .unwrap_or_default();
        let entries: Vec<_> = text.lines().filter_map(parse_v1).collect();
        if !entries.is_empty() {
            return Ok(entries);
        }
    }
    Ok(Vec::new())
}

/// `8:0 Read 4096`; the last line `Total 4096` has no device and is left out.
fn parse_v1(line: &str) -> Option<BlockIoEntry> {
    let mut words = line.split_whitespace();
    let (major, minor) = words.next()?.split_once(':')?;
    let op = words.next()?.to_owned();
    Some(BlockIoEntry {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
        op,
        value: words.next()?.parse().ok()?,
    })
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`
pub(crate) fn stats_v2(dir: &Dir, out: &mut BlockIo) -> Result<()> {
    for line in dir.read_if_there("io.stat")?.unwrap_or_default().lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = words.next().and_then(|w| w.split_once(':')) else {
            continue;
        };
        let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else {
            continue;
        };
        for word in words {
            let Some((key, value)) = word.split_once('=') else {
                continue;
            };
            let Ok(value) = value.parse() else { continue };
            let (list, op) = match key {
                "rbytes" => (&mut out.service_bytes, "read"),
                "wbytes" => (&mut out.service_bytes, "write"),
                "rios" => (&mut out.serviced, "read"),
                "wios" => (&mut out.serviced, "write"),
                _ => continue,
            };
            list.push(BlockIoEntry {
                major,
                minor,
                op: op.to_owned(),
                value,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms_of_a_weight_and_a_line() {
        assert_eq!((weight_v2(10), weight_v2(1000)), (1, 10_000));
        let entry = parse_v1("8:16 Write 4096").unwrap();
        assert_eq!(
            (entry.major, entry.minor, entry.op.as_str(), entry.value),
            (8, 16, "Write", 4096)
        );
        assert_eq!(parse_v1("Total 4096"), None);
    }
}
