//! Images.

use crate::container::{DriverData, HealthConfig};
use crate::go::{Dict, Empty, Slice, empty, str_slice};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One image in `GET /images/json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageSummary {
    /// Containers that use it; -1 is not counted.
    pub containers: i64,
    /// Unix seconds.
    pub created: i64,
    pub id: String,
    pub labels: Dict<String>,
    pub parent_id: String,
    #[serde(skip_serializing_if = "empty")]
    pub descriptor: Option<Descriptor>,
    #[serde(skip_serializing_if = "empty")]
    pub manifests: Slice<ManifestSummary>,
    /// Never null.
    pub repo_digests: Vec<String>,
    /// Never null.
    pub repo_tags: Vec<String>,
    /// Bytes; -1 is not computed.
    pub shared_size: i64,
    /// Bytes.
    pub size: i64,
    /// Copy of `size` for clients older than API 1.44.
    #[serde(skip_serializing_if = "empty")]
    pub virtual_size: i64,
}

/// `GET /images/{name}/json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageInspect {
    pub id: String,
    pub repo_tags: Vec<String>,
    pub repo_digests: Vec<String>,
    pub parent: String,
    pub comment: String,
    #[serde(skip_serializing_if = "empty")]
    pub created: Option<Timestamp>,
    pub docker_version: String,
    /// For clients older than API 1.45, who are shown it by hand.
    #[serde(skip)]
    pub container: String,
    /// The same; null where the image has none.
    #[serde(skip)]
    pub container_config: serde_json::Value,
    pub author: String,
    pub config: Option<ImageConfig>,
    pub architecture: String,
    #[serde(skip_serializing_if = "empty")]
    pub variant: String,
    pub os: String,
    #[serde(skip_serializing_if = "empty")]
    pub os_version: String,
    /// Bytes.
    pub size: i64,
    /// Copy of `size` for clients older than API 1.44.
    #[serde(skip_serializing_if = "empty")]
    pub virtual_size: i64,
    #[serde(skip_serializing_if = "empty")]
    pub graph_driver: Option<DriverData>,
    #[serde(rename = "RootFS")]
    pub root_fs: RootFs,
    pub metadata: ImageMetadata,
    #[serde(skip_serializing_if = "empty")]
    pub descriptor: Option<Descriptor>,
    #[serde(skip_serializing_if = "empty")]
    pub manifests: Slice<ManifestSummary>,
}

/// One manifest of an image: for a platform, or what is stated about one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ManifestSummary {
    /// The manifest's digest.
    #[serde(rename = "ID")]
    pub id: String,
    pub descriptor: Descriptor,
    /// Whether all that it leads to is here.
    pub available: bool,
    pub size: ManifestSize,
    /// `image`, `attestation` or `unknown`.
    pub kind: String,
    #[serde(skip_serializing_if = "empty")]
    pub image_data: Option<ImageProperties>,
    #[serde(skip_serializing_if = "empty")]
    pub attestation_data: Option<AttestationProperties>,
}

/// In bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ManifestSize {
    /// Of the manifest and what it names, as it came.
    pub content: i64,
    /// The same, and the unpacked layers.
    pub total: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageProperties {
    pub platform: OciPlatform,
    pub size: UnpackedSize,
    /// IDs of containers that use it. Never null.
    pub containers: Vec<String>,
}

/// In bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UnpackedSize {
    pub unpacked: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AttestationProperties {
    /// The digest of the image manifest that it speaks of.
    #[serde(rename = "For")]
    pub about: String,
}

/// One in-toto statement of `GET /images/{name}/attestations`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AttestationStatement {
    pub descriptor: Descriptor,
    pub predicate_type: String,
    /// Word for word, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<Box<serde_json::value::RawValue>>,
}

/// An image's configuration as inspect shows it since API 1.50 (since 1.52 without what is empty).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageConfig {
    pub user: String,
    #[serde(skip_serializing_if = "empty")]
    pub exposed_ports: Dict<Empty>,
    pub env: Slice<String>,
    #[serde(deserialize_with = "str_slice::deserialize")]
    pub entrypoint: Slice<String>,
    #[serde(deserialize_with = "str_slice::deserialize")]
    pub cmd: Slice<String>,
    pub volumes: Dict<Empty>,
    pub working_dir: String,
    pub labels: Dict<String>,
    #[serde(skip_serializing_if = "empty")]
    pub stop_signal: String,
    #[serde(skip_serializing_if = "empty")]
    pub args_escaped: bool,
    #[serde(skip_serializing_if = "empty")]
    pub healthcheck: Option<HealthConfig>,
    pub on_build: Slice<String>,
    #[serde(deserialize_with = "str_slice::deserialize", skip_serializing_if = "empty")]
    pub shell: Slice<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RootFs {
    #[serde(rename = "Type")]
    pub kind: String,
    /// Digests of the uncompressed layers, lowest first.
    #[serde(skip_serializing_if = "empty")]
    pub layers: Slice<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageMetadata {
    /// Zero when never tagged here.
    pub last_tag_time: Timestamp,
}

/// An OCI content descriptor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Descriptor {
    pub media_type: String,
    pub digest: String,
    /// Bytes.
    pub size: i64,
    #[serde(skip_serializing_if = "empty")]
    pub urls: Slice<String>,
    #[serde(skip_serializing_if = "empty")]
    pub annotations: Dict<String>,
    #[serde(skip_serializing_if = "empty")]
    pub data: String,
    #[serde(skip_serializing_if = "empty")]
    pub platform: Option<OciPlatform>,
    #[serde(skip_serializing_if = "empty")]
    pub artifact_type: String,
}

/// An OCI platform: `platform=` in queries and in descriptors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OciPlatform {
    pub architecture: String,
    pub os: String,
    #[serde(rename = "os.version", skip_serializing_if = "empty")]
    pub os_version: String,
    #[serde(rename = "os.features", skip_serializing_if = "empty")]
    pub os_features: Slice<String>,
    #[serde(skip_serializing_if = "empty")]
    pub variant: String,
}

/// One step of `GET /images/{name}/history`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HistoryItem {
    pub comment: String,
    /// Unix seconds.
    pub created: i64,
    pub created_by: String,
    /// `<missing>` when the step is not an image here.
    pub id: String,
    /// Bytes.
    pub size: i64,
    pub tags: Slice<String>,
}

/// One line of `DELETE /images/{name}`: either a name or an id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageDeleteItem {
    #[serde(skip_serializing_if = "empty")]
    pub untagged: String,
    #[serde(skip_serializing_if = "empty")]
    pub deleted: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImagePruneReport {
    pub images_deleted: Slice<ImageDeleteItem>,
    /// Bytes.
    pub space_reclaimed: u64,
}

/// `GET /distribution/{name}/json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DistributionInspect {
    pub descriptor: Descriptor,
    pub platforms: Slice<OciPlatform>,
}

/// One hit of `GET /images/search`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchResult {
    pub star_count: i64,
    pub is_official: bool,
    pub name: String,
    pub is_automated: bool,
    pub description: String,
}
