//! One blob's way to the registry: found there, mounted from another repository, or sent.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use http::Uri;
use tokio::sync::mpsc;

use super::pack;
use super::plan::Content;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::images::Images;
use crate::manifest::{Descriptor, OCI_LAYER};
use crate::progress::Sink;
use crate::reference::Reference;
use crate::registry::{Mounted, Session};
use crate::store::{BlobWriter, Spooled, Store};

const CHUNK: usize = 128 * 1024;
/// Chunks on their way from the disk.
const CHUNKS: usize = 8;
/// Bytes between two reports of progress.
const REPORT_EVERY: u64 = 512 * 1024;
/// Repositories that are tried to mount from.
const MOUNTS_MAX: usize = 3;

pub(super) struct Upload {
    pub images: Images,
    pub session: Arc<Session>,
    pub repository: Reference,
    pub sink: Sink,
}

/// Bytes to be sent: a blob of the store, or one that was packed for this.
#[derive(Clone)]
enum Bits {
    Stored(Descriptor),
    Packed(Descriptor, Arc<Spooled>),
}

impl Upload {
    /// Returns what is there then.
    pub async fn run(&self, content: Content) -> Result<Descriptor> {
        let id = &content.label;
        let registries = self.images.registries();
        if self.images.uploads.available_permits() == 0 {
            self.sink.status(id, "Waiting").await;
        }
        let _permit = self.images.uploads.acquire().await;
        // Layers of other pushes may be the same.
        let known = match &content.pack {
            Some(diff_id) => self.images.store.known.packed(diff_id),
            None => Some(content.blob.clone()),
        };
        if let Some(blob) = known {
            let found = self.elsewhere(id, &blob).await?;
            if found {
                self.remember(&blob.digest);
                return Ok(blob);
            }
        }
        let bits = self.bits(&content).await?;
        let blob = bits.descriptor().clone();
        // Packed just now, it may turn out to be what the registry has.
        if content.pack.is_some() && self.elsewhere(id, &blob).await? {
            self.remember(&blob.digest);
            return Ok(blob);
        }
        let mut attempt = 1;
        loop {
            match self.send(id, &bits).await {
                Ok(()) => break,
                Err(error @ Error::Unreachable(_)) if attempt < registries.attempts_max => {
                    tracing::debug!("blob {}: try {attempt} failed: {error}", blob.digest);
                    let delay = registries.retry_delay * attempt;
                    let seconds = crate::pull::seconds(delay);
                    self.sink.status(id, format!("Retrying in {seconds}")).await;
                    tokio::time::sleep(delay).await;
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
        self.remember(&blob.digest);
        self.sink.status(id, "Pushed").await;
        Ok(blob)
    }

    fn remember(&self, blob: &Digest) {
        let repository = self.repository.repository();
        self.images.store.known.set_place(blob, &repository);
    }

    /// Whether the blob is in the repository, or in another one of the registry from which it can be mounted.
    async fn elsewhere(&self, id: &str, blob: &Descriptor) -> Result<bool> {
        if self.session.has(blob).await? {
            self.sink.status(id, "Layer already exists").await;
            return Ok(true);
        }
        let (domain, own) = (self.repository.domain(), self.repository.path());
        let places = self.images.store.known.places(&blob.digest, domain);
        let places = places.into_iter().filter(|place| place != own);
        for place in places.take(MOUNTS_MAX) {
            match self.session.begin(Some(&blob.digest), Some(&place)).await {
                Ok(Mounted::Yes) => {
                    let short = place.strip_prefix("library/").unwrap_or(&place);
                    self.sink.status(id, format!("Mounted from {short}")).await;
                    return Ok(true);
                }
                // The upload that it began instead is let go: the registry forgets it.
                Ok(Mounted::No(_)) => {}
                Err(error) => tracing::debug!("cannot mount {} from {place}: {error}", blob.digest),
            }
        }
        Ok(false)
    }

    async fn bits(&self, content: &Content) -> Result<Bits> {
        let Some(diff_id) = content.pack.clone() else {
            return Ok(Bits::Stored(content.blob.clone()));
        };
        let _one = self.images.packs.acquire().await;
        let (source, sink, id) = (content.blob.clone(), self.sink.clone(), content.label.clone());
        self.images
            .blocking(move |store| {
                let packed = packed(store, &source, |done| {
                    sink.count(&id, "Pushing", done, Some(source.size));
                })?;
                let blob = Descriptor::new(&format!("{OCI_LAYER}+gzip"), packed.digest.clone(), packed.size);
                store.known.set_packed(&diff_id, &blob);
                Ok(Bits::Packed(blob, Arc::new(packed)))
            })
            .await
    }

    async fn send(&self, id: &str, bits: &Bits) -> Result<()> {
        let place = match self.session.begin(None, None).await? {
            Mounted::No(place) => place,
            Mounted::Yes => return Ok(()),
        };
        self.stream(id, place, bits).await
    }

    async fn stream(&self, id: &str, place: Uri, bits: &Bits) -> Result<()> {
        let blob = bits.descriptor().clone();
        let (to, from) = mpsc::channel(CHUNKS);
        let (sink, label, bits, total) = (self.sink.clone(), id.to_owned(), bits.clone(), blob.size);
        let reading = self.images.blocking(move |store| {
            let mut file = bits.open(store)?.take(total);
            let (mut done, mut reported) = (0, 0);
            loop {
                let mut chunk = vec![0; CHUNK];
                let count = match file.read(&mut chunk) {
                    Ok(0) => return Ok(()),
                    Ok(count) => count,
                    Err(error) => {
                        let _ = to.blocking_send(Err(error));
                        return Ok(());
                    }
                };
                chunk.truncate(count);
                if to.blocking_send(Ok(Bytes::from(chunk))).is_err() {
                    return Ok(());
                }
                done += count as u64;
                if done >= reported + REPORT_EVERY || done == total {
                    reported = done;
                    sink.count(&label, "Pushing", done, Some(total));
                }
            }
        });
        let (read, sent) = tokio::join!(reading, self.session.send(place, &blob, from));
        sent.and(read)
    }
}

impl Bits {
    fn descriptor(&self) -> &Descriptor {
        match self {
            Bits::Stored(blob) | Bits::Packed(blob, _) => blob,
        }
    }

    fn open(&self, store: &Store) -> Result<std::fs::File> {
        match self {
            Bits::Stored(blob) => store.open_blob(&blob.digest),
            Bits::Packed(_, spooled) => spooled.open(),
        }
    }
}

/// The layer packed, beside the store: its own bytes stay, since they are what its digest is of.
fn packed(store: &Store, layer: &Descriptor, report: impl FnMut(u64)) -> Result<Spooled> {
    let source = store.open_blob(&layer.digest)?;
    let mut target = BlobWriter::new(store)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut counted = Counted {
        source,
        done: 0,
        report,
    };
    let done = pack::gzip(&mut counted, &mut target, threads);
    done.map_err(|e| Error::storage("pack a layer to", target.path(), e))?;
    target.finish()
}

struct Counted<R, F> {
    source: R,
    done: u64,
    report: F,
}

impl<R: Read, F: FnMut(u64)> Read for Counted<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.done += count as u64;
        (self.report)(self.done);
        Ok(count)
    }
}
