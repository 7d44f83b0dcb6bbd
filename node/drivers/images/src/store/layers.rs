//! Unpacked layers: made aside, synced, and named by their chain id last.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::atomic::{self, sync_directory, unique};
use crate::store::records::{FORMAT, LayerRecord};
use crate::unpack::{self, Limits};

/// A layer unpacked aside but not part of the store yet; thrown away if it never becomes one.
#[derive(Debug)]
pub(crate) struct Unpacked {
    directory: PathBuf,
    record: LayerRecord,
    trash: super::Trash,
    kept: bool,
}

impl Store {
    pub fn has_layer(&self, chain: &Digest) -> bool {
        self.state.lock().layers.contains_key(chain)
    }

    /// Unpacks a blob and checks it against its DiffID. `report` hears of bytes of the blob read.
    pub fn unpack(
        &self,
        blob: &Digest,
        diff_id: &Digest,
        chain: &Digest,
        parent: Option<&Digest>,
        report: impl FnMut(u64) + Send,
    ) -> Result<Unpacked> {
        let file = self.open_blob(blob)?;
        let mut unpacked = self.unpacked(chain, parent)?;
        let applied = unpack::layer(file, &unpacked.directory.join("diff"), Limits::default(), report)?;
        if applied.diff_id != *diff_id {
            return Err(Error::Corrupt(format!(
                "layer {blob} does not match its DiffID: expected {diff_id}, got {}",
                applied.diff_id
            )));
        }
        unpacked.fill(applied);
        self.step("layer-unpacked");
        Ok(unpacked)
    }

    fn unpacked(&self, chain: &Digest, parent: Option<&Digest>) -> Result<Unpacked> {
        let directory = self.paths.tmp.join(unique("layer"));
        make(&directory, 0o710)?;
        let record = LayerRecord {
            format: FORMAT,
            chain: chain.clone(),
            diff_id: chain.clone(),
            parent: parent.cloned(),
            size: 0,
            root: None,
        };
        let unpacked = Unpacked {
            directory,
            record,
            trash: self.trash.clone(),
            kept: false,
        };
        make(&unpacked.directory.join("diff"), 0o755)?;
        Ok(unpacked)
    }

    /// Makes unpacked layers part of the store, lowest first. One sync of the file system covers them all; only
    /// then do they get their records and names.
    pub fn register(&self, layers: Vec<Unpacked>) -> Result<()> {
        if layers.is_empty() {
            return Ok(());
        }
        let root = &self.paths.layers;
        let synced = File::open(root).and_then(|dir| Ok(rustix::fs::syncfs(&dir)?));
        synced.map_err(|e| Error::storage("sync file system of", root, e))?;
        self.step("layers-synced");
        for mut layer in layers {
            if self.has_layer(&layer.record.chain) {
                continue;
            }
            let bytes = serde_json::to_vec_pretty(&layer.record).map_err(std::io::Error::other);
            let bytes = bytes.map_err(|e| Error::storage("encode record of", &layer.directory, e))?;
            atomic::write(&self.paths.tmp, &layer.directory.join("layer.json"), &bytes)?;
            self.step("layer-recorded");
            let place = self.paths.layer(&layer.record.chain);
            // Something without a record may lie there: what an earlier crash left.
            self.trash.put(&place)?;
            fs::rename(&layer.directory, &place).map_err(|e| Error::storage("store layer", &place, e))?;
            layer.kept = true;
            self.state
                .lock()
                .layers
                .insert(layer.record.chain.clone(), layer.record.clone());
            self.step("layer-stored");
        }
        sync_directory(root)
    }
}

impl Unpacked {
    fn fill(&mut self, applied: unpack::Applied) {
        self.record.diff_id = applied.diff_id;
        self.record.size = applied.size;
        self.record.root = applied.root;
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        if !self.kept {
            let _ = self.trash.put(&self.directory);
            self.trash.sweep();
        }
    }
}

/// A directory with exactly this mode, whatever the umask.
pub(crate) fn make(path: &Path, mode: u32) -> Result<()> {
    let made = DirBuilder::new().mode(mode).create(path);
    let made = made.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)));
    made.map_err(|e| Error::storage("create directory", path, e))
}
