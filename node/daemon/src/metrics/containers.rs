//! Each running container's figures from its control group and its interfaces, under cAdvisor's names, which dashboards
//! know. Containers' labels are left out: they would make as many series as users invent.

use super::text::Text;
use futures_util::{StreamExt, stream};
use shoal_api_backend::Listed;
use shoal_api_types::container::{ContainerSummary, Stats};
use shoal_node_engine::Engine;
use std::sync::Arc;

/// Containers read at a time.
const AT_A_TIME: usize = 8;

type Value = fn(&Stats) -> f64;

/// (name, kind, help, value)
const FIGURES: [(&str, &str, &str, Value); 10] = [
    (
        "container_cpu_usage_seconds_total",
        "counter",
        "Cumulative cpu time consumed in seconds.",
        |s| s.cpu_stats.cpu_usage.total_usage as f64 / 1e9,
    ),
    (
        "container_cpu_user_seconds_total",
        "counter",
        "Cumulative user cpu time consumed in seconds.",
        |s| s.cpu_stats.cpu_usage.usage_in_usermode as f64 / 1e9,
    ),
    (
        "container_cpu_system_seconds_total",
        "counter",
        "Cumulative system cpu time consumed in seconds.",
        |s| s.cpu_stats.cpu_usage.usage_in_kernelmode as f64 / 1e9,
    ),
    (
        "container_cpu_cfs_throttled_seconds_total",
        "counter",
        "Total time duration the container has been throttled.",
        |s| s.cpu_stats.throttling_data.throttled_time as f64 / 1e9,
    ),
    (
        "container_memory_usage_bytes",
        "gauge",
        "Current memory usage in bytes, including all memory regardless of when it was accessed.",
        |s| s.memory_stats.usage as f64,
    ),
    (
        "container_memory_working_set_bytes",
        "gauge",
        "Current working set in bytes.",
        |s| s.memory_stats.usage.saturating_sub(inactive(s)) as f64,
    ),
    (
        "container_spec_memory_limit_bytes",
        "gauge",
        "Memory limit for the container.",
        |s| s.memory_stats.limit as f64,
    ),
    (
        "container_memory_failcnt",
        "counter",
        "Number of memory usage hits limits.",
        |s| s.memory_stats.failcnt as f64,
    ),
    (
        "container_processes",
        "gauge",
        "Number of processes running inside the container.",
        |s| s.pids_stats.current as f64,
    ),
    (
        "container_fs_reads_writes_bytes_total",
        "counter",
        "Bytes read and written by the container.",
        |s| {
            let moved = s.blkio_stats.io_service_bytes_recursive.iter();
            let counts = |op: &str| op.eq_ignore_ascii_case("read") || op.eq_ignore_ascii_case("write");
            moved.filter(|e| counts(&e.op)).map(|e| e.value as f64).sum()
        },
    ),
];

type Traffic = fn(&shoal_api_types::container::NetworkStats) -> u64;

const TRAFFIC: [(&str, &str, Traffic); 4] = [
    (
        "container_network_receive_bytes_total",
        "Cumulative count of bytes received.",
        |n| n.rx_bytes,
    ),
    (
        "container_network_transmit_bytes_total",
        "Cumulative count of bytes transmitted.",
        |n| n.tx_bytes,
    ),
    (
        "container_network_receive_packets_dropped_total",
        "Cumulative count of packets dropped while receiving.",
        |n| n.rx_dropped,
    ),
    (
        "container_network_transmit_packets_dropped_total",
        "Cumulative count of packets dropped while transmitting.",
        |n| n.tx_dropped,
    ),
];

pub async fn write(out: &mut Text, engine: &Engine, running: Vec<Arc<Listed>>) {
    let containers = &engine.containers;
    let read = |one: Arc<Listed>| async move {
        let mut samples = containers.stats(&one.id, false, true).await.ok()?;
        let stats = samples.next().await?.ok()?;
        Some((one, stats))
    };
    let mut all: Vec<(Arc<Listed>, Stats)> = stream::iter(running)
        .map(read)
        .buffer_unordered(AT_A_TIME)
        .filter_map(std::future::ready)
        .collect()
        .await;
    all.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
    if all.is_empty() {
        return;
    }
    fn labels(one: &ContainerSummary) -> [(&str, &str); 3] {
        let name = one.names.first().map_or("", |name| name.trim_start_matches('/'));
        [
            ("id", one.id.as_str()),
            ("image", one.image.as_str()),
            ("name", name),
        ]
    }
    for (name, kind, help, value) in FIGURES {
        out.head(name, kind, help);
        for (one, stats) in &all {
            out.value(name, &labels(one), value(stats));
        }
    }
    for (name, help, value) in TRAFFIC {
        out.head(name, "counter", help);
        for (one, stats) in &all {
            for (interface, traffic) in stats.networks.iter() {
                let [id, image, called] = labels(one);
                let labels = [id, image, ("interface", interface.as_str()), called];
                out.value(name, &labels, value(traffic) as f64);
            }
        }
    }
}

/// Page cache that may go at once, as both versions of control groups call it.
fn inactive(stats: &Stats) -> u64 {
    let detail = &stats.memory_stats.stats;
    let number = detail
        .get("total_inactive_file")
        .or_else(|| detail.get("inactive_file"));
    number.copied().unwrap_or(0)
}
