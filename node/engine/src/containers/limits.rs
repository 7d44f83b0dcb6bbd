//! Limits as the API writes them, for the pure half.

use shoal_api_types::container::Resources;
use shoal_node_core_host::ocispec::resources::Limits;

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
        cpuset_cpus: r.cpuset_cpus.clone(),
        cpuset_mems: r.cpuset_mems.clone(),
        pids: r.pids_limit,
        blkio_weight: r.blkio_weight,
    }
}
