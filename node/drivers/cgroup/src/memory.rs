//! Memory, its reservation, swap, and what the kernel does when it runs out.

use oci_spec::runtime::{LinuxMemory, LinuxResources};

use crate::dir::{Dir, keyed};
use crate::error::{Error, Result};
use crate::stats::Memory;

pub(crate) fn apply_v1(dir: &Dir, resources: &LinuxResources) -> Result<()> {
    let Some(memory) = resources.memory() else {
        return Ok(());
    };
    let limit = memory.limit().filter(|v| *v != 0);
    // Lifting the memory limit alone would leave the sum of memory and swap limited.
    let swap = memory
        .swap()
        .filter(|v| *v != 0)
        .or_else(|| limit.filter(|v| *v == -1).map(|_| -1));
    let set_limit = |dir: &Dir| match limit {
        Some(value) => dir.write("memory.limit_in_bytes", &value.to_string()),
        None => Ok(()),
    };
    let set_swap = |dir: &Dir| match swap {
        // A kernel without swap accounting has no such file; Docker starts the container all the same.
        Some(value) => dir
            .write_if_there("memory.memsw.limit_in_bytes", &value.to_string())
            .map(drop),
        None => Ok(()),
    };
    // The kernel wants memory <= memory+swap at every moment: grow the sum first, shrink it last.
    let sum_now = match (limit, swap) {
        (Some(_), Some(_)) => dir.number("memory.memsw.limit_in_bytes")?,
        _ => None,
    };
    let grows = swap == Some(-1) || matches!((sum_now, swap), (Some(now), Some(new)) if new as u64 > now);
    if grows {
        set_swap(dir)?;
        set_limit(dir)?;
    } else {
        set_limit(dir)?;
        set_swap(dir)?;
    }
    if let Some(value) = memory.reservation().filter(|v| *v != 0) {
        dir.write("memory.soft_limit_in_bytes", &value.to_string())?;
    }
    if let Some(value) = memory.swappiness() {
        if value > 100 {
            return Err(Error::Invalid(format!(
                "invalid memory swappiness value: {value} (valid range is 0-100)"
            )));
        }
        dir.write("memory.swappiness", &value.to_string())?;
    }
    if memory.disable_oom_killer() == Some(true) {
        dir.write("memory.oom_control", "1")?;
    }
    Ok(())
}

pub(crate) fn apply_v2(dir: &Dir, resources: &LinuxResources) -> Result<()> {
    let Some(memory) = resources.memory() else {
        return Ok(());
    };
    let limit = memory.limit().filter(|v| *v != 0);
    if let Some(swap) = swap_alone(memory)? {
        // Without swap accounting there is nothing to limit.
        dir.write_if_there("memory.swap.max", &max_or(swap))?;
    }
    if let Some(value) = limit {
        dir.write("memory.max", &max_or(value))?;
    }
    if let Some(value) = memory.reservation().filter(|v| *v != 0) {
        dir.write("memory.low", &max_or(value))?;
    }
    Ok(())
}

/// OCI counts swap as memory plus swap; version 2 limits swap alone. -1 is unlimited.
fn swap_alone(memory: &LinuxMemory) -> Result<Option<i64>> {
    let limit = memory.limit().unwrap_or(0);
    match memory.swap().unwrap_or(0) {
        0 if limit == -1 => Ok(Some(-1)),
        0 => Ok(None),
        -1 => Ok(Some(-1)),
        _ if limit == 0 || limit == -1 => Err(Error::Invalid(
            "unable to set swap limit without memory limit".into(),
        )),
        sum if sum < limit => Err(Error::Invalid(format!(
            "memory+swap limit {sum} is below the memory limit {limit}"
        ))),
        sum => Ok(Some(sum - limit)),
    }
}

fn max_or(value: i64) -> String {
    if value < 0 {
        "max".into()
    } else {
        value.to_string()
    }
}

pub(crate) fn stats_v1(dir: &Dir, out: &mut Memory) -> Result<()> {
    out.usage = dir.number("memory.usage_in_bytes")?.unwrap_or(0);
    out.usage_max = dir.number("memory.max_usage_in_bytes")?;
    out.failures = dir.number("memory.failcnt")?.unwrap_or(0);
    // "Unlimited" is the largest page-aligned number here.
    out.limit = dir.number("memory.limit_in_bytes")?.filter(|v| *v < (1 << 62));
    out.detail = keyed(&dir.read("memory.stat")?)
        .map(|(k, v)| (k.to_owned(), v))
        .collect();
    Ok(())
}

pub(crate) fn stats_v2(dir: &Dir, out: &mut Memory) -> Result<()> {
    let Some(usage) = dir.number("memory.current")? else {
        return Ok(());
    };
    out.usage = usage;
    out.usage_max = dir.number("memory.peak")?;
    out.limit = dir.number("memory.max")?;
    out.detail = keyed(&dir.read("memory.stat")?)
        .map(|(k, v)| (k.to_owned(), v))
        .collect();
    out.failures = keyed(&dir.read("memory.events")?)
        .find(|(k, _)| *k == "oom")
        .map_or(0, |(_, v)| v);
    Ok(())
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::LinuxMemoryBuilder;

    use super::*;

    fn swap(limit: i64, swap: i64) -> std::result::Result<Option<i64>, String> {
        let memory = LinuxMemoryBuilder::default()
            .limit(limit)
            .swap(swap)
            .build()
            .unwrap();
        swap_alone(&memory).map_err(|e| e.to_string())
    }

    #[test]
    fn swap_is_what_the_sum_leaves() {
        assert_eq!(swap(100, 300), Ok(Some(200)));
        assert_eq!(swap(100, 100), Ok(Some(0)));
        assert_eq!(swap(100, -1), Ok(Some(-1)));
        assert_eq!(swap(100, 0), Ok(None));
        assert_eq!(swap(-1, 0), Ok(Some(-1)));
        assert!(swap(100, 50).is_err());
        assert_eq!(
            swap(0, 50),
            Err("unable to set swap limit without memory limit".into())
        );
    }
}
