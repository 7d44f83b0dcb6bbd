//! Limits: Docker's numbers in, OCI's out.

use oci_spec::runtime::{LinuxBlockIo, LinuxBlockIoBuilder, LinuxThrottleDevice, LinuxThrottleDeviceBuilder};
use oci_spec::runtime::{LinuxCpuBuilder, LinuxMemoryBuilder, LinuxPidsBuilder, LinuxWeightDeviceBuilder};
use oci_spec::runtime::{LinuxResources, LinuxResourcesBuilder};

/// Docker's fields; 0 and "" mean "not asked for".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    pub memory: i64,
    pub memory_reservation: i64,
    /// Memory and swap together; -1 is unlimited swap, 0 is twice the memory.
    pub memory_swap: i64,
    pub memory_swappiness: Option<i64>,
    pub oom_kill_disable: bool,
    pub nano_cpus: i64,
    pub cpu_shares: i64,
    pub cpu_period: i64,
    pub cpu_quota: i64,
    pub cpu_realtime_period: i64,
    pub cpu_realtime_runtime: i64,
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
    pub pids: Option<i64>,
    pub blkio_weight: u16,
    /// Of single block devices, which were looked up.
    pub devices: DeviceLimits,
}

/// Limits of single block devices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceLimits {
    pub weight: Vec<DeviceLimit>,
    /// Bytes per second.
    pub read_bps: Vec<DeviceLimit>,
    pub write_bps: Vec<DeviceLimit>,
    /// Operations per second.
    pub read_iops: Vec<DeviceLimit>,
    pub write_iops: Vec<DeviceLimit>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeviceLimit {
    pub major: i64,
    pub minor: i64,
    pub value: u64,
}

const PERIOD_US: i64 = 100_000;

pub fn resources(limits: &Limits) -> LinuxResources {
    let mut memory = LinuxMemoryBuilder::default();
    if limits.memory > 0 {
        memory = memory.limit(limits.memory);
    }
    if limits.memory_reservation > 0 {
        memory = memory.reservation(limits.memory_reservation);
    }
    let swap = match limits.memory_swap {
        0 if limits.memory > 0 => limits.memory.saturating_mul(2),
        swap => swap,
    };
    if swap != 0 {
        memory = memory.swap(swap);
    }
    if let Some(value) = limits.memory_swappiness.and_then(|v| u64::try_from(v).ok()) {
        memory = memory.swappiness(value);
    }
    if limits.oom_kill_disable {
        memory = memory.disable_oom_killer(true);
    }
    let mut cpu = LinuxCpuBuilder::default();
    if let Ok(shares @ 1..) = u64::try_from(limits.cpu_shares) {
        cpu = cpu.shares(shares);
    }
    if limits.nano_cpus > 0 {
        let quota = i128::from(limits.nano_cpus) * i128::from(PERIOD_US) / 1_000_000_000;
        cpu = cpu
            .period(PERIOD_US as u64)
            .quota(i64::try_from(quota).unwrap_or(i64::MAX));
    }
    if limits.cpu_quota != 0 {
        cpu = cpu.quota(limits.cpu_quota);
    }
    if let Ok(period @ 1..) = u64::try_from(limits.cpu_period) {
        cpu = cpu.period(period);
    }
    if let Ok(period @ 1..) = u64::try_from(limits.cpu_realtime_period) {
        cpu = cpu.realtime_period(period);
    }
    if limits.cpu_realtime_runtime != 0 {
        cpu = cpu.realtime_runtime(limits.cpu_realtime_runtime);
    }
    if !limits.cpuset_cpus.is_empty() {
        cpu = cpu.cpus(limits.cpuset_cpus.clone());
    }
    if !limits.cpuset_mems.is_empty() {
        cpu = cpu.mems(limits.cpuset_mems.clone());
    }
    let mut out = LinuxResourcesBuilder::default();
    if let Ok(memory) = memory.build() {
        out = out.memory(memory);
    }
    if let Ok(cpu) = cpu.build() {
        out = out.cpu(cpu);
    }
    if let Some(limit) = limits.pids.filter(|p| *p != 0)
        && let Ok(pids) = LinuxPidsBuilder::default().limit(limit.max(-1)).build()
    {
        out = out.pids(pids);
    }
    if let Some(io) = block_io(limits) {
        out = out.block_io(io);
    }
    out.build().unwrap_or_default()
}

fn block_io(limits: &Limits) -> Option<LinuxBlockIo> {
    let devices = &limits.devices;
    let mut out = LinuxBlockIoBuilder::default();
    if limits.blkio_weight > 0 {
        out = out.weight(limits.blkio_weight);
    }
    let weights = devices.weight.iter().filter_map(|d| {
        let weight = LinuxWeightDeviceBuilder::default().major(d.major).minor(d.minor);
        weight.weight(u16::try_from(d.value).ok()?).build().ok()
    });
    out = out.weight_device(weights.collect::<Vec<_>>());
    let rates = |list: &[DeviceLimit]| -> Vec<LinuxThrottleDevice> {
        let rate = |d: &DeviceLimit| {
            let device = LinuxThrottleDeviceBuilder::default()
                .major(d.major)
                .minor(d.minor);
            device.rate(d.value).build().ok()
        };
        list.iter().filter_map(rate).collect()
    };
    out = out
        .throttle_read_bps_device(rates(&devices.read_bps))
        .throttle_write_bps_device(rates(&devices.write_bps))
        .throttle_read_iops_device(rates(&devices.read_iops))
        .throttle_write_iops_device(rates(&devices.write_iops));
    let asked = limits.blkio_weight > 0 || *devices != DeviceLimits::default();
    out.build().ok().filter(|_| asked)
}

/// What Docker refuses at create and update, in its words. `cpus_host` is how many the host has; an update may name the
/// swap alone.
pub fn check(limits: &Limits, cpus_host: u32, update: bool) -> Result<(), String> {
    const MEMORY_MIN: i64 = 6 << 20;
    if limits.memory != 0 && limits.memory < MEMORY_MIN {
        return Err("Minimum memory limit allowed is 6MB".into());
    }
    if limits.memory > 0 && limits.memory_swap > 0 && limits.memory_swap < limits.memory {
        return Err("Minimum memoryswap limit should be larger than memory limit, see usage".into());
    }
    if limits.memory == 0 && limits.memory_swap > 0 && !update {
        return Err("You should always set the Memory limit when using Memoryswap limit, see usage".into());
    }
    if limits.memory_reservation > 0 && limits.memory_reservation < MEMORY_MIN {
        return Err("Minimum memory reservation allowed is 6MB".into());
    }
    if limits.memory > 0 && limits.memory_reservation > limits.memory {
        return Err("Minimum memory limit can not be less than memory reservation limit, see usage".into());
    }
    if let Some(value) = limits.memory_swappiness
        && !(-1..=100).contains(&value)
    {
        return Err(format!(
            "Invalid value: {value}, valid memory swappiness range is 0-100"
        ));
    }
    if limits.nano_cpus > 0 && limits.cpu_period > 0 {
        return Err("Conflicting options: Nano CPUs and CPU Period cannot both be set".into());
    }
    if limits.nano_cpus > 0 && limits.cpu_quota > 0 {
        return Err("Conflicting options: Nano CPUs and CPU Quota cannot both be set".into());
    }
    if limits.nano_cpus < 0 || limits.nano_cpus > i64::from(cpus_host) * 1_000_000_000 {
        return Err(format!(
            "range of CPUs is from 0.01 to {cpus_host}.00, as there are only {cpus_host} CPUs available"
        ));
    }
    if limits.cpu_period != 0 && !(1000..=1_000_000).contains(&limits.cpu_period) {
        return Err(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)".into(),
        );
    }
    if limits.cpu_quota > 0 && limits.cpu_quota < 1000 {
        return Err("CPU cfs quota can not be less than 1ms (i.e. 1000)".into());
    }
    if limits.cpu_realtime_period > 0 && limits.cpu_realtime_runtime > limits.cpu_realtime_period {
        return Err("cpu real-time runtime cannot be higher than cpu real-time period".into());
    }
    if limits.cpu_shares < 0 {
        return Err(format!(
            "invalid CPU shares ({}): value must be a positive integer",
            limits.cpu_shares
        ));
    }
    if limits.blkio_weight > 0 && !(10..=1000).contains(&limits.blkio_weight) {
        return Err("Range of blkio weight is from 10 to 1000".into());
    }
    Ok(())
}
