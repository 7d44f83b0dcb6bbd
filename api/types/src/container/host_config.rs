//! The half of a container's configuration that depends on the host.

use crate::go::{Dict, Slice, empty, str_slice};
use crate::mount::Mount;
use serde::{Deserialize, Serialize};

/// Host-dependent configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostConfig {
    /// `source:destination[:options]`.
    pub binds: Slice<String>,
    #[serde(rename = "ContainerIDFile")]
    pub container_id_file: String,
    pub log_config: LogConfig,
    /// `default`, `bridge`, `host`, `none`, `container:<id>` or a network's name.
    pub network_mode: String,
    pub port_bindings: PortMap,
    pub restart_policy: RestartPolicy,
    pub auto_remove: bool,
    pub volume_driver: String,
    pub volumes_from: Slice<String>,
    /// Height, width.
    pub console_size: [u32; 2],
    #[serde(skip_serializing_if = "empty")]
    pub annotations: Dict<String>,
    #[serde(deserialize_with = "str_slice::deserialize")]
    pub cap_add: Slice<String>,
    #[serde(deserialize_with = "str_slice::deserialize")]
    pub cap_drop: Slice<String>,
    /// Empty, `private` or `host`.
    pub cgroupns_mode: String,
    pub dns: Slice<String>,
    pub dns_options: Slice<String>,
    pub dns_search: Slice<String>,
    /// `name:address`.
    pub extra_hosts: Slice<String>,
    pub group_add: Slice<String>,
    /// Empty, `none`, `private`, `shareable`, `host` or `container:<id>`.
    pub ipc_mode: String,
    pub cgroup: String,
    pub links: Slice<String>,
    pub oom_score_adj: i64,
    pub pid_mode: String,
    pub privileged: bool,
    pub publish_all_ports: bool,
    pub readonly_rootfs: bool,
    pub security_opt: Slice<String>,
    #[serde(skip_serializing_if = "empty")]
    pub storage_opt: Dict<String>,
    /// Options by path in the container.
    #[serde(skip_serializing_if = "empty")]
    pub tmpfs: Dict<String>,
    #[serde(rename = "UTSMode")]
    pub uts_mode: String,
    pub userns_mode: String,
    /// Bytes; 0 is the default of 64 MiB.
    pub shm_size: i64,
    #[serde(skip_serializing_if = "empty")]
    pub sysctls: Dict<String>,
    #[serde(skip_serializing_if = "empty")]
    pub runtime: String,
    pub isolation: String,
    #[serde(flatten)]
    pub resources: Resources,
    #[serde(skip_serializing_if = "empty")]
    pub mounts: Slice<Mount>,
    /// Nil is Docker's list, `[]` is none.
    pub masked_paths: Slice<String>,
    pub readonly_paths: Slice<String>,
    #[serde(skip_serializing_if = "empty")]
    pub init: Option<bool>,
}

/// Limits, shared with `POST /containers/{id}/update`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Resources {
    pub cpu_shares: i64,
    /// Bytes; 0 is unlimited.
    pub memory: i64,
    /// Billionths of a CPU.
    pub nano_cpus: i64,
    pub cgroup_parent: String,
    pub blkio_weight: u16,
    pub blkio_weight_device: Slice<WeightDevice>,
    pub blkio_device_read_bps: Slice<ThrottleDevice>,
    pub blkio_device_write_bps: Slice<ThrottleDevice>,
    #[serde(rename = "BlkioDeviceReadIOps")]
    pub blkio_device_read_iops: Slice<ThrottleDevice>,
    #[serde(rename = "BlkioDeviceWriteIOps")]
    pub blkio_device_write_iops: Slice<ThrottleDevice>,
    /// Microseconds.
    pub cpu_period: i64,
    /// Microseconds per period.
    pub cpu_quota: i64,
    pub cpu_realtime_period: i64,
    pub cpu_realtime_runtime: i64,
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
    pub devices: Slice<DeviceMapping>,
    pub device_cgroup_rules: Slice<String>,
    pub device_requests: Slice<DeviceRequest>,
    #[serde(skip_serializing_if = "empty")]
    pub kernel_memory: i64,
    #[serde(rename = "KernelMemoryTCP", skip_serializing_if = "empty")]
    pub kernel_memory_tcp: i64,
    pub memory_reservation: i64,
    /// Bytes of memory and swap together; -1 is unlimited swap.
    pub memory_swap: i64,
    pub memory_swappiness: Option<i64>,
    pub oom_kill_disable: Option<bool>,
    /// 0 or -1 is unlimited, nil is unchanged.
    pub pids_limit: Option<i64>,
    pub ulimits: Slice<Ulimit>,
    pub cpu_count: i64,
    pub cpu_percent: i64,
    #[serde(rename = "IOMaximumIOps")]
    pub io_maximum_iops: u64,
    #[serde(rename = "IOMaximumBandwidth")]
    pub io_maximum_bandwidth: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogConfig {
    #[serde(rename = "Type")]
    pub kind: String,
    pub config: Dict<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// Empty, `no`, `always`, `unless-stopped` or `on-failure`.
    pub name: String,
    pub maximum_retry_count: i64,
}

/// Bindings by container port (`80/tcp`); nil is exposed but not published.
pub type PortMap = Dict<Slice<PortBinding>>;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortBinding {
    /// Empty is every address.
    pub host_ip: String,
    /// A port, a range `8000-8010`, or empty for any free one.
    pub host_port: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WeightDevice {
    pub path: String,
    pub weight: u16,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ThrottleDevice {
    pub path: String,
    /// Bytes or operations per second.
    pub rate: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceMapping {
    pub path_on_host: String,
    pub path_in_container: String,
    /// Some of `rwm`.
    pub cgroup_permissions: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceRequest {
    pub driver: String,
    pub count: i64,
    #[serde(rename = "DeviceIDs")]
    pub device_ids: Slice<String>,
    pub capabilities: Slice<Vec<String>>,
    pub options: Dict<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ulimit {
    #[serde(skip_serializing_if = "empty")]
    pub name: String,
    #[serde(skip_serializing_if = "empty")]
    pub hard: i64,
    #[serde(skip_serializing_if = "empty")]
    pub soft: i64,
}
