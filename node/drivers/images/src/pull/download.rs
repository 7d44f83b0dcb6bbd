//! Blobs on their way from a registry to the store.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::error::{Error, Result};
use crate::images::Images;
use crate::install::Fetch;
use crate::manifest::Descriptor;
use crate::peers::Turn;
use crate::progress::Sink;
use crate::registry::{Part, Session};
use crate::store::{BlobWriter, Growing, Store};

use super::seconds;

/// Chunks on their way to the disk, and bytes of them: a plain connection gives 400 KiB at a time, one with TLS 16.
const CHUNKS: usize = 64;
const BYTES: usize = 1 << 20;
/// Bytes between two reports of progress.
const REPORT_EVERY: u64 = 256 * 1024;

/// Brings layers from a registry.
pub(super) struct Download {
    pub images: Images,
    pub session: Arc<Session>,
    pub sink: Sink,
}

impl Fetch for Download {
    fn in_company(&self) -> bool {
        self.images.company.is_some()
    }

    async fn fetch(&self, layer: &Descriptor, growing: &Growing) -> Result<()> {
        let id = layer.digest.short();
        // Another pull may be fetching the same.
        let _alone = self.images.fetches.lock(&layer.digest).await;
        if self.images.store.has_blob(&layer.digest) {
            self.sink.status(id, "Download complete").await;
            return Ok(());
        }
        if self.images.downloads.available_permits() == 0 {
            self.sink.status(id, "Waiting").await;
        }
        let turn = match &self.images.company {
            Some(company) => company.bring(&self.images, layer, growing).await?,
            None => Some((Turn::alone(&self.images).await, None)),
        };
        let Some((_turn, begun)) = turn else {
            self.sink.status(id, "Download complete").await;
            return Ok(());
        };
        // What other nodes gave of it may be wrong, which is seen at the end.
        let mut theirs = begun.is_some();
        let mut writer = match begun {
            Some(writer) => writer,
            None => {
                let shown = growing.clone();
                let writer = move |store: &Arc<Store>| BlobWriter::new(store)?.coming(&shown);
                self.images.blocking(writer).await?
            }
        };
        let config = self.images.registries();
        let mut attempt = 1;
        loop {
            let (back, outcome) = self.attempt(layer, writer).await?;
            writer = back;
            match outcome {
                Ok(()) if theirs && writer.check(layer).is_err() => {
                    theirs = false;
                    let anew = self.images.blocking(move |_| writer.anew());
                    writer = anew.await?;
                }
                Ok(()) => break,
                Err(error @ Error::Unreachable(_)) if attempt < config.attempts_max => {
                    tracing::debug!("layer {}: try {attempt} failed: {error}", layer.digest);
                    let delay = config.retry_delay * attempt;
                    self.sink
                        .status(id, format!("Retrying in {}", seconds(delay)))
                        .await;
                    tokio::time::sleep(delay).await;
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
        self.sink.status(id, "Verifying Checksum").await;
        let promised = layer.clone();
        self.images
            .blocking(move |store| writer.store(store, Some(&promised)).map(drop))
            .await?;
        self.sink.status(id, "Download complete").await;
        Ok(())
    }
}

impl Download {
    /// The same without a word.
    pub fn quiet(&self) -> Download {
        Download {
            images: self.images.clone(),
            session: self.session.clone(),
            sink: Sink::none(),
        }
    }

    /// Goes on where the last try stopped. Fails outright only if the disk does.
    async fn attempt(&self, layer: &Descriptor, writer: BlobWriter) -> Result<(BlobWriter, Result<()>)> {
        let part = match self.session.blob(&layer.digest, writer.size()).await {
            Ok(part) => part,
            Err(error) => return Ok((writer, Err(error))),
        };
        let (send, receive) = toward(CHUNKS, BYTES);
        let from = part.from;
        let writing = self.images.blocking(move |_| write(writer, from, receive));
        let (writer, received) = tokio::join!(writing, self.receive(layer, part, send));
        Ok((writer?, received))
    }

    async fn receive(&self, layer: &Descriptor, mut part: Part, send: Toward) -> Result<()> {
        let id = layer.digest.short();
        let (mut have, mut reported) = (part.from, part.from);
        while let Some(chunk) = part.chunk().await? {
            have += chunk.len() as u64;
            if let Some(company) = &self.images.company {
                company.count(chunk.len());
            }
            if have > layer.size {
                return Err(Error::Corrupt(format!(
                    "layer {} is larger than promised",
                    layer.digest
                )));
            }
            if have >= reported + REPORT_EVERY || have == layer.size {
                reported = have;
                self.sink.count(id, "Downloading", have, Some(layer.size));
            }
            if !send.send(chunk).await {
                // The disk failed; the writer says how.
                return Ok(());
            }
        }
        match have == layer.size {
            true => Ok(()),
            false => Err(Error::Unreachable(format!(
                "layer {} ended after {have} of {} bytes: unexpected EOF",
                layer.digest, layer.size
            ))),
        }
    }
}

/// Chunks on their way to the disk.
pub(crate) type Chunks = mpsc::Receiver<(Bytes, OwnedSemaphorePermit)>;

/// What they are given to.
pub(crate) struct Toward {
    chunks: mpsc::Sender<(Bytes, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    bytes_max: usize,
}

/// So many chunks at most are on their way, and so many bytes.
pub(crate) fn toward(chunks_max: usize, bytes_max: usize) -> (Toward, Chunks) {
    let (chunks, receive) = mpsc::channel(chunks_max);
    let room = Arc::new(Semaphore::new(bytes_max));
    let toward = Toward {
        chunks,
        room,
        bytes_max,
    };
    (toward, receive)
}

impl Toward {
    /// Waits until there is room; says whether somebody is there to take it.
    pub async fn send(&self, chunk: Bytes) -> bool {
        let count = chunk.len().min(self.bytes_max) as u32;
        let room = tokio::select! {
            () = self.chunks.closed() => return false,
            room = self.room.clone().acquire_many_owned(count) => room,
        };
        match room {
            Ok(room) => self.chunks.send((chunk, room)).await.is_ok(),
            Err(_) => false,
        }
    }
}

/// Writes what comes, from where the writer stands; from the beginning if the sender began anew.
pub(crate) fn write(mut writer: BlobWriter, from: u64, mut chunks: Chunks) -> Result<BlobWriter> {
    if from == 0 && writer.size() > 0 {
        writer = writer.anew()?;
    }
    while let Some((chunk, _room)) = chunks.blocking_recv() {
        let written = writer.write_all(&chunk);
        written.map_err(|e| Error::storage("write", writer.path(), e))?;
    }
    Ok(writer)
}
