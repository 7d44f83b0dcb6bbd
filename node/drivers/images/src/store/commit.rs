//! Writing down images and names.

use std::fs;
use std::sync::Arc;

use crate::config::{self, ConfigFile};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::Descriptor;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::Store;
use crate::store::atomic::{self, sync_directory};
use crate::store::records::{ImageRecord, References, Tagged};
use crate::store::state::{Entry, State};

/// Names to be given, and the index that they stand for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    pub names: Vec<Reference>,
    pub index: Option<Descriptor>,
}

impl From<Option<Reference>> for Names {
    fn from(name: Option<Reference>) -> Names {
        Names {
            names: name.into_iter().map(Reference::or_latest).collect(),
            index: None,
        }
    }
}

/// Tags that meant other images before.
pub(crate) type Moved = Vec<(Reference, Digest)>;

impl Store {
    /// Adds an image whose blobs and layers are in the store, pinned by the caller's lease, and gives it names, as
    /// [`Store::name`] does. Nobody sees it without them: what has no name may be cleared away at any moment. Where all of that
    /// is so already, nothing is written.
    pub fn commit(&self, mut record: ImageRecord, raw: Vec<u8>, names: &Names) -> Result<Moved> {
        let config = Arc::new(ConfigFile::parse(&raw)?);
        self.sync_blobs()?;
        if let Some(index) = &names.index {
            self.learn(index)?;
        }
        let _writing = self.writing.lock();
        let id = record.id.clone();
        let same = |known: &Arc<Entry>| {
            let known = &known.record;
            known.manifest.digest == record.manifest.digest
                && known.layers == record.layers
                && known.parent == record.parent
        };
        let known = self.state.lock().images.get(&id).is_some_and(same);
        if known && self.is_named(&id, names) {
            return Ok(Moved::new());
        }
        if known {
            return self.rename_locked(|references| self.name_in(references, &id, names));
        }
        record.packed = {
            let state = self.state.lock();
            let blob = |chain| state.layers.get(chain).map(|layer| layer.blob.clone());
            let blobs: Option<_> = record.layers.iter().map(blob).collect();
            blobs.ok_or_else(|| Error::no_such_image(&id))?
        };
        let path = self.paths.record(&id);
        let bytes = encode(&record, &path)?;
        self.step("before-record");
        atomic::write(&self.paths.tmp, &path, &bytes)?;
        self.step("record-written");
        let entry = Arc::new(Entry {
            record,
            config,
            raw: raw.into(),
        });
        self.state.lock().images.insert(id.clone(), entry);
        self.rename_locked(|references| self.name_in(references, &id, names))
    }

    /// Changes names: `change` is given a copy, which is written down and then takes effect.
    pub fn rename<T>(&self, change: impl FnOnce(&mut References) -> Result<T>) -> Result<T> {
        let _writing = self.writing.lock();
        self.rename_locked(change)
    }

    /// The same for who holds the lock of writers.
    fn rename_locked<T>(&self, change: impl FnOnce(&mut References) -> Result<T>) -> Result<T> {
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

    /// Gives an image names; a tag moves from the image that had it, whose id is returned. Names that stand for an
    /// index, which is in the store, mean from then on what it has for this machine, if it has.
    pub fn name(&self, id: &Digest, names: &Names) -> Result<Moved> {
        if let Some(index) = &names.index {
            self.learn(index)?;
        }
        self.rename(|references| self.name_in(references, id, names))
    }

    /// Whether all these names mean the image already, given by hands or from a registry. So nothing is to be written.
    pub fn is_named(&self, id: &Digest, Names { names, index }: &Names) -> bool {
        let state = self.state.lock();
        let References { tags, digests, .. } = &state.references;
        let known = |index: &Descriptor| state.indexes.contains_key(&index.digest);
        let meant = index.as_ref().and_then(|index| state.default_of(&index.digest));
        let meant = meant.as_ref().unwrap_or(id);
        let leads = |name: &Reference| match name.digest() {
            Some(digest) => {
                let whole = index.as_ref().is_some_and(|index| index.digest == *digest);
                let target = if whole { meant } else { id };
                digests.get(&name.with_digest(digest.clone()).to_string()) == Some(target)
            }
            None => tags
                .get(&name.to_string())
                .is_some_and(|tagged| tagged.id == *meant && tagged.index == *index && !tagged.copied),
        };
        state.images.contains_key(id) && index.as_ref().is_none_or(known) && names.iter().all(leads)
    }

    /// Whether these names, of which the first is with that digest, mean one image already whose manifest it is; one for that
    /// platform, if it is asked for.
    pub fn is_current(&self, names: &[Reference], digest: &Digest, platform: Option<&Platform>) -> bool {
        let id = {
            let state = self.state.lock();
            let named = names.first().map(Reference::to_string).unwrap_or_default();
            let id = state.references.digests.get(&named);
            let image = id.and_then(|id| state.images.get(id));
            let image = image.filter(|_| !state.indexes.contains_key(digest));
            match image {
                Some(image) if platform.is_none_or(|wanted| wanted.accepts(&image.config.platform())) => {
                    image.record.id.clone()
                }
                _ => return false,
            }
        };
        let (names, index) = (names.to_vec(), None);
        self.is_named(&id, &Names { names, index })
    }

    fn name_in(
        &self,
        references: &mut References,
        id: &Digest,
        Names { names, index }: &Names,
    ) -> Result<Moved> {
        let state = self.state.lock();
        // Forgetting takes the same lock as writing names does.
        if !state.images.contains_key(id) {
            return Err(Error::no_such_image(id));
        }
        let meant = index.as_ref().and_then(|index| state.default_of(&index.digest));
        let meant = meant.as_ref().unwrap_or(id);
        let mut moved = Vec::new();
        for name in names {
            match name.digest() {
                Some(digest) => {
                    let whole = index.as_ref().is_some_and(|index| index.digest == *digest);
                    let target = if whole { meant } else { id };
                    let name = name.with_digest(digest.clone()).to_string();
                    references.digests.insert(name, target.clone());
                }
                None => {
                    let tagged = Tagged {
                        id: meant.clone(),
                        index: index.clone(),
                        at: config::now(),
                        copied: false,
                    };
                    if let Some(old) = references.tags.insert(name.to_string(), tagged)
                        && old.id != *meant
                    {
                        moved.push((name.clone(), old.id));
                    }
                }
            }
        }
        Ok(moved)
    }

    /// Takes the record of an image that no name leads to away; its content goes with the next collection. False if
    /// it was given a name meanwhile.
    pub fn forget(&self, id: &Digest) -> Result<bool> {
        self.forget_unless(id, |state| {
            state.meanings().any(|meaning| state.reaches(&meaning, id))
        })
    }

    /// The same for one that names lead to only with its platform beside them.
    pub fn forget_variant(&self, id: &Digest) -> Result<bool> {
        self.forget_unless(id, |state| state.meanings().any(|meaning| meaning.id == id))
    }

    fn forget_unless(&self, id: &Digest, needed: impl Fn(&State) -> bool) -> Result<bool> {
        let _writing = self.writing.lock();
        let path = self.paths.record(id);
        loop {
            let mut state = self.state.lock();
            if needed(&state) {
                return Ok(false);
            }
            // Containers live on without the image, whose record says from what their layers are made again. Refused by the
            // disk they keep it.
            if state.is_under_containers(id) {
                drop(state);
                self.settle()?;
                continue;
            }
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::storage("remove", &path, error));
                }
                _ => state.images.remove(id),
            };
            break;
        }
        self.step("record-removed");
        sync_directory(&self.paths.records)?;
        Ok(true)
    }
}

pub(super) fn encode(value: &impl serde::Serialize, path: &std::path::Path) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(|e| Error::storage("encode", path, std::io::Error::other(e)))
}
