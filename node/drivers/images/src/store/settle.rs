//! Bringing unpacked layers to the disk, some time after whoever asked for them was told that they are there.
//!
//! Until then their blobs, which are on the disk, stand for them: who opens the store after a power cut unpacks them again
//! (`remake`). So nobody waits for thousands of small files, nor for what containers write to the same disk.

use std::fs::{self, File};
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::layers::{SETTLED, UNSETTLED};
use crate::store::state::{State, Unsettled};

/// Nothing new for so long: who has brought images then has the machine for a first start.
const QUIET: Duration = Duration::from_secs(5);
/// What comes all the time is not waited for longer. A start after a power cut unpacks no more than comes in so long.
const MOST: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(crate) struct Settling {
    /// Set while a thread waits.
    running: bool,
    /// When the last layer came.
    last: Option<Instant>,
}

impl Store {
    /// All unpacked layers that are in the store are on the disk then.
    pub fn settle(&self) -> Result<()> {
        let made = {
            let state = self.state.lock();
            let made = state.unsettled.iter().filter_map(|(chain, how)| match how {
                Unsettled::Made(made) => Some((chain.clone(), made.clone())),
                Unsettled::Refused => None,
            });
            made.collect::<Vec<_>>()
        };
        if !made.is_empty() {
            // Who finds a layer on the disk must find its blob there.
            self.sync_blobs()?;
            let synced = rustix::fs::syncfs(&self.filesystem);
            self.step("layers-synced");
            self.settled(made, synced.map_err(Into::into));
        }
        let state = self.state.lock();
        let refused = state
            .unsettled
            .iter()
            .find(|(_, how)| matches!(how, Unsettled::Refused));
        match refused {
            Some((chain, _)) => {
                let why =
                    io::Error::other("the disk refused it; it will be unpacked again at the next start");
                Err(Error::storage(
                    "bring to the disk layer",
                    &self.paths.layer(chain),
                    why,
                ))
            }
            None => Ok(()),
        }
    }

    /// Tells of layers that they are on the disk, so that it is known after a power cut, or that they may never be: a second
    /// sync would succeed without them.
    fn settled(&self, layers: Vec<(Digest, Arc<()>)>, synced: io::Result<()>) {
        for (chain, made) in layers {
            let directory = self.paths.layer(&chain);
            let (before, after) = (directory.join(UNSETTLED), directory.join(SETTLED));
            // It may have been collected since, and even have come again.
            let same = |state: &State| {
                let now = state.unsettled.get(&chain);
                matches!(now, Some(Unsettled::Made(now)) if Arc::ptr_eq(now, &made))
            };
            let told = {
                let state = self.state.lock();
                match &synced {
                    _ if !same(&state) => continue,
                    Ok(()) => fs::rename(&before, &after),
                    Err(error) => {
                        let _ = fs::remove_file(&before);
                        Err(io::Error::new(error.kind(), error.to_string()))
                    }
                }
            };
            let told = told.and_then(|()| File::open(&directory)?.sync_all());
            let mut state = self.state.lock();
            if same(&state) {
                match told {
                    Ok(()) => drop(state.unsettled.remove(&chain)),
                    Err(error) => {
                        tracing::warn!("layer {chain} will be unpacked again at the next start: {error}");
                        state.unsettled.insert(chain, Unsettled::Refused);
                    }
                }
            }
            drop(state);
            self.step("layer-settled");
        }
    }

    /// The same after a while.
    pub(super) fn settle_soon(self: &Arc<Self>) {
        let mut settling = self.settling.lock();
        settling.last = Some(Instant::now());
        if settling.running {
            return;
        }
        let store = Arc::downgrade(self);
        let work = move || {
            let began = Instant::now();
            let mut pause = QUIET;
            loop {
                thread::sleep(pause);
                // A store that is gone is not waited for.
                let Some(store) = store.upgrade() else { return };
                match store.settling.lock().left(began) {
                    Some(left) => pause = left,
                    None => {
                        if let Err(error) = store.settle() {
                            tracing::warn!("layers are not known to be on the disk: {error}");
                        }
                        return;
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("images-settle".into()).spawn(work);
        // Without a thread the next one does it.
        settling.running = thread.is_ok();
    }
}

impl Settling {
    /// How long to wait still, of a thread that began then. When there is nothing to wait for, layers that come from now on
    /// get a thread of their own.
    fn left(&mut self, began: Instant) -> Option<Duration> {
        let quiet = self.last.and_then(|last| QUIET.checked_sub(last.elapsed()));
        let most = MOST.checked_sub(began.elapsed());
        let left = quiet.zip(most).map(|(quiet, most)| quiet.min(most));
        let left = left.filter(|left| !left.is_zero());
        self.running = left.is_some();
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use crate::manifest::{Descriptor, OCI_LAYER};
    use crate::store::layers::Place;
    use crate::store::records::{FORMAT, ImageRecord};
    use crate::store::state::Entry;
    use crate::store::{BlobWriter, Names};
    use crate::unpack::Warm;

    fn opened(root: &Path) -> Arc<Store> {
        Store::open(root, None).expect("store")
    }

    /// An image of one empty layer, as it is made.
    fn image(store: &Arc<Store>) -> Arc<Entry> {
        let tar = [0; 1024];
        let diff_id = Digest::of(&tar);
        let raw = format!(
            r#"{{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
        );
        let id = store.put_blob(raw.as_bytes()).expect("blob");
        let mut writer = BlobWriter::new(store).expect("writer");
        std::io::Write::write_all(&mut writer, &tar).expect("write");
        writer.store(store, None).expect("blob");
        let blob = Descriptor::new(OCI_LAYER, diff_id.clone(), 1024);
        let chain = diff_id.clone();
        let place = Place {
            diff_id,
            chain: chain.clone(),
            parent: None,
        };
        let layer = store
            .unpack(&blob, Some(&place), &Warm::default(), |_| {})
            .expect("unpack");
        store.register(layer).expect("register");
        let record = ImageRecord {
            format: FORMAT,
            id: id.clone(),
            manifest: Descriptor::new(OCI_LAYER, id.clone(), raw.len() as u64),
            layers: vec![chain],
            packed: Vec::new(),
            parent: None,
            added: crate::config::now(),
        };
        store
            .commit(record, raw.into_bytes(), &Names::default())
            .expect("commit");
        store.state.lock().images[&id].clone()
    }

    #[test]
    fn what_the_disk_refused_is_never_said_to_be_there_and_not_taken_from_containers() {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("dir");
        let store = opened(folder.path());
        let image = image(&store);
        let chain = image.record.layers[0].clone();
        let place = store.paths.layer(&chain);
        store
            .state
            .lock()
            .snapshots
            .insert("c1".into(), Some(chain.clone()));
        let made = match &store.state.lock().unsettled[&chain] {
            Unsettled::Made(made) => made.clone(),
            Unsettled::Refused => panic!("nobody refused it yet"),
        };
        let refused = Err(io::Error::other("refused"));
        store.settled(vec![(chain.clone(), made)], refused);
        for _ in 0..2 {
            assert!(store.settle().is_err(), "a second sync says nothing about it");
            assert!(!place.join(SETTLED).exists() && !place.join(UNSETTLED).exists());
            assert!(
                store.forget(&image.record.id).is_err(),
                "its container has nothing else"
            );
        }
        std::os::unix::fs::symlink(chain.as_str(), {
            let key = store.paths.snapshots.join("c1");
            fs::create_dir(&key).expect("dir");
            key.join("base")
        })
        .expect("base");
        let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(place.join("diff")).expect("layer"));
        let before = inode();
        drop(store);
        // It was whole, as is seen when it is made again: the container has it still.
        let store = opened(folder.path());
        assert_eq!(inode(), before);
        store.settle().expect("settle");
        assert!(place.join(SETTLED).exists());
    }
}
