//! `GET /containers/json`.

use crate::go::{Dict, empty};
use crate::image::Descriptor;
use crate::mount::MountPoint;
use crate::network::EndpointSettings;
use serde::{Deserialize, Serialize};

/// One container in a list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerSummary {
    pub id: String,
    /// With leading slashes.
    pub names: Vec<String>,
    /// The name it was created from, or the id when the name has moved on.
    pub image: String,
    #[serde(rename = "ImageID")]
    pub image_id: String,
    #[serde(skip_serializing_if = "empty")]
    pub image_manifest_descriptor: Option<Descriptor>,
    pub command: String,
    /// Unix seconds.
    pub created: i64,
    /// Never null.
    pub ports: Vec<Port>,
    #[serde(skip_serializing_if = "empty")]
    pub size_rw: i64,
    #[serde(skip_serializing_if = "empty")]
    pub size_root_fs: i64,
    /// Never null.
    pub labels: std::collections::BTreeMap<String, String>,
    pub state: String,
    /// For people: `Up 5 minutes`, `Exited (0) 2 hours ago`.
    pub status: String,
    pub host_config: SummaryHostConfig,
    /// Since API 1.52.
    #[serde(skip_serializing_if = "empty")]
    pub health: Option<HealthSummary>,
    pub network_settings: SummaryNetworkSettings,
    pub mounts: Vec<MountPoint>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Port {
    #[serde(rename = "IP", skip_serializing_if = "empty")]
    pub ip: String,
    pub private_port: u16,
    #[serde(skip_serializing_if = "empty")]
    pub public_port: u16,
    /// `tcp`, `udp` or `sctp`.
    #[serde(rename = "Type")]
    pub kind: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SummaryHostConfig {
    #[serde(skip_serializing_if = "empty")]
    pub network_mode: String,
    #[serde(skip_serializing_if = "empty")]
    pub annotations: Dict<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SummaryNetworkSettings {
    pub networks: Dict<EndpointSettings>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthSummary {
    #[serde(skip_serializing_if = "empty")]
    pub status: String,
    #[serde(skip_serializing_if = "empty")]
    pub failing_streak: i64,
}
