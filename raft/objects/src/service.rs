//! A service: what a user wants to run, how often, where and how it is replaced.
//!
//! The specs mirror Docker's JSON (API 1.55, `ServiceSpec`), field for field, in Docker's names.

use crate::id::{NetworkId, ServiceId};
use crate::meta::{Meta, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceSpec {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub task_template: TaskSpec,
    pub mode: ServiceMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_config: Option<UpdateConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_config: Option<UpdateConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_spec: Option<EndpointSpec>,
}

/// What one task runs. Everything that a change of makes a task "dirty" is in here.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_spec: Option<ContainerSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<RestartPolicy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkAttachment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_driver: Option<LogDriver>,
    pub force_update: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
}

/// Docker's `ContainerSpec`. The deciding code looks only at a few members; the rest is carried as it came, so a
/// spec survives a round trip through the cluster unchanged, members of later API versions included.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerSpec {
    pub image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_grace_period: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Every other member, by Docker's name (`Command`, `Args`, `Env`, `Mounts`, `Secrets`, …).
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
    /// Registry credentials for the image, as the client's `X-Registry-Auth` gave them. Never shown by the API.
    #[serde(rename = "ShoalPullAuth", skip_serializing_if = "Option::is_none")]
    pub pull_auth: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Resources {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservations: Option<Reservations>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_bytes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_swappiness: Option<i64>,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Limits {
    #[serde(rename = "NanoCPUs", skip_serializing_if = "is_zero")]
    pub nano_cpus: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub memory_bytes: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub pids: i64,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Reservations {
    #[serde(rename = "NanoCPUs", skip_serializing_if = "is_zero")]
    pub nano_cpus: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub memory_bytes: i64,
    /// As Docker sends them: `{"NamedResourceSpec":{Kind,Value}}` or `{"DiscreteResourceSpec":{Kind,Value}}`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub generic_resources: Vec<Value>,
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<RestartCondition>,
    /// Nanoseconds between the end of a task and the start of its replacement; 5 s if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<i64>,
    /// 0 = unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u64>,
    /// Nanoseconds within which attempts count; 0 = for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<i64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartCondition {
    None,
    OnFailure,
    #[default]
    Any,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Placement {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preferences: Vec<Preference>,
    #[serde(skip_serializing_if = "is_zero_u64")]
    pub max_replicas: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
}

fn is_zero_u64(n: &u64) -> bool {
    *n == 0
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Preference {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Spread {
    /// `node.labels.x` or `engine.labels.x`.
    pub spread_descriptor: String,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    #[serde(rename = "Architecture")]
    pub architecture: String,
    #[serde(rename = "OS")]
    pub os: String,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkAttachment {
    pub target: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogDriver {
    pub name: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// Exactly one member is set, as in Docker's JSON; see [`ServiceMode::kind`].
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceMode {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicated: Option<Replicated>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global: Option<Empty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicated_job: Option<ReplicatedJob>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_job: Option<Empty>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ModeKind {
    Replicated { replicas: u64 },
    Global,
    ReplicatedJob { max_concurrent: u64, total: u64 },
    GlobalJob,
}

impl ServiceMode {
    /// The mode with Docker's defaults filled in; a spec without a mode is replicated once.
    pub fn kind(&self) -> ModeKind {
        if self.global.is_some() {
            ModeKind::Global
        } else if let Some(job) = &self.replicated_job {
            let max_concurrent = job.max_concurrent.unwrap_or(1);
            ModeKind::ReplicatedJob {
                max_concurrent,
                total: job.total_completions.unwrap_or(max_concurrent),
            }
        } else if self.global_job.is_some() {
            ModeKind::GlobalJob
        } else {
            let replicas = self.replicated.as_ref().and_then(|r| r.replicas).unwrap_or(1);
            ModeKind::Replicated { replicas }
        }
    }
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Replicated {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReplicatedJob {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_completions: Option<u64>,
}

/// `{}`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Empty {}

#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateConfig {
    /// 0 = all at once.
    pub parallelism: u64,
    /// Nanoseconds between batches.
    #[serde(skip_serializing_if = "is_zero")]
    pub delay: i64,
    /// `pause`, `continue` or `rollback`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub failure_action: String,
    /// Nanoseconds that a new task is watched for failure; 5 s if 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub monitor: i64,
    pub max_failure_ratio: f32,
    /// `stop-first` or `start-first`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub order: String,
}

// The ratio comes from JSON and is never NaN; control refuses anything outside 0..=1.
impl Eq for UpdateConfig {}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointSpec {
    /// `vip` or `dnsrr`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortConfig>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortConfig {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `tcp`, `udp` or `sctp`; tcp if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    pub target_port: u16,
    #[serde(skip_serializing_if = "is_zero_u16")]
    pub published_port: u16,
    /// `ingress` or `host`; ingress if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub publish_mode: String,
}

fn is_zero_u16(n: &u16) -> bool {
    *n == 0
}

/// The endpoint as allocated: the spec it was made from and the ports that were given.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    pub spec: EndpointSpec,
    pub ports: Vec<PortConfig>,
    /// One address for all of its tasks, on each of its networks; none with `dnsrr`.
    pub virtual_ips: Vec<VirtualIp>,
    /// Why it does not have what it should: no address is free, a network is gone.
    pub err: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VirtualIp {
    pub network: NetworkId,
    pub address: Ipv4Addr,
    pub prefix_len: u8,
}

impl EndpointSpec {
    /// Something of it is published on every node.
    pub fn has_ingress(&self) -> bool {
        self.ports
            .iter()
            .any(|port| matches!(port.publish_mode.as_str(), "" | "ingress"))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateState {
    #[default]
    Updating,
    Paused,
    Completed,
    RollbackStarted,
    RollbackPaused,
    RollbackCompleted,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateStatus {
    pub state: UpdateState,
    pub started_at: Option<Time>,
    pub completed_at: Option<Time>,
    pub message: String,
    /// How many slots the update found to replace, and how many of its tasks failed while they were watched: what
    /// the failure ratio is made of. Kept here so that a new leader goes on where the old one stopped.
    pub slots: u64,
    pub failures: u64,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    pub id: ServiceId,
    pub meta: Meta,
    pub spec: ServiceSpec,
    pub previous_spec: Option<ServiceSpec>,
    /// Log index of the last change to `spec`; tasks carry it, so "made from the current spec" is one comparison.
    pub spec_version: u64,
    /// The same for `previous_spec`: a rollback restores spec and version together, so tasks that still run the
    /// old spec are recognised as clean.
    pub previous_spec_version: Option<u64>,
    pub endpoint: Endpoint,
    pub update_status: Option<UpdateStatus>,
    /// For jobs: bumped whenever the job is to run again.
    pub job_iteration: u64,
    pub last_execution: Option<Time>,
}
