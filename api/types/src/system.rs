//! `/version`, `/info`, `/system/df`.

use crate::container::ContainerSummary;
use crate::go::{Dict, Slice, empty};
use crate::image::ImageSummary;
use crate::swarm::GenericResource;
use crate::volume::Volume;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /version`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Version {
    pub platform: VersionPlatform,
    pub components: Slice<ComponentVersion>,
    pub version: String,
    pub api_version: String,
    #[serde(rename = "MinAPIVersion")]
    pub min_api_version: String,
    pub git_commit: String,
    pub go_version: String,
    pub os: String,
    /// Go's name, `amd64`.
    pub arch: String,
    pub kernel_version: String,
    #[serde(skip_serializing_if = "empty")]
    pub experimental: bool,
    #[serde(skip_serializing_if = "empty")]
    pub build_time: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VersionPlatform {
    pub name: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ComponentVersion {
    pub name: String,
    pub version: String,
    #[serde(skip_serializing_if = "empty")]
    pub details: Dict<String>,
}

/// `GET /info`. Clients decide by many of these fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Info {
    #[serde(rename = "ID")]
    pub id: String,
    pub containers: i64,
    pub containers_running: i64,
    pub containers_paused: i64,
    pub containers_stopped: i64,
    pub images: i64,
    pub driver: String,
    /// Pairs of name and value.
    pub driver_status: Slice<[String; 2]>,
    #[serde(skip_serializing_if = "empty")]
    pub system_status: Slice<[String; 2]>,
    pub plugins: PluginsInfo,
    pub memory_limit: bool,
    pub swap_limit: bool,
    /// Only for clients older than API 1.42.
    #[serde(skip_serializing_if = "empty")]
    pub kernel_memory: bool,
    #[serde(rename = "KernelMemoryTCP", skip_serializing_if = "empty")]
    pub kernel_memory_tcp: bool,
    pub cpu_cfs_period: bool,
    pub cpu_cfs_quota: bool,
    #[serde(rename = "CPUShares")]
    pub cpu_shares: bool,
    #[serde(rename = "CPUSet")]
    pub cpu_set: bool,
    pub pids_limit: bool,
    #[serde(rename = "IPv4Forwarding")]
    pub ipv4_forwarding: bool,
    pub debug: bool,
    #[serde(rename = "NFd")]
    pub n_fd: i64,
    pub oom_kill_disable: bool,
    pub n_goroutines: i64,
    pub system_time: String,
    pub logging_driver: String,
    /// `cgroupfs`, `systemd` or `none`.
    pub cgroup_driver: String,
    /// `1` or `2`.
    #[serde(skip_serializing_if = "empty")]
    pub cgroup_version: String,
    pub n_events_listener: i64,
    pub kernel_version: String,
    pub operating_system: String,
    #[serde(rename = "OSVersion")]
    pub os_version: String,
    #[serde(rename = "OSType")]
    pub os_type: String,
    /// The kernel's name, `x86_64`.
    pub architecture: String,
    pub index_server_address: String,
    pub registry_config: Option<RegistryServiceConfig>,
    #[serde(rename = "NCPU")]
    pub n_cpu: i64,
    /// Bytes.
    pub mem_total: i64,
    pub generic_resources: Slice<GenericResource>,
    pub docker_root_dir: String,
    pub http_proxy: String,
    pub https_proxy: String,
    pub no_proxy: String,
    pub name: String,
    pub labels: Slice<String>,
    pub experimental_build: bool,
    pub server_version: String,
    pub runtimes: Dict<Runtime>,
    pub default_runtime: String,
    pub swarm: crate::swarm::Info,
    pub live_restore_enabled: bool,
    pub isolation: String,
    pub init_binary: String,
    pub containerd_commit: Commit,
    pub runc_commit: Commit,
    pub init_commit: Commit,
    /// `name=seccomp,profile=builtin`.
    pub security_options: Slice<String>,
    #[serde(skip_serializing_if = "empty")]
    pub product_license: String,
    #[serde(skip_serializing_if = "empty")]
    pub default_address_pools: Slice<AddressPool>,
    #[serde(skip_serializing_if = "empty")]
    pub firewall_backend: Option<FirewallInfo>,
    #[serde(rename = "CDISpecDirs")]
    pub cdi_spec_dirs: Slice<String>,
    #[serde(skip_serializing_if = "empty")]
    pub discovered_devices: Slice<DeviceInfo>,
    #[serde(skip_serializing_if = "empty")]
    pub containerd: Option<ContainerdInfo>,
    pub warnings: Slice<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PluginsInfo {
    pub volume: Slice<String>,
    pub network: Slice<String>,
    pub authorization: Slice<String>,
    pub log: Slice<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RegistryServiceConfig {
    #[serde(
        rename = "AllowNondistributableArtifactsCIDRs",
        skip_serializing_if = "Slice::is_nil"
    )]
    pub allow_nondistributable_artifacts_cidrs: Slice<String>,
    #[serde(skip_serializing_if = "Slice::is_nil")]
    pub allow_nondistributable_artifacts_hostnames: Slice<String>,
    #[serde(rename = "InsecureRegistryCIDRs")]
    pub insecure_registry_cidrs: Slice<String>,
    pub index_configs: Dict<IndexInfo>,
    pub mirrors: Slice<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct IndexInfo {
    pub name: String,
    pub mirrors: Slice<String>,
    pub secure: bool,
    pub official: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Runtime {
    #[serde(skip_serializing_if = "empty")]
    pub path: String,
    #[serde(rename = "runtimeArgs", skip_serializing_if = "empty")]
    pub runtime_args: Slice<String>,
    #[serde(skip_serializing_if = "empty")]
    pub status: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Commit {
    #[serde(rename = "ID")]
    pub id: String,
    /// Only for clients older than API 1.48.
    #[serde(rename = "Expected", skip_serializing_if = "empty")]
    pub expected: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AddressPool {
    pub base: String,
    pub size: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FirewallInfo {
    pub driver: String,
    #[serde(skip_serializing_if = "empty")]
    pub info: Slice<[String; 2]>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceInfo {
    pub source: String,
    #[serde(rename = "ID")]
    pub id: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerdInfo {
    #[serde(skip_serializing_if = "empty")]
    pub address: String,
    pub namespaces: ContainerdNamespaces,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerdNamespaces {
    #[serde(skip_serializing_if = "empty")]
    pub containers: String,
    #[serde(skip_serializing_if = "empty")]
    pub plugins: String,
}

/// `GET /system/df` in the shape of API 1.51 and older; `api/http` renders the newer shape from it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DiskUsage {
    /// Bytes; zero when images were not asked for.
    pub layers_size: i64,
    pub images: Slice<ImageSummary>,
    pub containers: Slice<ContainerSummary>,
    pub volumes: Slice<Volume>,
    pub build_cache: Slice<serde_json::Value>,
    /// Only for clients older than API 1.42.
    #[serde(skip_serializing_if = "empty")]
    pub builder_size: i64,
}
