//! Processor time: shares or weight, quota and period, and what was used.

use oci_spec::runtime::LinuxResources;

use crate::dir::{Dir, keyed};
use crate::error::{Error, Result};
use crate::stats::Cpu;

/// `USER_HZ`: the unit of `cpuacct.stat` on every Linux that Docker runs on.
const TICKS_PER_SECOND: u64 = 100;
const PERIOD_US_DEFAULT: u64 = 100_000;

pub(crate) fn apply_v1(dir: &Dir, resources: &LinuxResources) -> Result<()> {
    let Some(cpu) = resources.cpu() else { return Ok(()) };
    if let Some(shares) = cpu.shares().filter(|v| *v != 0) {
        dir.write("cpu.shares", &shares.to_string())?;
        // The kernel clamps in silence; a user who asked for more should hear of it.
        let set = dir.number("cpu.shares")?.unwrap_or(shares);
        if shares > set {
            return Err(Error::Invalid(format!("the maximum allowed cpu-shares is {set}")));
        }
        if shares < set {
            return Err(Error::Invalid(format!("the minimum allowed cpu-shares is {set}")));
        }
    }
    let period = cpu.period().filter(|v| *v != 0);
    let quota = cpu.quota().filter(|v| *v != 0);
    let burst = cpu.burst();
    let mut period_late = None;
    if let Some(period) = period {
        match dir.write("cpu.cfs_period_us", &period.to_string()) {
            // A period below the quota that is still in force: it fits once the new quota is set.
            Err(Error::Refused { source, .. })
                if source.raw_os_error() == Some(libc::EINVAL) && quota.is_some() =>
            {
                period_late = Some(period);
            }
            other => other?,
        }
    }
    if let Some(quota) = quota {
        dir.write("cpu.cfs_quota_us", &quota.to_string())?;
    }
    if let Some(period) = period_late {
        dir.write("cpu.cfs_period_us", &period.to_string())?;
    }
    if let Some(burst) = burst {
        dir.write("cpu.cfs_burst_us", &burst.to_string())?;
    }
    if let Some(period) = cpu.realtime_period().filter(|v| *v != 0) {
        dir.write("cpu.rt_period_us", &period.to_string())?;
    }
    if let Some(runtime) = cpu.realtime_runtime().filter(|v| *v != 0) {
        dir.write("cpu.rt_runtime_us", &runtime.to_string())?;
    }
    if let Some(idle) = cpu.idle() {
        dir.write("cpu.idle", &idle.to_string())?;
    }
    Ok(())
}

pub(crate) fn apply_v2(dir: &Dir, resources: &LinuxResources) -> Result<()> {
    let Some(cpu) = resources.cpu() else { return Ok(()) };
    if cpu.realtime_period().unwrap_or(0) != 0 || cpu.realtime_runtime().unwrap_or(0) != 0 {
        return Err(Error::Unsupported(
            "cgroup v2 has no realtime processor limits".into(),
        ));
    }
    if let Some(idle) = cpu.idle() {
        dir.write("cpu.idle", &idle.to_string())?;
    }
    // An idle group has no weight of its own.
    if let Some(shares) = cpu.shares().filter(|v| *v != 0 && cpu.idle() != Some(1)) {
        dir.write("cpu.weight", &weight(shares).to_string())?;
    }
    let quota = cpu.quota().filter(|v| *v != 0);
    let period = cpu.period().filter(|v| *v != 0);
    if quota.is_some() || period.is_some() {
        let quota = match quota {
            Some(quota) if quota > 0 => quota.to_string(),
            Some(_) => "max".to_owned(),
            // Only the period changes: keep the quota that is in force.
            None => dir
                .read("cpu.max")?
                .split_whitespace()
                .next()
                .unwrap_or("max")
                .to_owned(),
        };
        dir.write(
            "cpu.max",
            &format!("{quota} {}", period.unwrap_or(PERIOD_US_DEFAULT)),
        )?;
    }
    if let Some(burst) = cpu.burst() {
        dir.write("cpu.max.burst", &burst.to_string())?;
    }
    Ok(())
}

/// Shares (2 to 262144, default 1024) to weight (1 to 10000, default 100), so that the two defaults and both ends meet:
/// the quadratic formula that runc and crun use since 2025.
fn weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = (shares as f64).log2();
            10f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0).ceil() as u64
        }
    }
}

/// `cpu.stat`'s throttling, the same keys in both versions apart from the unit of the time.
pub(crate) fn stats_throttled(dir: &Dir, out: &mut Cpu) -> Result<()> {
    for (key, value) in keyed(&dir.read_if_there("cpu.stat")?.unwrap_or_default()) {
        match key {
            "nr_periods" => out.periods = value,
            "nr_throttled" => out.periods_throttled = value,
            "throttled_time" => out.throttled_ns = value,
            "throttled_usec" => out.throttled_ns = value * 1000,
            _ => {}
        }
    }
    Ok(())
}

pub(crate) fn stats_cpuacct(dir: &Dir, out: &mut Cpu) -> Result<()> {
    for (key, value) in keyed(&dir.read("cpuacct.stat")?) {
        let ns = value * (1_000_000_000 / TICKS_PER_SECOND);
        match key {
            "user" => out.user_ns = ns,
            "system" => out.kernel_ns = ns,
            _ => {}
        }
    }
    out.total_ns = dir.number("cpuacct.usage")?.unwrap_or(0);
    let each = dir.read_if_there("cpuacct.usage_percpu")?.unwrap_or_default();
    out.each_ns = each.split_whitespace().filter_map(|v| v.parse().ok()).collect();
    Ok(())
}

pub(crate) fn stats_v2(dir: &Dir, out: &mut Cpu) -> Result<()> {
    for (key, value) in keyed(&dir.read("cpu.stat")?) {
        match key {
            "usage_usec" => out.total_ns = value * 1000,
            "user_usec" => out.user_ns = value * 1000,
            "system_usec" => out.kernel_ns = value * 1000,
            _ => {}
        }
    }
    stats_throttled(dir, out)
}

#[cfg(test)]
mod tests {
    #[test]
    fn defaults_and_ends_of_shares_and_weight_meet() {
        let pairs = [
            (2, 1),
            (1024, 100),
            (262_144, 10_000),
            (0, 1),
            (1_000_000, 10_000),
        ];
        for (shares, weight) in pairs {
            assert_eq!(super::weight(shares), weight, "{shares} shares");
        }
        assert!(super::weight(512) < 100 && super::weight(512) > 1);
    }
}
