//! `docker stats`.

use super::{Containers, Handle, Kit};
use crate::clock;
use crate::error::Result;
use shoal_api_backend::BoxStream;
use shoal_api_types::container::{
    BlkioEntry, BlkioStats, CpuStats, CpuUsage, MemoryStats, NetworkStats, PidsStats, Stats, ThrottlingData,
};
use shoal_node_drivers_cgroup::{self as cgroup, BlockIoEntry};
use std::sync::Arc;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(1);

impl Containers {
    pub async fn stats(
        &self,
        reference: &str,
        stream: bool,
        one_shot: bool,
    ) -> Result<BoxStream<Result<Stats>>> {
        let handle = self.kit.registry.get(reference)?;
        let kit = self.kit.clone();
        let mut last: Option<Stats> = None;
        if !stream && !one_shot && handle.view().phase().is_live() {
            // Rates need two readings.
            last = Some(sample(&kit, &handle));
            tokio::time::sleep(EVERY).await;
        }
        let state = (kit, handle, last, true);
        Ok(Box::pin(futures_util::stream::unfold(
            state,
            move |(kit, handle, last, first)| async move {
                if !first {
                    if !stream {
                        return None;
                    }
                    tokio::time::sleep(EVERY).await;
                }
                if handle.view().gone {
                    return None;
                }
                let mut now = sample(&kit, &handle);
                if one_shot {
                    // Docker leaves its own words about the container out of a single reading.
                    now.name.clear();
                    now.id.clear();
                }
                if let Some(last) = &last {
                    now.precpu_stats = last.cpu_stats.clone();
                    now.preread = last.read;
                }
                Some((Ok(now.clone()), (kit, handle, Some(now), false)))
            },
        )))
    }
}

fn none_counted() -> BlkioStats {
    let none = || Vec::new().into();
    BlkioStats {
        io_service_bytes_recursive: none(),
        io_serviced_recursive: none(),
        io_queue_recursive: none(),
        io_service_time_recursive: none(),
        io_wait_time_recursive: none(),
        io_merged_recursive: none(),
        io_time_recursive: none(),
        sectors_recursive: none(),
    }
}

/// One reading; of a container that does not run, only its name.
fn sample(kit: &Arc<Kit>, handle: &Handle) -> Stats {
    let view = handle.view();
    let mut out = Stats {
        name: format!("/{}", view.record.name),
        id: view.record.id.clone(),
        os_type: "linux".into(),
        ..Stats::default()
    };
    if !view.phase().is_live() {
        return out;
    }
    out.read = clock::timestamp(clock::now());
    let Ok(usage) = kit
        .cgroup(&view.record)
        .and_then(|c| c.stats().map_err(|e| crate::error::system(e.to_string())))
    else {
        return out;
    };
    let online_cpus = cgroup::online_cpus();
    out.cpu_stats = CpuStats {
        cpu_usage: CpuUsage {
            total_usage: usage.cpu.total_ns,
            percpu_usage: if usage.cpu.each_ns.is_empty() {
                Default::default()
            } else {
                usage.cpu.each_ns.into()
            },
            usage_in_kernelmode: usage.cpu.kernel_ns,
            usage_in_usermode: usage.cpu.user_ns,
        },
        system_cpu_usage: cgroup::system_cpu_ns().unwrap_or(0),
        online_cpus,
        throttling_data: ThrottlingData {
            periods: usage.cpu.periods,
            throttled_periods: usage.cpu.periods_throttled,
            throttled_time: usage.cpu.throttled_ns,
        },
    };
    let v1 = !kit.host.cgroup_v2;
    out.memory_stats = MemoryStats {
        usage: usage.memory.usage,
        max_usage: if v1 {
            usage.memory.usage_max.unwrap_or(0)
        } else {
            0
        },
        stats: usage.memory.detail,
        failcnt: usage.memory.failures,
        limit: usage.memory.limit.unwrap_or(kit.host.memory).min(kit.host.memory),
    };
    out.pids_stats = PidsStats {
        current: usage.pids.current,
        limit: usage.pids.limit.unwrap_or(0),
    };
    let entries = |list: Vec<BlockIoEntry>| -> Vec<BlkioEntry> {
        list.into_iter()
            .map(|e| BlkioEntry {
                major: e.major,
                minor: e.minor,
                op: e.op,
                value: e.value,
            })
            .collect()
    };
    out.blkio_stats = BlkioStats {
        io_service_bytes_recursive: entries(usage.block_io.service_bytes).into(),
        io_serviced_recursive: entries(usage.block_io.serviced).into(),
        // Version 1 names them, though the kernel counts none of them any more.
        ..if v1 { none_counted() } else { BlkioStats::default() }
    };
    for endpoint in view.endpoints.iter() {
        if let Ok(c) = kit.networks.counters(&view.record.id, endpoint) {
            let stats = NetworkStats {
                rx_bytes: c.rx_bytes,
                rx_packets: c.rx_packets,
                rx_errors: c.rx_errors,
                rx_dropped: c.rx_dropped,
                tx_bytes: c.tx_bytes,
                tx_packets: c.tx_packets,
                tx_errors: c.tx_errors,
                tx_dropped: c.tx_dropped,
            };
            out.networks.insert(endpoint.name.clone(), stats);
        }
    }
    out
}
