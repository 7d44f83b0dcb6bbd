//! Where everything lies under the data root.

use std::path::{Path, PathBuf};

use crate::digest::Digest;

#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// `images/blobs/sha256/<hex>`: configurations, manifests and layers as they came.
    pub blobs: PathBuf,
    /// `images/records/<hex>.json`: one per image.
    pub records: PathBuf,
    /// `images/references.json`: all names.
    pub references: PathBuf,
    /// `images/tmp`: half-made things; emptied at open.
    pub tmp: PathBuf,
    /// `images/trash`: things without an owner, deleted in the background.
    pub trash: PathBuf,
    /// `layers/<chain hex>/{diff,layer.json}`; `unsettled.json` instead until it is on the disk.
    pub layers: PathBuf,
    /// `snapshots/<key>/{diff,work,base}`.
    pub snapshots: PathBuf,
}

impl Paths {
    pub fn new(data_root: &Path) -> Paths {
        let images = data_root.join("images");
        Paths {
            blobs: images.join("blobs/sha256"),
            records: images.join("records"),
            references: images.join("references.json"),
            tmp: images.join("tmp"),
            trash: images.join("trash"),
            layers: data_root.join("layers"),
            snapshots: data_root.join("snapshots"),
        }
    }

    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs.join(digest.hex())
    }

    pub fn record(&self, id: &Digest) -> PathBuf {
        self.records.join(format!("{}.json", id.hex()))
    }

    pub fn layer(&self, chain: &Digest) -> PathBuf {
        self.layers.join(chain.hex())
    }

    pub fn diff(&self, chain: &Digest) -> PathBuf {
        self.layer(chain).join("diff")
    }

    /// Stands in for the lower directory of an image without layers: overlayfs wants at least one.
    pub fn nothing(&self) -> PathBuf {
        self.layers.join("empty")
    }
}
