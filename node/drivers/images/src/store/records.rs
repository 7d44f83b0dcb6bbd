//! What is written down, as JSON, and its version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::Descriptor;
use crate::store::mount::Mount;

/// Raised when an older version could not read what this one writes.
pub(crate) const FORMAT: u32 = 1;

/// One image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    pub format: u32,
    pub id: Digest,
    /// The first that it came with. An index may lead to it through another one.
    pub manifest: Descriptor,
    /// Chain ids, bottom first.
    pub layers: Vec<Digest>,
    /// What each of them was unpacked from, and is again after a power cut that came before it was on the disk. Older
    /// versions did not write it: theirs were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packed: Vec<Descriptor>,
    /// The image that it was committed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Digest>,
    /// RFC 3339.
    pub added: String,
}

impl ImageRecord {
    /// The blobs that are its own; those of its layers the layers keep.
    pub fn blobs(&self) -> [Digest; 2] {
        [self.id.clone(), self.manifest.digest.clone()]
    }
}

/// One unpacked layer. As `layer.json` it says that all of it is on the disk; as `unsettled.json` before, that it is whole in
/// memory, for as long as the file system stays mounted where it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    pub format: u32,
    pub chain: Digest,
    pub diff_id: Digest,
    pub parent: Option<Digest>,
    /// What it was unpacked from. Another image may have the same layer packed differently.
    pub blob: Descriptor,
    /// Bytes of its files.
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_in: Option<Mount>,
}

/// All names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct References {
    pub format: u32,
    /// By full name with tag.
    pub tags: BTreeMap<String, Tagged>,
    /// By full name with digest, which is an index's or a manifest's: the image that is meant unless another
    /// platform's is asked for.
    pub digests: BTreeMap<String, Digest>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tagged {
    /// The image that is meant unless another platform's is asked for.
    pub id: Digest,
    /// What the name stands for if that is an index. It is the tag's, not the image's: two tags may have come to
    /// the same image through different indexes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Descriptor>,
    /// RFC 3339. When a hand gave the name, on whichever node.
    pub at: String,
    /// The name came with a copy from another node of the cluster: it may follow that node's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub copied: bool,
}

/// Refuses what a newer version wrote, so that it is left as it is.
pub(crate) fn check(format: u32, what: &str) -> Result<()> {
    match format {
        FORMAT => Ok(()),
        other => Err(Error::Corrupt(format!(
            "{what} has format {other}, this version knows {FORMAT}"
        ))),
    }
}
