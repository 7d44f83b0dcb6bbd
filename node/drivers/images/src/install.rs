//! From a configuration and blobs to a listed image: what pull, load and import have in common.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, MaybeDone, maybe_done};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio_util::task::AbortOnDropHandle;

use crate::config::{self, ConfigFile};
use crate::digest::{Digest, chain_ids};
use crate::error::{Error, Result};
use crate::images::Images;
use crate::manifest::{Descriptor, Manifest, OCI_CONFIG, OCI_MANIFEST};
use crate::progress::Sink;
use crate::store::records::{FORMAT, ImageRecord};
use crate::store::{Bringing, Growing, GrowingReader, Lease, Loose, Moved, Names, Place, Store, Unpacked};
use crate::unpack::Warm;

/// Layers unpacked at a time in one operation: more only fight for the disk.
const UNPACKS_MAX: usize = 3;
/// Layers that come at a time where other nodes bring the same: as many as are unpacked while they come. One that came
/// before its turn would be read from the disk again, by this node and by those who have it from here.
const STEPS_MAX: usize = UNPACKS_MAX;
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
}

/// Gets a layer's blob into the store, if it is not there. One that comes slowly may be shown while it comes.
pub(crate) trait Fetch: Send + Sync + 'static {
    fn fetch(&self, layer: &Descriptor, growing: &Growing) -> impl Future<Output = Result<()>> + Send;

    /// Whether others bring the same layers at the same time, in the same order.
    fn in_company(&self) -> bool {
        false
    }

    /// What came of unpacking it before it was known what it is, if that was done.
    fn unpacked(&self, _layer: &Descriptor) -> impl Future<Output = Option<Result<Loose>>> + Send {
        async { None }
    }
}

impl Images {
    /// Unpacks the layers that are not there, fetching them as needed, and writes the image and its names down.
    pub(crate) async fn install(
        &self,
        lease: &mut Lease,
        image: Incoming,
        names: Names,
        fetch: Arc<impl Fetch>,
        report: Report,
    ) -> Result<Moved> {
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
        let warm = Warm::default();
        let steps = fetch.in_company().then(|| Arc::new(Semaphore::new(STEPS_MAX)));
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
            let unpacking = Unpacking {
                store: self.store.clone(),
                layer: layer.clone(),
                place,
                report: report.clone(),
                turns: unpacks.clone(),
                warm: warm.clone(),
            };
            let step = Step::after_others(steps.clone()).await;
            let work = unpacking.run(fetch.clone(), step);
            jobs.push(Some(Job {
                work: AbortOnDropHandle::new(tokio::spawn(work)),
                _turn: turn,
            }));
        }
        for (layer, job) in image.layers.iter().zip(jobs) {
            let Some(job) = job else { continue };
            let unpacked = job.work.await.map_err(|e| Error::Unreachable(e.to_string()))??;
            self.blocking(move |store| store.register(unpacked)).await?;
            report.status(layer, "Pull complete").await;
        }
        let record = ImageRecord {
            format: FORMAT,
            id: image.id,
            manifest: image.manifest,
            layers: chains,
            packed: Vec::new(),
            parent: None,
            added: config::now(),
        };
        self.blocking(move |store| store.commit(record, image.raw_config, &names))
            .await
    }
}

/// The right of a layer to come, where only so many come at a time.
struct Step(Option<Pin<Box<MaybeDone<Acquire>>>>);

type Acquire = BoxFuture<'static, Option<OwnedSemaphorePermit>>;

impl Step {
    /// Whoever is here first is let through first, whoever is waited for first: nodes that bring the same layers must not
    /// wait for each other with all the steps that they have.
    async fn after_others(steps: Option<Arc<Semaphore>>) -> Step {
        let Some(steps) = steps else {
            return Step(None);
        };
        let acquire: Acquire = async move { steps.acquire_owned().await.ok() }.boxed();
        let mut acquire = Box::pin(maybe_done(acquire));
        // Its place in the queue is taken when it is asked for the first time.
        poll_fn(|cx| {
            let _ = acquire.as_mut().poll(cx);
            Poll::Ready(())
        })
        .await;
        Step(Some(acquire))
    }

    async fn taken(self) -> Option<OwnedSemaphorePermit> {
        let mut acquire = self.0?;
        acquire.as_mut().await;
        acquire.as_mut().take_output().flatten()
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

/// One layer on its way from a blob to its place.
#[derive(Clone)]
struct Unpacking {
    store: Arc<Store>,
    layer: Descriptor,
    place: Place,
    report: Report,
    turns: Arc<Semaphore>,
    warm: Warm,
}

impl Unpacking {
    /// Unpacks while the blob comes. What came of it counts only if the blob turns out to be what it should.
    async fn run(self, fetch: Arc<impl Fetch>, step: Step) -> Result<Unpacked> {
        if let Some(early) = fetch.unpacked(&self.layer).await {
            let done = early?.placed(&self.layer, Some(&self.place))?;
            let size = self.layer.size;
            self.report.extracting(self.layer.digest.short(), size, size);
            return Ok(done);
        }
        let growing = Growing::new(self.layer.size);
        let bringing = Bringing(growing.clone());
        let _arriving = self.store.arriving.enter(&self.layer.digest, &growing);
        let fetched = async {
            // Not held while it is unpacked: a node with a slow disk is not to hold up the others.
            let _taken = step.taken().await;
            let fetched = fetch.fetch(&self.layer, &growing).await;
            growing.end(fetched.is_ok());
            drop(bringing);
            fetched
        };
        let early = async {
            let reader = growing.begun().await?;
            let _turn = self.turns.clone().acquire_owned().await;
            let shown = growing.clone();
            Some(self.unpack(Some(reader), move || shown.has_ended()).await)
        };
        let (fetched, early) = tokio::join!(fetched, early);
        fetched?;
        match early {
            Some(done) if !growing.is_spoiled() => done,
            _ => {
                let _turn = self.turns.clone().acquire_owned().await;
                self.unpack(None, || true).await
            }
        }
    }

    /// From a blob that is coming, or from the store's. Its progress is told from when `tell` says so: one line is all
    /// that a layer has, and its coming is told there first.
    async fn unpack(
        &self,
        source: Option<GrowingReader>,
        tell: impl Fn() -> bool + Send + 'static,
    ) -> Result<Unpacked> {
        let id = self.layer.digest.short().to_owned();
        let (mut reported, size, how) = (0, self.layer.size, self.report.clone());
        let report = move |read: u64| {
            if (read >= reported + REPORT_EVERY || (read == size && read > reported)) && tell() {
                reported = read;
                how.extracting(&id, read, size);
            }
        };
        let (store, blob, place) = (self.store.clone(), self.layer.clone(), self.place.clone());
        let warm = self.warm.clone();
        let work = tokio::task::spawn_blocking(move || match source {
            Some(source) => store
                .unpack_coming(source, &warm, report)?
                .placed(&blob, Some(&place)),
            None => store.unpack(&blob, Some(&place), &warm, report),
        });
        let stopped = |e| Error::Corrupt(format!("unpacking layer {} stopped: {e}", self.layer.digest));
        work.await.map_err(stopped)?
    }
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
