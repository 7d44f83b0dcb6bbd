//! Volumes.

use crate::go::{Dict, Slice, empty};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Volume {
    pub created_at: Timestamp,
    pub driver: String,
    pub labels: Dict<String>,
    pub mountpoint: String,
    pub name: String,
    pub options: Dict<String>,
    /// `local` or `global`.
    pub scope: String,
    #[serde(skip_serializing_if = "empty")]
    pub status: Dict<serde_json::Value>,
    #[serde(skip_serializing_if = "empty")]
    pub usage_data: Option<VolumeUsage>,
}

/// Only in `GET /system/df`; -1 is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeUsage {
    pub ref_count: i64,
    /// Bytes.
    pub size: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeListResponse {
    /// Never null.
    pub volumes: Vec<Volume>,
    pub warnings: Slice<String>,
}

/// Body of `POST /volumes/create`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeCreateRequest {
    #[serde(skip_serializing_if = "empty")]
    pub cluster_volume_spec: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "empty")]
    pub driver: String,
    #[serde(skip_serializing_if = "empty")]
    pub driver_opts: Dict<String>,
    #[serde(skip_serializing_if = "empty")]
    pub labels: Dict<String>,
    #[serde(skip_serializing_if = "empty")]
    pub name: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumePruneReport {
    pub volumes_deleted: Slice<String>,
    /// Bytes.
    pub space_reclaimed: u64,
}
