//! Writing down images and names.

use std::fs;
use std::sync::Arc;

use crate::config::{self, ConfigFile};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::reference::Reference;
use crate::store::Store;
use crate::store::atomic::{self, sync_directory};
use crate::store::records::{ImageRecord, References, Tagged};
use crate::store::state::Entry;

impl Store {
    /// Adds an image whose blobs and layers are in the store, pinned by the caller's lease.
    pub fn commit(&self, record: ImageRecord, raw: Vec<u8>) -> Result<()> {
        let config = Arc::new(ConfigFile::parse(&raw)?);
        self.sync_blobs()?;
        let _writing = self.writing.lock();
        let path = self.paths.record(&record.id);
        let bytes = encode(&record, &path)?;
        self.step("before-record");
        atomic::write(&self.paths.tmp, &path, &bytes)?;
        self.step("record-written");
        let entry = Arc::new(Entry {
            record,
            config,
            raw: raw.into(),
        });
        self.state.lock().images.insert(entry.record.id.clone(), entry);
        Ok(())
    }

    /// Changes names: `change` is given a copy, which is written down and then takes effect.
    pub fn rename<T>(&self, change: impl FnOnce(&mut References) -> Result<T>) -> Result<T> {
        let _writing = self.writing.lock();
        let before = self.state.lock().references.clone();
        let mut after = before.clone();
        let result = change(&mut after)?;
        if after != before {
            let bytes = encode(&after, &self.paths.references)?;
            self.step("before-references");
            atomic::write(&self.paths.tmp, &self.paths.references, &bytes)?;
            self.step("references-written");
            self.state.lock().references = after;
        }
        Ok(result)
    }

    /// Gives an image names; a tag moves from the image that had it, whose id is returned.
    pub fn name(&self, id: &Digest, names: &[Reference]) -> Result<Vec<(Reference, Digest)>> {
        self.rename(|references| {
            // Forgetting takes the same lock as this does.
            if !self.state.lock().images.contains_key(id) {
                return Err(Error::no_such_image(id));
            }
            let mut moved = Vec::new();
            for name in names {
                match name.digest() {
                    Some(digest) => {
                        let name = name.with_digest(digest.clone());
                        references.digests.insert(name.to_string(), id.clone());
                    }
                    None => {
                        let tagged = Tagged {
                            id: id.clone(),
                            at: config::now(),
                        };
                        if let Some(old) = references.tags.insert(name.to_string(), tagged)
                            && old.id != *id
                        {
                            moved.push((name.clone(), old.id));
                        }
                    }
                }
            }
            Ok(moved)
        })
    }

    /// Takes the record of an image without names away; its content goes with the next collection. False if it
    /// was given a name meanwhile.
    pub fn forget(&self, id: &Digest) -> Result<bool> {
        let _writing = self.writing.lock();
        let (tags, digests) = self.state.lock().names(id);
        if !tags.is_empty() || !digests.is_empty() {
            return Ok(false);
        }
        let path = self.paths.record(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::storage("remove", &path, error));
            }
            _ => {}
        }
        self.step("record-removed");
        sync_directory(&self.paths.records)?;
        self.state.lock().images.remove(id);
        Ok(true)
    }
}

pub(super) fn encode(value: &impl serde::Serialize, path: &std::path::Path) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(|e| Error::storage("encode", path, std::io::Error::other(e)))
}
