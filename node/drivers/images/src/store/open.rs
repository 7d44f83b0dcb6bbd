//! Reading the store, which is also its recovery: what is half there goes, what is listed is whole.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use crate::config::ConfigFile;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::{CONFIG_MAX, Descriptor, Document, MANIFEST_MAX};
use crate::store::arriving::Arriving;
use crate::store::known::Known;
use crate::store::layers::{SETTLED, UNSETTLED, make};
use crate::store::mount::Mount;
use crate::store::paths::Paths;
use crate::store::records::{FORMAT, ImageRecord, LayerRecord, References, check};
use crate::store::remake::Lost;
use crate::store::state::{Entry, State};
use crate::store::trash::Trash;
use crate::store::{FaultHook, Store};

impl Store {
    pub fn open(data_root: &Path, fault: Option<FaultHook>) -> Result<Arc<Store>> {
        let paths = Paths::new(data_root);
        let images = data_root.join("images");
        fs::create_dir_all(data_root).map_err(|e| Error::storage("create", data_root, e))?;
        for path in [
            &images,
            &images.join("blobs"),
            &paths.blobs,
            &paths.records,
            &paths.tmp,
            &paths.trash,
        ] {
            ensure(path, 0o700)?;
        }
        spread(&paths.tmp);
        ensure(&paths.layers, 0o710)?;
        ensure(&paths.snapshots, 0o710)?;
        ensure(&paths.nothing(), 0o755)?;
        let filesystem = File::open(&paths.layers);
        let filesystem = filesystem.map_err(|e| Error::storage("open", &paths.layers, e))?;
        let trash = Trash::new(paths.trash.clone());
        let known = Known::read(images.join("known.json"));
        let store = Store {
            settling: Mutex::default(),
            filesystem,
            mount: Mount::of(&paths.layers),
            paths,
            state: Mutex::default(),
            writing: Mutex::default(),
            syncing: Mutex::default(),
            trash,
            fault,
            known,
            arriving: Arriving::default(),
        };
        for name in names(&store.paths.tmp)? {
            store.trash.put(&store.paths.tmp.join(name))?;
        }
        let mut state = State {
            references: store.read_references()?,
            ..State::default()
        };
        store.read_blobs(&mut state)?;
        let lost = store.read_layers(&mut state)?;
        store.read_snapshots(&mut state)?;
        *store.state.lock() = state;
        store.read_images(lost)?;
        store.learn_named();
        store.mend_names();
        store.collect()?;
        let store = Arc::new(store);
        if !store.state.lock().unsettled.is_empty() {
            store.settle_soon();
        }
        Ok(store)
    }

    /// Reads the indexes that names stand for.
    fn learn_named(&self) {
        let (mut wanted, known) = {
            let state = self.state.lock();
            let tags = state.references.tags.values();
            let indexes: Vec<Descriptor> = tags.filter_map(|tagged| tagged.index.clone()).collect();
            let digests = state.references.digests.keys();
            let digests: Vec<Digest> = digests
                .filter_map(|name| Digest::parse(name.rsplit_once('@')?.1).ok())
                .filter(|digest| state.blobs.contains(digest))
                .collect();
            let images = state
                .images
                .values()
                .map(|image| image.record.manifest.digest.clone());
            let mut known: HashSet<Digest> = images.collect();
            known.extend(indexes.iter().map(|index| index.digest.clone()));
            ((indexes, digests), known)
        };
        for digest in wanted.1.into_iter().filter(|digest| !known.contains(digest)) {
            // A name with a digest does not say of what it is.
            if let Ok(text) = self.read_blob(&digest, MANIFEST_MAX)
                && let Ok(Document::Index(index)) = Document::parse(&text, "")
            {
                let descriptor = Descriptor::new(index.kind(), digest, text.len() as u64);
                wanted.0.push(descriptor);
            }
        }
        for index in wanted.0 {
            if let Err(error) = self.learn(&index) {
                tracing::warn!("index {} cannot be used: {error}", index.digest);
            }
        }
    }

    /// A name whose image did not survive means another one of its index; without one it says nothing.
    fn mend_names(&self) {
        let mut state = self.state.lock();
        let meant: HashMap<String, Digest> = state
            .meanings()
            .filter_map(|meaning| {
                let survived = state.images.contains_key(meaning.id).then(|| meaning.id.clone());
                let meant = survived.or_else(|| state.default_of(&meaning.index?))?;
                Some((meaning.name.to_owned(), meant))
            })
            .collect();
        let References { tags, digests, .. } = &mut state.references;
        tags.retain(|name, tagged| {
            let meant = meant.get(name);
            meant.map(|meant| tagged.id = meant.clone()).is_some()
        });
        digests.retain(|name, id| {
            let meant = meant.get(name);
            meant.map(|meant| *id = meant.clone()).is_some()
        });
    }

    fn read_references(&self) -> Result<References> {
        let path = &self.paths.references;
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(References {
                    format: FORMAT,
                    ..References::default()
                });
            }
            Err(error) => return Err(Error::storage("read", path, error)),
        };
        let references: References = serde_json::from_slice(&bytes)
            .map_err(|e| Error::Corrupt(format!("{} cannot be read: {e}", path.display())))?;
        check(references.format, &path.display().to_string())?;
        Ok(references)
    }

    fn read_blobs(&self, state: &mut State) -> Result<()> {
        for name in names(&self.paths.blobs)? {
            match Digest::parse(&format!("sha256:{name}")) {
                Ok(digest) => drop(state.blobs.insert(digest)),
                Err(_) => self.trash.put(&self.paths.blobs.join(name))?,
            }
        }
        Ok(())
    }

    /// Those that are whole. Of others, which may be as well and which containers may use, it says where they lie.
    fn read_layers(&self, state: &mut State) -> Result<Lost> {
        let mut lost = Lost::new();
        for name in names(&self.paths.layers)? {
            let directory = self.paths.layers.join(&name);
            if directory == self.paths.nothing() {
                continue;
            }
            let read = |name: &str| {
                let bytes = fs::read(directory.join(name)).ok()?;
                serde_json::from_slice::<LayerRecord>(&bytes).ok()
            };
            let Ok(chain) = Digest::parse(&format!("sha256:{name}")) else {
                self.trash.put(&directory)?;
                continue;
            };
            let (settled, unsettled) = (read(SETTLED), read(UNSETTLED));
            for record in [&settled, &unsettled].into_iter().flatten() {
                check(record.format, &directory.display().to_string())?;
            }
            let own = |record: &LayerRecord| record.chain == chain;
            // Without a mount that is known nothing is the same.
            let trusted = |record: &LayerRecord| self.mount.is_some() && record.made_in == self.mount;
            match (settled.filter(own), unsettled.filter(own).filter(trusted)) {
                (Some(record), _) => drop(state.layers.insert(chain, record)),
                (None, Some(record)) => state.add_unsettled(record),
                (None, None) => drop(lost.insert(chain, directory)),
            }
        }
        Ok(lost)
    }

    fn read_images(&self, lost: Lost) -> Result<()> {
        let (mut records, mut entries) = (names(&self.paths.records)?, Vec::new());
        let left_out = |name: &str, error: Error| {
            tracing::warn!("image {name} is left out: {error}");
            self.trash.put(&self.paths.records.join(name))
        };
        for name in records.drain(..) {
            match self.read_image(&self.paths.records.join(&name)) {
                Ok(entry) => entries.push((name, entry)),
                Err(error @ Error::InvalidParameter(_)) => return Err(error),
                Err(error) => left_out(&name, error)?,
            }
        }
        self.remake(entries.iter().map(|(_, entry)| entry), lost)?;
        for (name, entry) in entries {
            let mut state = self.state.lock();
            let mut layers = entry.record.layers.iter();
            match layers.find(|chain| !state.layers.contains_key(chain)) {
                Some(missing) => left_out(&name, Error::Corrupt(format!("layer {missing} is missing")))?,
                None => drop(state.images.insert(entry.record.id.clone(), Arc::new(entry))),
            }
        }
        Ok(())
    }

    fn read_image(&self, path: &Path) -> Result<Entry> {
        let bytes = fs::read(path).map_err(|e| Error::storage("read", path, e))?;
        let record: ImageRecord = serde_json::from_slice(&bytes)
            .map_err(|e| Error::Corrupt(format!("{} cannot be read: {e}", path.display())))?;
        check(record.format, "the image's record").map_err(|e| Error::InvalidParameter(e.to_string()))?;
        let raw = self.read_blob(&record.id, CONFIG_MAX)?;
        let config = Arc::new(ConfigFile::parse(&raw)?);
        Ok(Entry {
            record,
            config,
            raw: raw.into(),
        })
    }

    fn read_snapshots(&self, state: &mut State) -> Result<()> {
        for key in names(&self.paths.snapshots)? {
            let base = fs::read_link(self.paths.snapshots.join(&key).join("base")).unwrap_or_default();
            let top = Digest::parse(&base.to_string_lossy()).ok();
            state.snapshots.insert(key, top);
        }
        Ok(())
    }
}

fn ensure(path: &Path, mode: u32) -> Result<()> {
    match path.is_dir() {
        true => Ok(()),
        false => make(path, mode),
    }
}

/// Has ext4 put what is made in this directory to places far from each other, where it knows that: each layer by itself, not
/// all behind one another, where it looks at each file that went with an image lately before it makes a new one.
fn spread(directory: &Path) {
    let set = File::open(directory).map(|directory| {
        let flags = ioctl_getflags(&directory)?;
        ioctl_setflags(&directory, flags | IFlags::TOPDIR)
    });
    if !matches!(set, Ok(Ok(()))) {
        tracing::debug!("what is unpacked lies where the file system puts it");
    }
}

fn names(path: &Path) -> Result<Vec<String>> {
    let failed = |e| Error::storage("list", path, e);
    let entries = fs::read_dir(path).map_err(failed)?;
    entries
        .map(|entry| Ok(entry.map_err(failed)?.file_name().to_string_lossy().into_owned()))
        .collect()
}
