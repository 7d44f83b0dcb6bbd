//! The handle that everybody holds.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::Semaphore;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::flights::Flights;
use crate::image::Image;
use crate::peers::Company;
use crate::registry::{RegistryConfig, Ways};
use crate::store::state::Entry;
use crate::store::{FaultHook, Store};

/// A cheap handle on the images of one data root.
#[derive(Debug, Clone)]
pub struct Images {
    pub(crate) store: Arc<Store>,
    registries: Arc<RwLock<(Arc<RegistryConfig>, Arc<Ways>)>>,
    /// Layers being made part of the store, by chain id.
    pub(crate) flights: Arc<Flights>,
    /// Blobs being downloaded, by digest.
    pub(crate) fetches: Arc<Flights>,
    pub(crate) downloads: Arc<Semaphore>,
    pub(crate) uploads: Arc<Semaphore>,
    /// Packing a layer keeps all processors busy: one at a time.
    pub(crate) packs: Arc<Semaphore>,
    /// Other nodes that pull the same, for the pulls of this handle.
    pub(crate) company: Option<Arc<Company>>,
}

impl Images {
    /// Opens the store, recovering from whatever the last run left half done. Blocks for as long as reading the
    /// records takes; deleting what is left over goes on in the background.
    pub fn open(data_root: &Path, registries: RegistryConfig) -> Result<Images> {
        Images::open_with_faults(data_root, registries, None)
    }

    /// The same, telling `fault` the name of each step that a crash could follow.
    pub fn open_with_faults(
        data_root: &Path,
        registries: RegistryConfig,
        fault: Option<FaultHook>,
    ) -> Result<Images> {
        Ok(Images {
            store: Store::open(data_root, fault)?,
            downloads: Arc::new(Semaphore::new(registries.downloads_max.max(1))),
            uploads: Arc::new(Semaphore::new(registries.uploads_max.max(1))),
            packs: Arc::new(Semaphore::new(1)),
            registries: Arc::new(RwLock::new((Arc::new(registries), Arc::default()))),
            flights: Arc::default(),
            fetches: Arc::default(),
            company: None,
        })
    }

    /// All layers that are here are on the disk then, which they come to by themselves after a while. For who goes down: the
    /// next start may be that of another kernel, and would unpack them again.
    pub async fn settle(&self) -> Result<()> {
        self.blocking(|store| store.settle()).await
    }

    /// How registries are spoken to from the next call on. The number of downloads at a time stays.
    pub fn set_registries(&self, registries: RegistryConfig) {
        *self.registries.write() = (Arc::new(registries), Arc::default());
    }

    /// How registries are spoken to now.
    pub fn registries(&self) -> Arc<RegistryConfig> {
        self.registries.read().0.clone()
    }

    /// The same, and what is known of those that were asked last.
    pub(crate) fn ways(&self) -> (Arc<RegistryConfig>, Arc<Ways>) {
        self.registries.read().clone()
    }

    /// Every image, newest first; those of other platforms that came under the same names not by themselves.
    pub fn list(&self) -> Vec<Image> {
        let state = self.store.state.lock();
        let beside = state.beside();
        let mut images: Vec<_> = state
            .images
            .values()
            .filter(|entry| !beside.contains(&entry.record.id))
            .map(|e| state.image(&self.store.paths, e))
            .collect();
        images.sort_by(|a, b| b.created_unix.cmp(&a.created_unix).then_with(|| a.id.cmp(&b.id)));
        images
    }

    /// Ids of images that are here and all names that mean them, of those first that were named last; so many at most.
    pub fn newest_names(&self, max: usize) -> Vec<String> {
        let state = self.store.state.lock();
        let mut named: HashMap<&Digest, &str> = HashMap::new();
        for tagged in state.references.tags.values() {
            let at = named.entry(&tagged.id).or_default();
            *at = (*at).max(&tagged.at);
        }
        let entries = state.images.values().map(|entry| &entry.record);
        let mut newest: Vec<_> = entries
            .map(|record| {
                (
                    named.get(&record.id).copied().unwrap_or(&record.added),
                    &record.id,
                )
            })
            .collect();
        newest.sort_unstable_by(|a, b| b.cmp(a));
        let mut names = Vec::new();
        for (_, id) in newest {
            names.push(id.to_string());
            names.extend(state.meanings_of(id).map(|meaning| meaning.name.to_owned()));
            if names.len() >= max {
                break;
            }
        }
        names.truncate(max);
        names
    }

    /// Ids of the images that an image's names stand for, itself included: one for each platform.
    pub fn platforms(&self, image: &Image) -> Vec<String> {
        let state = self.store.state.lock();
        let mut ids = vec![image.id.clone()];
        for index in &image.indexes {
            for variant in state.variants(&index.digest) {
                if !ids.iter().any(|id| id == variant.id().as_str()) {
                    ids.push(variant.id().to_string());
                }
            }
        }
        ids
    }

    /// Ids of the images that were committed on these, and on those in turn.
    pub fn descendants(&self, ids: &[String]) -> Vec<String> {
        let state = self.store.state.lock();
        let mut found: Vec<Digest> = ids.iter().filter_map(|id| Digest::parse(id).ok()).collect();
        let own = found.len();
        let mut at = 0;
        while let Some(parent) = found.get(at).cloned() {
            for (id, entry) in &state.images {
                if entry.record.parent.as_ref() == Some(&parent) && !found.contains(id) {
                    found.push(id.clone());
                }
            }
            at += 1;
        }
        found.drain(own..).map(|id| id.to_string()).collect()
    }

    /// Bytes of the layers of all these images, each layer once.
    pub fn unpacked_size(&self, ids: &[String]) -> u64 {
        let state = self.store.state.lock();
        let entries = ids
            .iter()
            .filter_map(|id| state.images.get(&Digest::parse(id).ok()?));
        let chains: HashSet<&Digest> = entries.flat_map(|entry| &entry.record.layers).collect();
        let layers = chains.into_iter().filter_map(|chain| state.layers.get(chain));
        layers.map(|layer| layer.size).sum()
    }

    /// Bytes of these images' layers that other images have too, each layer once.
    pub fn shared_size(&self, ids: &[String]) -> u64 {
        let state = self.store.state.lock();
        let own = |id: &Digest| ids.iter().any(|other| other == id.as_str());
        let (these, others): (Vec<_>, Vec<_>) =
            state.images.values().partition(|entry| own(&entry.record.id));
        let chains = |entries: Vec<&Arc<Entry>>| -> HashSet<Digest> {
            entries
                .into_iter()
                .flat_map(|entry| entry.record.layers.clone())
                .collect()
        };
        let (these, others) = (chains(these), chains(others));
        let shared = these
            .intersection(&others)
            .filter_map(|chain| state.layers.get(chain));
        shared.map(|layer| layer.size).sum()
    }

    /// Bytes of all unpacked layers, each once.
    pub fn layers_size(&self) -> u64 {
        self.store
            .state
            .lock()
            .layers
            .values()
            .map(|layer| layer.size)
            .sum()
    }

    /// Runs blocking work of the store off the async threads.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Store>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.store.clone();
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(result) => result,
            Err(failed) => {
                let error = std::io::Error::other(failed.to_string());
                Err(Error::storage("work in", &self.store.paths.records, error))
            }
        }
    }
}
