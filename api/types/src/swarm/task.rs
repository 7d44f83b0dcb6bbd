//! `/tasks`, and the task template of a service.

use super::common::{Annotations, GenericResource, Meta, Version};
use super::node::Platform;
use super::service::PortConfig;
use crate::container::{HealthConfig, Ulimit};
use crate::go::{Dict, Empty, Slice, empty};
use crate::mount::{Driver, Mount};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Task {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(flatten)]
    pub meta: Meta,
    #[serde(flatten)]
    pub annotations: Annotations,
    pub spec: TaskSpec,
    #[serde(rename = "ServiceID", skip_serializing_if = "empty")]
    pub service_id: String,
    #[serde(skip_serializing_if = "empty")]
    pub slot: i64,
    #[serde(rename = "NodeID", skip_serializing_if = "empty")]
    pub node_id: String,
    pub status: TaskStatus,
    #[serde(skip_serializing_if = "empty")]
    pub desired_state: String,
    #[serde(skip_serializing_if = "empty")]
    pub networks_attachments: Slice<NetworkAttachment>,
    #[serde(skip_serializing_if = "empty")]
    pub generic_resources: Slice<GenericResource>,
    #[serde(skip_serializing_if = "empty")]
    pub job_iteration: Option<Version>,
    pub volumes: Slice<VolumeAttachment>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskStatus {
    pub timestamp: Timestamp,
    #[serde(skip_serializing_if = "empty")]
    pub state: String,
    #[serde(skip_serializing_if = "empty")]
    pub message: String,
    #[serde(skip_serializing_if = "empty")]
    pub err: String,
    #[serde(skip_serializing_if = "empty")]
    pub container_status: Option<ContainerStatus>,
    pub port_status: PortStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerStatus {
    #[serde(rename = "ContainerID")]
    pub container_id: String,
    #[serde(rename = "PID")]
    pub pid: i64,
    #[serde(rename = "ExitCode")]
    pub exit_code: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortStatus {
    #[serde(skip_serializing_if = "empty")]
    pub ports: Slice<PortConfig>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeAttachment {
    #[serde(rename = "ID", skip_serializing_if = "empty")]
    pub id: String,
    #[serde(rename = "Source", skip_serializing_if = "empty")]
    pub source: String,
    #[serde(rename = "Target", skip_serializing_if = "empty")]
    pub target: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkAttachment {
    pub network: SwarmNetwork,
    #[serde(skip_serializing_if = "empty")]
    pub addresses: Slice<String>,
}

/// The network of an attachment, as the cluster keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SwarmNetwork {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(flatten)]
    pub meta: Meta,
    pub spec: serde_json::Value,
    #[serde(skip_serializing_if = "empty")]
    pub driver_state: Option<Driver>,
    #[serde(rename = "IPAMOptions", skip_serializing_if = "empty")]
    pub ipam_options: Option<serde_json::Value>,
}

/// What every task of a service is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskSpec {
    #[serde(skip_serializing_if = "empty")]
    pub container_spec: Option<ContainerSpec>,
    #[serde(skip_serializing_if = "empty")]
    pub plugin_spec: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "empty")]
    pub network_attachment_spec: Option<NetworkAttachmentSpec>,
    #[serde(skip_serializing_if = "empty")]
    pub resources: Option<ResourceRequirements>,
    #[serde(skip_serializing_if = "empty")]
    pub restart_policy: Option<RestartPolicy>,
    #[serde(skip_serializing_if = "empty")]
    pub placement: Option<Placement>,
    #[serde(skip_serializing_if = "empty")]
    pub networks: Slice<NetworkAttachmentConfig>,
    #[serde(skip_serializing_if = "empty")]
    pub log_driver: Option<Driver>,
    /// Raised to make every task anew without another change.
    pub force_update: u64,
    /// Empty or `container`, `plugin`, `attachment`.
    #[serde(skip_serializing_if = "empty")]
    pub runtime: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkAttachmentSpec {
    #[serde(rename = "ContainerID")]
    pub container_id: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerSpec {
    #[serde(skip_serializing_if = "empty")]
    pub image: String,
    #[serde(skip_serializing_if = "empty")]
    pub labels: Dict<String>,
    /// Replaces the image's entrypoint.
    #[serde(skip_serializing_if = "empty")]
    pub command: Slice<String>,
    /// Replaces the image's command.
    #[serde(skip_serializing_if = "empty")]
    pub args: Slice<String>,
    #[serde(skip_serializing_if = "empty")]
    pub hostname: String,
    #[serde(skip_serializing_if = "empty")]
    pub env: Slice<String>,
    #[serde(skip_serializing_if = "empty")]
    pub dir: String,
    #[serde(skip_serializing_if = "empty")]
    pub user: String,
    #[serde(skip_serializing_if = "empty")]
    pub groups: Slice<String>,
    #[serde(skip_serializing_if = "empty")]
    pub privileges: Option<Privileges>,
    #[serde(skip_serializing_if = "empty")]
    pub init: Option<bool>,
    #[serde(skip_serializing_if = "empty")]
    pub stop_signal: String,
    #[serde(rename = "TTY", skip_serializing_if = "empty")]
    pub tty: bool,
    #[serde(skip_serializing_if = "empty")]
    pub open_stdin: bool,
    #[serde(skip_serializing_if = "empty")]
    pub read_only: bool,
    #[serde(skip_serializing_if = "empty")]
    pub mounts: Slice<Mount>,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "empty")]
    pub stop_grace_period: Option<i64>,
    #[serde(skip_serializing_if = "empty")]
    pub healthcheck: Option<HealthConfig>,
    /// As lines of `/etc/hosts`: address first.
    #[serde(skip_serializing_if = "empty")]
    pub hosts: Slice<String>,
    #[serde(rename = "DNSConfig", skip_serializing_if = "empty")]
    pub dns_config: Option<DnsConfig>,
    #[serde(skip_serializing_if = "empty")]
    pub secrets: Slice<SecretReference>,
    #[serde(skip_serializing_if = "empty")]
    pub configs: Slice<ConfigReference>,
    #[serde(skip_serializing_if = "empty")]
    pub isolation: String,
    #[serde(skip_serializing_if = "empty")]
    pub sysctls: Dict<String>,
    #[serde(skip_serializing_if = "empty")]
    pub capability_add: Slice<String>,
    #[serde(skip_serializing_if = "empty")]
    pub capability_drop: Slice<String>,
    #[serde(skip_serializing_if = "empty")]
    pub ulimits: Slice<Ulimit>,
    #[serde(skip_serializing_if = "empty")]
    pub oom_score_adj: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Privileges {
    #[serde(rename = "CredentialSpec")]
    pub credential_spec: Option<CredentialSpec>,
    #[serde(rename = "SELinuxContext")]
    pub selinux_context: Option<SeLinuxContext>,
    #[serde(rename = "Seccomp", skip_serializing_if = "empty")]
    pub seccomp: Option<SeccompOpts>,
    #[serde(rename = "AppArmor", skip_serializing_if = "empty")]
    pub app_armor: Option<AppArmorOpts>,
    #[serde(rename = "NoNewPrivileges")]
    pub no_new_privileges: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CredentialSpec {
    pub config: String,
    pub file: String,
    pub registry: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SeLinuxContext {
    pub disable: bool,
    pub user: String,
    pub role: String,
    #[serde(rename = "Type")]
    pub kind: String,
    pub level: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SeccompOpts {
    /// `default`, `unconfined` or `custom`.
    #[serde(skip_serializing_if = "empty")]
    pub mode: String,
    /// base64 of a profile.
    #[serde(skip_serializing_if = "empty")]
    pub profile: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AppArmorOpts {
    /// `default` or `disabled`.
    #[serde(skip_serializing_if = "empty")]
    pub mode: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DnsConfig {
    #[serde(skip_serializing_if = "empty")]
    pub nameservers: Slice<String>,
    #[serde(skip_serializing_if = "empty")]
    pub search: Slice<String>,
    #[serde(skip_serializing_if = "empty")]
    pub options: Slice<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretReference {
    #[serde(rename = "File")]
    pub file: Option<SecretFile>,
    #[serde(rename = "SecretID")]
    pub secret_id: String,
    #[serde(rename = "SecretName")]
    pub secret_name: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretFile {
    #[serde(rename = "Name")]
    pub name: String,
    #[serde(rename = "UID")]
    pub uid: String,
    #[serde(rename = "GID")]
    pub gid: String,
    /// Permission bits.
    #[serde(rename = "Mode")]
    pub mode: u32,
}

/// Shaped as a secret's file.
pub type ConfigFile = SecretFile;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigReference {
    #[serde(rename = "File", skip_serializing_if = "empty")]
    pub file: Option<ConfigFile>,
    #[serde(rename = "Runtime", skip_serializing_if = "empty")]
    pub runtime: Option<Empty>,
    #[serde(rename = "ConfigID")]
    pub config_id: String,
    #[serde(rename = "ConfigName")]
    pub config_name: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ResourceRequirements {
    #[serde(skip_serializing_if = "empty")]
    pub limits: Option<Limit>,
    #[serde(skip_serializing_if = "empty")]
    pub reservations: Option<Resources>,
    /// Since API 1.52.
    #[serde(skip_serializing_if = "empty")]
    pub swap_bytes: Option<i64>,
    #[serde(skip_serializing_if = "empty")]
    pub memory_swappiness: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limit {
    #[serde(rename = "NanoCPUs", skip_serializing_if = "empty")]
    pub nano_cpus: i64,
    #[serde(rename = "MemoryBytes", skip_serializing_if = "empty")]
    pub memory_bytes: i64,
    #[serde(rename = "Pids", skip_serializing_if = "empty")]
    pub pids: i64,
}

/// What is set aside for a task; shaped as what a node has.
pub type Resources = super::node::NodeResources;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// `none`, `on-failure` or `any`.
    #[serde(skip_serializing_if = "empty")]
    pub condition: String,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "empty")]
    pub delay: Option<i64>,
    /// 0 is unlimited.
    #[serde(skip_serializing_if = "empty")]
    pub max_attempts: Option<u64>,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "empty")]
    pub window: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Placement {
    /// `node.role==manager` and the like.
    #[serde(skip_serializing_if = "empty")]
    pub constraints: Slice<String>,
    #[serde(skip_serializing_if = "empty")]
    pub preferences: Slice<PlacementPreference>,
    /// Per node; 0 is unlimited.
    #[serde(skip_serializing_if = "empty")]
    pub max_replicas: u64,
    #[serde(skip_serializing_if = "empty")]
    pub platforms: Slice<Platform>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PlacementPreference {
    pub spread: Option<SpreadOver>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SpreadOver {
    /// A label, `node.labels.datacenter`.
    pub spread_descriptor: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkAttachmentConfig {
    /// A network's name or id.
    #[serde(skip_serializing_if = "empty")]
    pub target: String,
    #[serde(skip_serializing_if = "empty")]
    pub aliases: Slice<String>,
    #[serde(skip_serializing_if = "empty")]
    pub driver_opts: Dict<String>,
}
