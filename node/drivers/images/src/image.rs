//! An image as the engine sees it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::ConfigFile;
use crate::digest::Digest;
use crate::manifest::Descriptor;

#[derive(Debug, Clone)]
pub struct Image {
    /// The digest of the configuration, `sha256:…`.
    pub id: String,
    /// `busybox:latest`, sorted.
    pub repo_tags: Vec<String>,
    /// `busybox@sha256:…`, sorted.
    pub repo_digests: Vec<String>,
    pub config: Arc<ConfigFile>,
    /// The configuration as it came, byte for byte.
    pub raw_config: Arc<[u8]>,
    /// The image that it was committed on, `sha256:…`, while that is here.
    pub parent: Option<String>,
    /// RFC 3339; empty if the configuration does not say.
    pub created: String,
    pub created_unix: i64,
    /// Nanoseconds of Unix time.
    pub created_nanos: i128,
    /// Bytes of all layers, unpacked.
    pub size: u64,
    /// Chain ids, bottom first.
    pub layers: Vec<Digest>,
    pub os: String,
    pub architecture: String,
    pub variant: String,
    /// The manifest it came with, or the one that was made for it.
    pub manifest: Descriptor,
    /// What its names stand for where that is an index, each once.
    pub indexes: Vec<Descriptor>,
    /// Where the layers are unpacked, top first.
    pub lower: Vec<PathBuf>,
    /// When one of its tags was last set here, RFC 3339.
    pub last_tagged: Option<String>,
}

/// A container's root file system, ready to be mounted as an overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rootfs {
    /// Unpacked layers, top first.
    pub lower: Vec<PathBuf>,
    pub upper: PathBuf,
    pub work: PathBuf,
}

/// One thing that a removal did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// A name was taken away: `busybox:latest`.
    Untagged(String),
    /// An image or a layer is gone: `sha256:…`.
    Deleted(String),
}

/// A container that keeps an image from being removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    pub container: String,
    /// Image ID, `sha256:…`.
    pub image: String,
    pub running: bool,
}
