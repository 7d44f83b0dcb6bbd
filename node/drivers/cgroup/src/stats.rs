//! What a group has used, in one shape for both versions: enough for every field of Docker's stats.

use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    pub cpu: Cpu,
    pub memory: Memory,
    pub pids: Pids,
    pub block_io: BlockIo,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cpu {
    pub total_ns: u64,
    pub user_ns: u64,
    pub kernel_ns: u64,
    /// Per processor; version 1 only.
    pub each_ns: Vec<u64>,
    pub periods: u64,
    pub periods_throttled: u64,
    pub throttled_ns: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Bytes, page cache included.
    pub usage: u64,
    pub usage_max: Option<u64>,
    /// `None` is unlimited: Docker shows the host's memory then.
    pub limit: Option<u64>,
    /// How often the limit was hit (version 1) or the group was out of memory (version 2).
    pub failures: u64,
    /// `memory.stat` as it is.
    pub detail: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pids {
    pub current: u64,
    pub limit: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockIo {
    pub service_bytes: Vec<BlockIoEntry>,
    pub serviced: Vec<BlockIoEntry>,
}

/// One number for one device: version 1 writes `Read`, `Write`, `Sync`, …; version 2 `read` and `write`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockIoEntry {
    pub major: u64,
    pub minor: u64,
    pub op: String,
    pub value: u64,
}

/// Processor time of the whole host since it booted, in nanoseconds, counted as Docker's `system_cpu_usage`: user, nice,
/// system, idle, iowait, irq and softirq.
pub fn system_cpu_ns() -> std::io::Result<u64> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let ticks: u64 = text
        .lines()
        .find_map(|line| line.strip_prefix("cpu "))
        .map(|line| {
            line.split_whitespace()
                .take(7)
                .filter_map(|v| v.parse::<u64>().ok())
                .sum()
        })
        .unwrap_or(0);
    Ok(ticks * 10_000_000)
}

/// Processors that are online on this host.
pub fn online_cpus() -> u32 {
    // SAFETY: sysconf reads no memory of ours.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    u32::try_from(count).unwrap_or(1).max(1)
}
