//! An image that other nodes have, copied from them.

use std::sync::Arc;

use shoal_node_core_host::imagesource::ranked;

use crate::config::{self, ConfigFile};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::images::Images;
use crate::install::{Fetch, Incoming, Report};
use crate::manifest::{CONFIG_MAX, Descriptor, Document, MANIFEST_MAX};
use crate::peers::offer::Asked;
use crate::peers::take::{small, take};
use crate::peers::{Offer, Transport};
use crate::progress::Sink;
use crate::store::{BlobWriter, Growing, Lease, Names, Store};

/// Copies what `nodes` offer for what was asked; each of them has all of it. Asked for by its id it gets no name. Durable
/// when it returns.
pub(super) async fn copy(
    images: &Images,
    transport: &Arc<dyn Transport>,
    asked: &Asked,
    offer: &Offer,
    nodes: Vec<String>,
    sink: &Sink,
) -> Result<()> {
    let mut lease = Lease::building(&images.store);
    let from = Arc::new(Holders {
        images: images.clone(),
        transport: transport.clone(),
        nodes,
    });
    let config = Descriptor::new("", offer.image_id.clone(), offer.config_size);
    let raw = from.document(&mut lease, &config, CONFIG_MAX).await?;
    let manifest = from.document(&mut lease, &offer.manifest, MANIFEST_MAX).await?;
    if let Some(index) = &offer.index {
        let text = from.document(&mut lease, index, MANIFEST_MAX).await?;
        check_index(&text, index, &offer.manifest)?;
    }
    check_manifest(&manifest, offer)?;
    check_asked(asked, offer)?;
    let id = offer.image_id.clone();
    let top = offer.index.as_ref().unwrap_or(&offer.manifest);
    let name = match asked {
        Asked::Name(name) => Some(name),
        Asked::Id(_) => None,
    };
    let mut given: Vec<_> = name.cloned().into_iter().collect();
    if let Some(name) = name.filter(|name| offer.registered && name.digest().is_none()) {
        given.push(name.with_digest(top.digest.clone()));
    }
    let names = Names {
        names: given,
        index: offer.index.clone(),
    };
    let (known, again) = (id.clone(), names.clone());
    let present = images.blocking(move |store| {
        if !store.state.lock().images.contains_key(&known) {
            return Ok(false);
        }
        store.sync_blobs()?;
        match store.name(&known, &again) {
            // Somebody has just removed it.
            Err(Error::NotFound(_)) => Ok(false),
            other => other.map(|_| true),
        }
    });
    if !present.await? {
        let image = Incoming {
            id: id.clone(),
            config: ConfigFile::parse(&raw)?,
            raw_config: raw,
            layers: offer.layers.clone(),
            manifest: offer.manifest.clone(),
        };
        let report = Report::Pull(sink.clone());
        images.install(&mut lease, image, names, from, report).await?;
    }
    if let Some(name) = name {
        let (name, at) = (name.to_string(), config::at(offer.named_at));
        images
            .blocking(move |store| {
                store.rename(|references| {
                    if let Some(tagged) = references.tags.get_mut(&name).filter(|tagged| tagged.id == id) {
                        tagged.at = at;
                        tagged.copied = true;
                    }
                    Ok(())
                })
            })
            .await?;
    }
    lease.done();
    Ok(())
}

/// The index must lead to the manifest.
fn check_index(text: &[u8], index: &Descriptor, manifest: &Descriptor) -> Result<()> {
    let leads = match Document::parse(text, &index.media_type)? {
        Document::Index(parsed) => parsed.manifests.iter().any(|d| d.digest == manifest.digest),
        Document::Manifest(_) => false,
    };
    match leads {
        true => Ok(()),
        false => Err(Error::Corrupt(format!(
            "index {} does not lead to manifest {}",
            index.digest, manifest.digest
        ))),
    }
}

/// The manifest must be that of the image.
fn check_manifest(text: &[u8], offer: &Offer) -> Result<()> {
    match Document::parse(text, &offer.manifest.media_type)? {
        Document::Manifest(parsed) if parsed.config.digest == offer.image_id => Ok(()),
        _ => Err(Error::Corrupt(format!(
            "manifest {} is not that of image {}",
            offer.manifest.digest, offer.image_id
        ))),
    }
}

/// A name with a digest must be that of index or manifest, an id the image's.
pub(super) fn check_asked(asked: &Asked, offer: &Offer) -> Result<()> {
    let mut tops = offer.index.iter().chain([&offer.manifest]);
    let wrong = match asked {
        Asked::Name(name) => name
            .digest()
            .filter(|digest| !tops.any(|top| top.digest == **digest))
            .map(Digest::to_string),
        Asked::Id(digits) => {
            let other = !offer.image_id.hex().starts_with(digits.as_str());
            other.then(|| asked.to_string())
        }
    };
    match wrong {
        Some(digest) => Err(Error::Corrupt(format!(
            "manifest verification failed for digest {digest}"
        ))),
        None => Ok(()),
    }
}

/// Brings blobs from nodes that have them.
struct Holders {
    images: Images,
    transport: Arc<dyn Transport>,
    nodes: Vec<String>,
}

impl Holders {
    /// The nodes in this blob's own order, so that several are busy at a time.
    fn nodes(&self, blob: &Descriptor) -> Vec<&str> {
        let key = format!("{} {}", blob.digest, self.transport.me());
        ranked(&key, self.nodes.iter().map(String::as_str))
    }

    /// A small one, kept and pinned.
    async fn document(&self, lease: &mut Lease, blob: &Descriptor, limit: u64) -> Result<Vec<u8>> {
        lease.pin(&blob.digest);
        if self.images.store.has_blob(&blob.digest) {
            let digest = blob.digest.clone();
            return self
                .images
                .blocking(move |store| store.read_blob(&digest, limit))
                .await;
        }
        let mut last = Error::NotFound(format!("no node has blob {}", blob.digest));
        for node in self.nodes(blob) {
            match small(self.transport.as_ref(), node, blob, limit).await {
                Ok(text) => {
                    let kept = text.clone();
                    self.images
                        .blocking(move |store| store.put_blob(&kept).map(drop))
                        .await?;
                    return Ok(text);
                }
                Err(error) => {
                    tracing::warn!(node, %error, "a node does not give a part of an image");
                    last = error;
                }
            }
        }
        Err(last)
    }
}

impl Fetch for Holders {
    async fn fetch(&self, layer: &Descriptor, growing: &Growing) -> Result<()> {
        let _turn = self.images.fetches.lock(&layer.digest).await;
        if self.images.store.has_blob(&layer.digest) {
            return Ok(());
        }
        let _permit = self.images.downloads.acquire().await;
        let fresh = || {
            let shown = growing.clone();
            let writer = move |store: &Arc<Store>| BlobWriter::new(store)?.coming(&shown);
            self.images.blocking(writer)
        };
        let mut writer = fresh().await?;
        let mut last = Error::NotFound(format!("no node has blob {}", layer.digest));
        for node in self.nodes(layer) {
            let transport = self.transport.as_ref();
            let (back, outcome) = take(&self.images, transport, node, layer, None, writer).await?;
            let error = match outcome {
                Ok(()) => {
                    let promised = layer.clone();
                    let stored = self
                        .images
                        .blocking(move |store| back.store(store, Some(&promised)).map(drop));
                    match stored.await {
                        Err(error @ Error::Corrupt(_)) => {
                            writer = fresh().await?;
                            error
                        }
                        stored => return stored,
                    }
                }
                Err(error) => {
                    writer = back;
                    error
                }
            };
            tracing::warn!(node, %error, "a node does not give a part of an image");
            last = error;
        }
        Err(last)
    }
}
