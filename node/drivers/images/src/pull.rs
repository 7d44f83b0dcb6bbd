//! From a registry's repository to a named image here.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use shoal_api_types::auth::AuthConfig;
use tokio::sync::mpsc;

use crate::config::ConfigFile;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::images::Images;
use crate::install::{Fetch, Incoming, Report};
use crate::manifest::{CONFIG_MAX, Descriptor, Document};
use crate::platform::Platform;
use crate::progress::Sink;
use crate::reference::Reference;
use crate::registry::{Access, Part, Session};
use crate::store::{BlobWriter, Lease};

/// Chunks on their way to the disk.
const CHUNKS: usize = 16;
/// Bytes between two reports of progress.
const REPORT_EVERY: u64 = 256 * 1024;

impl Images {
    /// Pulls an image for `platform` (this machine's by default) and gives it the name that it was asked by.
    /// Durable when it returns. Dropping the future stops it and leaves nothing behind.
    pub async fn pull(
        &self,
        name: &Reference,
        platform: Option<Platform>,
        auth: Option<AuthConfig>,
        sink: &Sink,
    ) -> Result<()> {
        let name = name.clone().or_latest();
        let new = self.pull_one(&name, platform, auth, sink).await?;
        said(&name, new, sink).await;
        Ok(())
    }

    /// Pulls every tag of a repository. Returns their names.
    pub async fn pull_all(
        &self,
        name: &Reference,
        platform: Option<Platform>,
        auth: Option<AuthConfig>,
        sink: &Sink,
    ) -> Result<Vec<Reference>> {
        let session = Session::open(name, Access::Pull, auth.clone(), &self.registries()).await?;
        let mut pulled = Vec::new();
        let mut new = false;
        for tag in session.tags().await? {
            let tagged = name.with_tag(&tag)?;
            new |= self
                .pull_one(&tagged, platform.clone(), auth.clone(), sink)
                .await?;
            pulled.push(tagged);
        }
        said(name, new, sink).await;
        Ok(pulled)
    }

    /// Whether it was not there before.
    async fn pull_one(
        &self,
        name: &Reference,
        platform: Option<Platform>,
        auth: Option<AuthConfig>,
        sink: &Sink,
    ) -> Result<bool> {
        let which = name
            .digest()
            .map_or(name.tag().unwrap_or_default(), Digest::as_str)
            .to_owned();
        let mut lease = Lease::building(&self.store);
        let (session, image, digest) = self.source(name, &which, platform, auth, &mut lease).await?;
        sink.status(&which, format!("Pulling from {}", name.path())).await;

        let id = image.id.clone();
        for layer in &image.layers {
            self.store.known.set_place(&layer.digest, &name.repository());
        }
        let present = self.store.state.lock().images.contains_key(&id);
        if !present {
            let fetch = Arc::new(Download {
                images: self.clone(),
                session,
                sink: sink.clone(),
            });
            self.install(&mut lease, image, fetch, Report::Pull(sink.clone()))
                .await?;
        }
        let mut names = vec![name.with_digest(digest.clone())];
        if let (None, Some(tag)) = (name.digest(), name.tag()) {
            names.push(name.with_tag(tag)?);
        }
        self.blocking(move |store| {
            store.known.save();
            store.name(&id, &names)
        })
        .await?;
        lease.done();
        sink.status("", format!("Digest: {digest}")).await;
        Ok(!present)
    }

    /// The first of mirrors and registry that has it.
    async fn source(
        &self,
        name: &Reference,
        which: &str,
        platform: Option<Platform>,
        auth: Option<AuthConfig>,
        lease: &mut Lease,
    ) -> Result<(Session, Incoming, Digest)> {
        let registries = self.registries();
        let mirrors: &[String] = match name.domain() {
            "docker.io" => &registries.mirrors,
            _ => &[],
        };
        for mirror in mirrors {
            let attempt = async {
                let session = Session::mirror(name, mirror, &registries).await?;
                let (image, digest) = self
                    .resolve(&session, name, which, platform.clone(), lease)
                    .await?;
                Ok::<_, Error>((session, image, digest))
            };
            match attempt.await {
                Ok(found) => return Ok(found),
                Err(error) => tracing::warn!(mirror, %error, "a mirror does not give an image"),
            }
        }
        let session = Session::open(name, Access::Pull, auth, &registries).await?;
        let (image, digest) = self.resolve(&session, name, which, platform, lease).await?;
        Ok((session, image, digest))
    }

    /// Follows the name to a manifest and its configuration; all that is kept is pinned. Also returns the digest
    /// that the name stands for, which is the index's if there is one.
    async fn resolve(
        &self,
        session: &Session,
        name: &Reference,
        which: &str,
        platform: Option<Platform>,
        lease: &mut Lease,
    ) -> Result<(Incoming, Digest)> {
        let wanted = platform.clone().unwrap_or_else(Platform::host);
        let (text, kind) = session.manifest(which).await?;
        let digest = Digest::of(&text);
        if let Some(promised) = name.digest()
            && *promised != digest
        {
            return Err(Error::Corrupt(format!(
                "manifest verification failed for digest {promised}"
            )));
        }
        let served = |text: &[u8], kind: &str| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            Descriptor::new(kind, Digest::of(text), text.len() as u64)
        };
        let top = served(&text, &kind);
        let (manifest, descriptor, index) = match Document::parse(&text, &kind)? {
            Document::Manifest(manifest) => {
                self.keep(lease, text).await?;
                (manifest, top, None)
            }
            Document::Index(index) => {
                let chosen = index.select(&wanted).ok_or_else(|| {
                    Error::NotFound(format!(
                        "no matching manifest for {wanted} in the manifest list entries: no match for platform in \
                         manifest: not found"
                    ))
                })?;
                self.keep(lease, text).await?;
                let (text, kind) = session.manifest(chosen.digest.as_str()).await?;
                let below = served(&text, &kind);
                if below.digest != chosen.digest || below.size != chosen.size {
                    return Err(Error::Corrupt(format!(
                        "manifest verification failed for digest {}",
                        chosen.digest
                    )));
                }
                let Document::Manifest(manifest) = Document::parse(&text, &kind)? else {
                    return Err(Error::Corrupt(format!(
                        "{} is an index within an index",
                        chosen.digest
                    )));
                };
                self.keep(lease, text).await?;
                (manifest, below, Some(top))
            }
        };
        let raw = session.small_blob(&manifest.config, CONFIG_MAX).await?;
        let config = ConfigFile::parse(&raw)?;
        let own = Platform {
            os: config.os.clone(),
            architecture: config.architecture.clone(),
            variant: config.variant.clone(),
        };
        if platform.is_some() && index.is_none() && !wanted.accepts(&own) {
            return Err(Error::NotFound(format!(
                "image with reference {} was found but its platform ({own}) does not match the specified platform \
                 ({wanted})",
                name.familiar()
            )));
        }
        self.keep(lease, raw.clone()).await?;
        let image = Incoming {
            id: manifest.config.digest,
            raw_config: raw,
            config,
            layers: manifest.layers,
            manifest: descriptor,
            index,
            beside: Vec::new(),
        };
        Ok((image, digest))
    }

    async fn keep(&self, lease: &mut Lease, text: Vec<u8>) -> Result<()> {
        let digest = Digest::of(&text);
        lease.pin(&digest);
        match self.store.has_blob(&digest) {
            true => Ok(()),
            false => self.blocking(move |store| store.put_blob(&text).map(drop)).await,
        }
    }
}

async fn said(name: &Reference, new: bool, sink: &Sink) {
    let what = if new {
        "Downloaded newer image"
    } else {
        "Image is up to date"
    };
    sink.status("", format!("Status: {what} for {}", name.familiar()))
        .await;
}

/// Brings layers from a registry.
struct Download {
    images: Images,
    session: Session,
    sink: Sink,
}

impl Fetch for Download {
    async fn fetch(&self, layer: &Descriptor) -> Result<()> {
        let id = layer.digest.short();
        // Another pull may be fetching the same.
        let _turn = self.images.fetches.lock(&layer.digest).await;
        if self.images.store.has_blob(&layer.digest) {
            self.sink.status(id, "Download complete").await;
            return Ok(());
        }
        if self.images.downloads.available_permits() == 0 {
            self.sink.status(id, "Waiting").await;
        }
        let _permit = self.images.downloads.acquire().await;
        let mut writer = self.images.blocking(|store| BlobWriter::new(store)).await?;
        let config = self.images.registries();
        let mut attempt = 1;
        loop {
            let (back, outcome) = self.attempt(layer, writer).await?;
            writer = back;
            match outcome {
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
    /// Goes on where the last try stopped. Fails outright only if the disk does.
    async fn attempt(&self, layer: &Descriptor, writer: BlobWriter) -> Result<(BlobWriter, Result<()>)> {
        let part = match self.session.blob(&layer.digest, writer.size()).await {
            Ok(part) => part,
            Err(error) => return Ok((writer, Err(error))),
        };
        let (send, receive) = mpsc::channel(CHUNKS);
        let from = part.from;
        let writing = self.images.blocking(move |_| write(writer, from, receive));
        let (writer, received) = tokio::join!(writing, self.receive(layer, part, send));
        Ok((writer?, received))
    }

    async fn receive(&self, layer: &Descriptor, mut part: Part, send: mpsc::Sender<Bytes>) -> Result<()> {
        let id = layer.digest.short();
        let (mut have, mut reported) = (part.from, part.from);
        while let Some(chunk) = part.chunk().await? {
            have += chunk.len() as u64;
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
            if send.send(chunk).await.is_err() {
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

fn write(mut writer: BlobWriter, from: u64, mut chunks: mpsc::Receiver<Bytes>) -> Result<BlobWriter> {
    let failed = |writer: &BlobWriter, e| Error::storage("write", writer.path(), e);
    if from == 0 && writer.size() > 0 {
        writer.restart().map_err(|e| failed(&writer, e))?;
    }
    while let Some(chunk) = chunks.blocking_recv() {
        let written = writer.write_all(&chunk);
        written.map_err(|e| failed(&writer, e))?;
    }
    Ok(writer)
}

pub(crate) fn seconds(delay: Duration) -> String {
    match delay.as_secs() {
        1 => "1 second".to_owned(),
        n => format!("{n} seconds"),
    }
}
