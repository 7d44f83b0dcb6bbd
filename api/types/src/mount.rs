//! Mounts as asked for (`HostConfig.Mounts`, service specs) and as they are (`Mounts` in inspect and list).

use crate::go::{Dict, Empty, Slice, empty};
use serde::{Deserialize, Serialize};

/// A mount as asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Mount {
    /// `bind`, `volume`, `tmpfs`, `image`, `npipe` or `cluster`.
    #[serde(rename = "Type", skip_serializing_if = "empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "empty")]
    pub source: String,
    #[serde(skip_serializing_if = "empty")]
    pub target: String,
    #[serde(skip_serializing_if = "empty")]
    pub read_only: bool,
    #[serde(skip_serializing_if = "empty")]
    pub consistency: String,
    #[serde(skip_serializing_if = "empty")]
    pub bind_options: Option<BindOptions>,
    #[serde(skip_serializing_if = "empty")]
    pub volume_options: Option<VolumeOptions>,
    #[serde(skip_serializing_if = "empty")]
    pub image_options: Option<ImageOptions>,
    #[serde(skip_serializing_if = "empty")]
    pub tmpfs_options: Option<TmpfsOptions>,
    #[serde(skip_serializing_if = "empty")]
    pub cluster_options: Option<Empty>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BindOptions {
    /// `private`, `rprivate`, `shared`, `rshared`, `slave` or `rslave`; empty is `rprivate`.
    #[serde(skip_serializing_if = "empty")]
    pub propagation: String,
    #[serde(skip_serializing_if = "empty")]
    pub non_recursive: bool,
    #[serde(skip_serializing_if = "empty")]
    pub create_mountpoint: bool,
    #[serde(skip_serializing_if = "empty")]
    pub read_only_non_recursive: bool,
    #[serde(skip_serializing_if = "empty")]
    pub read_only_force_recursive: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeOptions {
    #[serde(skip_serializing_if = "empty")]
    pub no_copy: bool,
    #[serde(skip_serializing_if = "empty")]
    pub labels: Dict<String>,
    #[serde(skip_serializing_if = "empty")]
    pub subpath: String,
    #[serde(skip_serializing_if = "empty")]
    pub driver_config: Option<Driver>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageOptions {
    #[serde(skip_serializing_if = "empty")]
    pub subpath: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TmpfsOptions {
    #[serde(skip_serializing_if = "empty")]
    pub size_bytes: i64,
    /// Permission bits.
    #[serde(skip_serializing_if = "empty")]
    pub mode: u32,
    #[serde(skip_serializing_if = "empty")]
    pub options: Slice<Vec<String>>,
}

/// A named driver with its options (volume driver of a mount, log driver of a service).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Driver {
    #[serde(skip_serializing_if = "empty")]
    pub name: String,
    #[serde(skip_serializing_if = "empty")]
    pub options: Dict<String>,
}

/// A mount as it is in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MountPoint {
    #[serde(rename = "Type", skip_serializing_if = "empty")]
    pub kind: String,
    /// The volume's name.
    #[serde(skip_serializing_if = "empty")]
    pub name: String,
    pub source: String,
    pub destination: String,
    #[serde(skip_serializing_if = "empty")]
    pub driver: String,
    /// Comma-separated options as given with `-v`.
    pub mode: String,
    #[serde(rename = "RW")]
    pub rw: bool,
    pub propagation: String,
}
