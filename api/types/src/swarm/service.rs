//! `/services`.

use super::common::{Annotations, Meta, Version};
use super::task::{NetworkAttachmentConfig, TaskSpec};
use crate::go::{Empty, Slice, empty};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Service {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(flatten)]
    pub meta: Meta,
    pub spec: ServiceSpec,
    #[serde(skip_serializing_if = "empty")]
    pub previous_spec: Option<ServiceSpec>,
    pub endpoint: Endpoint,
    #[serde(skip_serializing_if = "empty")]
    pub update_status: Option<UpdateStatus>,
    /// Only in lists with `status=1`.
    #[serde(skip_serializing_if = "empty")]
    pub service_status: Option<ServiceStatus>,
    #[serde(skip_serializing_if = "empty")]
    pub job_status: Option<JobStatus>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceSpec {
    #[serde(flatten)]
    pub annotations: Annotations,
    pub task_template: TaskSpec,
    pub mode: ServiceMode,
    #[serde(skip_serializing_if = "empty")]
    pub update_config: Option<UpdateConfig>,
    #[serde(skip_serializing_if = "empty")]
    pub rollback_config: Option<UpdateConfig>,
    /// Deprecated: belongs into the task template.
    #[serde(skip_serializing_if = "empty")]
    pub networks: Slice<NetworkAttachmentConfig>,
    #[serde(skip_serializing_if = "empty")]
    pub endpoint_spec: Option<EndpointSpec>,
}

/// Exactly one member is given; none is one replica.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceMode {
    #[serde(skip_serializing_if = "empty")]
    pub replicated: Option<ReplicatedMode>,
    #[serde(skip_serializing_if = "empty")]
    pub global: Option<Empty>,
    #[serde(skip_serializing_if = "empty")]
    pub replicated_job: Option<ReplicatedJob>,
    #[serde(skip_serializing_if = "empty")]
    pub global_job: Option<Empty>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReplicatedMode {
    #[serde(skip_serializing_if = "empty")]
    pub replicas: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReplicatedJob {
    #[serde(skip_serializing_if = "empty")]
    pub max_concurrent: Option<u64>,
    #[serde(skip_serializing_if = "empty")]
    pub total_completions: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateConfig {
    /// Tasks at once; 0 is all.
    pub parallelism: u64,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "empty")]
    pub delay: i64,
    /// `pause`, `continue` or `rollback`.
    #[serde(skip_serializing_if = "empty")]
    pub failure_action: String,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "empty")]
    pub monitor: i64,
    /// Go keeps this as a 32-bit number.
    #[serde(serialize_with = "crate::go::float")]
    pub max_failure_ratio: f32,
    /// `stop-first` or `start-first`.
    pub order: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointSpec {
    /// `vip` or `dnsrr`.
    #[serde(skip_serializing_if = "empty")]
    pub mode: String,
    #[serde(skip_serializing_if = "empty")]
    pub ports: Slice<PortConfig>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortConfig {
    #[serde(skip_serializing_if = "empty")]
    pub name: String,
    /// `tcp`, `udp` or `sctp`.
    #[serde(skip_serializing_if = "empty")]
    pub protocol: String,
    /// In the container.
    #[serde(skip_serializing_if = "empty")]
    pub target_port: u32,
    /// On the hosts; 0 takes a free one.
    #[serde(skip_serializing_if = "empty")]
    pub published_port: u32,
    /// `ingress` or `host`.
    #[serde(skip_serializing_if = "empty")]
    pub publish_mode: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    #[serde(rename = "Spec")]
    pub spec: EndpointSpec,
    #[serde(rename = "Ports", skip_serializing_if = "empty")]
    pub ports: Slice<PortConfig>,
    #[serde(rename = "VirtualIPs", skip_serializing_if = "empty")]
    pub virtual_ips: Slice<VirtualIp>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VirtualIp {
    #[serde(rename = "NetworkID", skip_serializing_if = "empty")]
    pub network_id: String,
    /// With its prefix length.
    #[serde(rename = "Addr", skip_serializing_if = "empty")]
    pub addr: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateStatus {
    /// `updating`, `paused`, `completed`, `rollback_started`, `rollback_paused` or `rollback_completed`.
    #[serde(skip_serializing_if = "empty")]
    pub state: String,
    #[serde(skip_serializing_if = "empty")]
    pub started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "empty")]
    pub completed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "empty")]
    pub message: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceStatus {
    pub running_tasks: u64,
    pub desired_tasks: u64,
    pub completed_tasks: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobStatus {
    pub job_iteration: Version,
    pub last_execution: Timestamp,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceCreateResponse {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "Warnings")]
    pub warnings: Slice<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceUpdateResponse {
    pub warnings: Slice<String>,
}
