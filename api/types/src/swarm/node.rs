//! `/nodes`.

use super::common::{Annotations, GenericResource, Meta, TlsInfo};
use crate::go::{Dict, Slice, empty};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Node {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(flatten)]
    pub meta: Meta,
    pub spec: NodeSpec,
    pub description: NodeDescription,
    pub status: NodeStatus,
    /// Only for managers.
    #[serde(skip_serializing_if = "empty")]
    pub manager_status: Option<ManagerStatus>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeSpec {
    #[serde(flatten)]
    pub annotations: Annotations,
    /// `worker` or `manager`.
    #[serde(skip_serializing_if = "empty")]
    pub role: String,
    /// `active`, `pause` or `drain`.
    #[serde(skip_serializing_if = "empty")]
    pub availability: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeDescription {
    #[serde(skip_serializing_if = "empty")]
    pub hostname: String,
    pub platform: Platform,
    pub resources: NodeResources,
    pub engine: EngineDescription,
    #[serde(rename = "TLSInfo")]
    pub tls_info: TlsInfo,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    #[serde(rename = "Architecture", skip_serializing_if = "empty")]
    pub architecture: String,
    #[serde(rename = "OS", skip_serializing_if = "empty")]
    pub os: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeResources {
    #[serde(rename = "NanoCPUs", skip_serializing_if = "empty")]
    pub nano_cpus: i64,
    #[serde(rename = "MemoryBytes", skip_serializing_if = "empty")]
    pub memory_bytes: i64,
    #[serde(rename = "GenericResources", skip_serializing_if = "empty")]
    pub generic_resources: Slice<GenericResource>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EngineDescription {
    #[serde(skip_serializing_if = "empty")]
    pub engine_version: String,
    #[serde(skip_serializing_if = "empty")]
    pub labels: Dict<String>,
    #[serde(skip_serializing_if = "empty")]
    pub plugins: Slice<PluginDescription>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PluginDescription {
    #[serde(rename = "Type", skip_serializing_if = "empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "empty")]
    pub name: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeStatus {
    /// `unknown`, `down`, `ready` or `disconnected`.
    #[serde(skip_serializing_if = "empty")]
    pub state: String,
    #[serde(skip_serializing_if = "empty")]
    pub message: String,
    #[serde(skip_serializing_if = "empty")]
    pub addr: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ManagerStatus {
    #[serde(skip_serializing_if = "empty")]
    pub leader: bool,
    /// `unknown`, `unreachable` or `reachable`.
    #[serde(skip_serializing_if = "empty")]
    pub reachability: String,
    #[serde(skip_serializing_if = "empty")]
    pub addr: String,
}
