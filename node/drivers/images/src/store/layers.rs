//! Unpacked layers: made aside, and named by their chain id last.

use std::fs::{self, DirBuilder};
use std::io::BufRead;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::Descriptor;
use crate::store::Store;
use crate::store::atomic::unique;
use crate::store::commit::encode;
use crate::store::records::{FORMAT, LayerRecord};
use crate::unpack::{self, Applied, Limits, Warm};

/// In a layer's directory: its record, and all of it is on the disk.
pub(super) const SETTLED: &str = "layer.json";
/// The same before that.
pub(super) const UNSETTLED: &str = "unsettled.json";

impl Store {
    pub fn has_layer(&self, chain: &Digest) -> bool {
        self.state.lock().layers.contains_key(chain)
    }

    /// The blob that a layer was unpacked from.
    pub fn layer_blob(&self, chain: &Digest) -> Option<Descriptor> {
        self.state
            .lock()
            .layers
            .get(chain)
            .map(|layer| layer.blob.clone())
    }

    /// Unpacks a blob of the store and checks it against its DiffID; without a place, as a lowest layer of whatever
    /// DiffID it has. `report` hears of bytes of the blob read.
    pub fn unpack(
        &self,
        blob: &Descriptor,
        place: Option<&Place>,
        warm: &Warm,
        report: impl FnMut(u64) + Send,
    ) -> Result<Unpacked> {
        let source = self.open_blob(&blob.digest)?;
        self.apply(unpack::buffered(source), warm, false, report)?
            .placed(blob, place)
    }

    /// Unpacks what is coming and being hashed meanwhile. Whether it turns out to be what it should is the caller's to
    /// see.
    pub fn unpack_coming(
        &self,
        source: impl BufRead + Send,
        warm: &Warm,
        report: impl FnMut(u64) + Send,
    ) -> Result<Loose> {
        self.apply(source, warm, true, report)
    }

    fn apply(
        &self,
        source: impl BufRead + Send,
        warm: &Warm,
        hashed: bool,
        report: impl FnMut(u64) + Send,
    ) -> Result<Loose> {
        let aside = Aside {
            directory: self.paths.tmp.join(unique("layer")),
            trash: self.trash.clone(),
        };
        make(&aside.directory, 0o710)?;
        let diff = aside.directory.join("diff");
        make(&diff, 0o755)?;
        let applied = unpack::layer(source, &diff, Limits::default(), warm, hashed, report)?;
        self.step("layer-unpacked");
        Ok(Loose { aside, applied })
    }

    /// Makes an unpacked layer part of the store. It comes to the disk later: an image of it is not there before its blobs are,
    /// from which it is made again if the power goes before that.
    pub fn register(self: &Arc<Self>, layer: Unpacked) -> Result<()> {
        self.take_in(layer)?;
        self.settle_soon();
        Ok(())
    }

    /// Gives an unpacked layer its name, by which alone it counts.
    pub(super) fn take_in(&self, Unpacked { aside, record }: Unpacked) -> Result<()> {
        let record = self.write_record(&aside.directory, record)?;
        self.step("layer-recorded");
        let _writing = self.writing.lock();
        if self.has_layer(&record.chain) {
            return Ok(());
        }
        let place = self.paths.layer(&record.chain);
        // Something without a record may lie there.
        self.trash.put(&place)?;
        fs::rename(&aside.directory, &place).map_err(|e| Error::storage("store layer", &place, e))?;
        self.state.lock().add_unsettled(record);
        self.step("layer-stored");
        Ok(())
    }

    /// Of a layer that may not be on the disk yet.
    pub(super) fn write_record(&self, directory: &Path, record: LayerRecord) -> Result<LayerRecord> {
        let path = directory.join(UNSETTLED);
        let made_in = self.mount.clone();
        let record = LayerRecord { made_in, ..record };
        fs::write(&path, encode(&record, &path)?).map_err(|e| Error::storage("write", &path, e))?;
        Ok(record)
    }
}

/// Where a layer belongs.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub diff_id: Digest,
    pub chain: Digest,
    pub parent: Option<Digest>,
}

/// A layer unpacked before it is known what it is.
#[derive(Debug)]
pub(crate) struct Loose {
    aside: Aside,
    applied: Applied,
}

impl Loose {
    /// It came from this blob, and must be the layer that belongs there; without a place it is a lowest one.
    pub fn placed(self, blob: &Descriptor, place: Option<&Place>) -> Result<Unpacked> {
        let Loose { aside, applied } = self;
        let diff_id = applied.diff_id.unwrap_or_else(|| blob.digest.clone());
        if let Some(place) = place
            && diff_id != place.diff_id
        {
            return Err(Error::Corrupt(format!(
                "layer {} does not match its DiffID: expected {}, got {diff_id}",
                blob.digest, place.diff_id
            )));
        }
        let record = LayerRecord {
            format: FORMAT,
            chain: place.map_or(&diff_id, |place| &place.chain).clone(),
            parent: place.and_then(|place| place.parent.clone()),
            blob: blob.clone(),
            size: applied.size,
            diff_id,
            made_in: None,
        };
        Ok(Unpacked { aside, record })
    }
}

/// A layer unpacked but not part of the store yet; thrown away if it never becomes one.
#[derive(Debug)]
pub(crate) struct Unpacked {
    aside: Aside,
    pub record: LayerRecord,
}

impl Unpacked {
    /// What was unpacked.
    pub fn diff(&self) -> PathBuf {
        self.aside.directory.join("diff")
    }
}

/// A directory that goes to the trash when dropped, if it is still there.
#[derive(Debug)]
struct Aside {
    directory: PathBuf,
    trash: super::Trash,
}

impl Drop for Aside {
    fn drop(&mut self) {
        if self.directory.exists() {
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
