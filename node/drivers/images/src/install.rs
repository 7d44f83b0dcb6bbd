//! From a configuration and blobs to a listed image: what pull, load and import have in common.

use std::sync::Arc;

use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio_util::task::AbortOnDropHandle;

use crate::config::{self, ConfigFile};
use crate::digest::{Digest, chain_ids};
use crate::error::{Error, Result};
use crate::images::Images;
use crate::manifest::{Descriptor, Manifest, OCI_CONFIG, OCI_MANIFEST};
use crate::progress::Sink;
use crate::store::records::{FORMAT, ImageRecord};
use crate::store::{Lease, Place, Store, Unpacked};

/// Layers unpacked at a time in one operation: more only fight for the disk.
const UNPACKS_MAX: usize = 3;
/// Bytes between two reports of progress.
const REPORT_EVERY: u64 = 512 * 1024;

/// An image on its way in. The configuration is parsed and its digest checked.
pub(crate) struct Incoming {
    pub id: Digest,
    pub raw_config: Vec<u8>,
    pub config: ConfigFile,
    /// As the manifest lists them, bottom first.
    pub layers: Vec<Descriptor>,
    /// Already in the store and pinned.
    pub manifest: Descriptor,
    pub index: Option<Descriptor>,
    /// Other blobs to be kept with it, in the store and pinned.
    pub beside: Vec<Digest>,
}

/// Gets a layer's blob into the store, if it is not there.
pub(crate) trait Fetch: Send + Sync + 'static {
    fn fetch(&self, layer: &Descriptor) -> impl Future<Output = Result<()>> + Send;
}

impl Images {
    /// Unpacks the layers that are not there, fetching them as needed, and writes the image down.
    pub(crate) async fn install(
        &self,
        lease: &mut Lease,
        image: Incoming,
        fetch: Arc<impl Fetch>,
        report: Report,
    ) -> Result<()> {
        if !matches!(image.config.os.as_str(), "" | "linux") {
            return Err(Error::InvalidParameter(format!(
                "image operating system {:?} cannot be used on this platform",
                image.config.os
            )));
        }
        let diff_ids = &image.config.rootfs.diff_ids;
        if diff_ids.len() != image.layers.len() {
            return Err(Error::Corrupt(format!(
                "the image's configuration has {} layers, its manifest {}",
                diff_ids.len(),
                image.layers.len()
            )));
        }
        let chains = chain_ids(diff_ids);
        let unpacks = Arc::new(Semaphore::new(UNPACKS_MAX));
        let mut jobs: Vec<Option<Job>> = Vec::new();
        for (at, (layer, chain)) in image.layers.iter().zip(&chains).enumerate() {
            let turn = self.flights.lock(chain).await;
            lease.pin(chain);
            lease.pin(&layer.digest);
            if self.store.has_layer(chain) {
                report.status(layer, "Already exists").await;
                jobs.push(None);
                continue;
            }
            report.status(layer, "Pulling fs layer").await;
            let parent = at.checked_sub(1).map(|below| chains[below].clone());
            let place = Place {
                diff_id: diff_ids[at].clone(),
                chain: chain.clone(),
                parent,
            };
            let (store, layer, fetch) = (self.store.clone(), layer.clone(), fetch.clone());
            let (unpacks, report) = (unpacks.clone(), report.clone());
            let work = async move {
                fetch.fetch(&layer).await?;
                let _permit = unpacks.acquire_owned().await;
                unpack(store, layer, place, report).await
            };
            jobs.push(Some(Job {
                work: AbortOnDropHandle::new(tokio::spawn(work)),
                _turn: turn,
            }));
        }
        let mut at = 0;
        while at < jobs.len() {
            let (mut ready, first) = (Vec::new(), at);
            // The first that is missing is waited for, others above it are taken along if they are done.
            while let Some(job) = jobs.get_mut(at) {
                if let Some(job) = job {
                    if !ready.is_empty() && !job.work.is_finished() {
                        break;
                    }
                    ready.push(
                        (&mut job.work)
                            .await
                            .map_err(|e| Error::Unreachable(e.to_string()))??,
                    );
                }
                at += 1;
            }
            let done: Vec<_> = (first..at).filter(|&n| jobs[n].is_some()).collect();
            self.blocking(move |store| store.register(ready)).await?;
            for n in done {
                jobs[n] = None;
                report.status(&image.layers[n], "Pull complete").await;
            }
        }
        let record = ImageRecord {
            format: FORMAT,
            id: image.id,
            manifest: image.manifest,
            index: image.index,
            beside: image.beside,
            layers: chains,
            added: config::now(),
        };
        self.blocking(move |store| store.commit(record, image.raw_config))
            .await
    }
}

/// How layers are spoken of: a pull names every stage, a load only the unpacking.
#[derive(Debug, Clone)]
pub(crate) enum Report {
    Pull(Sink),
    Load(Sink),
    Silent,
}

impl Report {
    async fn status(&self, layer: &Descriptor, status: &str) {
        if let Report::Pull(sink) = self {
            sink.status(layer.digest.short(), status).await;
        }
    }

    fn extracting(&self, id: &str, done: u64, total: u64) {
        match self {
            Report::Pull(sink) => sink.count(id, "Extracting", done, Some(total)),
            Report::Load(sink) => sink.count(id, "Loading layer", done, Some(total)),
            Report::Silent => {}
        }
    }
}

struct Job {
    work: AbortOnDropHandle<Result<Unpacked>>,
    /// Others that need this layer wait until it is registered or given up.
    _turn: OwnedMutexGuard<()>,
}

async fn unpack(store: Arc<Store>, layer: Descriptor, place: Place, how: Report) -> Result<Unpacked> {
    let id = layer.digest.short().to_owned();
    let (mut reported, layer_size) = (0, layer.size);
    let report = move |read: u64| {
        if read >= reported + REPORT_EVERY || (read == layer_size && read > reported) {
            reported = read;
            how.extracting(&id, read, layer_size);
        }
    };
    let blob = layer.clone();
    let work = tokio::task::spawn_blocking(move || store.unpack(&blob, Some(&place), report));
    work.await
        .map_err(|e| Error::Corrupt(format!("unpacking layer {} stopped: {e}", layer.digest)))?
}

/// The manifest of an image that came without one, and its text.
pub(crate) fn manifest_of(id: &Digest, config: &[u8], layers: &[Descriptor]) -> Result<(Manifest, Vec<u8>)> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: OCI_MANIFEST.to_owned(),
        config: Descriptor::new(OCI_CONFIG, id.clone(), config.len() as u64),
        layers: layers.to_vec(),
    };
    let text =
        serde_json::to_vec(&manifest).map_err(|e| Error::Corrupt(format!("cannot encode manifest: {e}")))?;
    Ok((manifest, text))
}
