//! Images from an archive: Docker's (`manifest.json`, as `docker save` has always written) or an OCI layout.

use std::sync::Arc;

use serde::Deserialize;
use tokio::io::AsyncRead;

use crate::archive::Archive;
use crate::bridge;
use crate::config::ConfigFile;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::images::Images;
use crate::import::layer_type;
use crate::install::{Fetch, Incoming, Report, manifest_of};
use crate::manifest::{CONFIG_MAX, Descriptor, Document, Index, MANIFEST_MAX, OCI_MANIFEST};
use crate::platform::Platform;
use crate::progress::Sink;
use crate::reference::Reference;
use crate::store::{Lease, Store};

/// `manifest.json` or `index.json`.
const TABLE_MAX: u64 = 16 << 20;
/// Indexes within indexes.
const DEPTH_MAX: usize = 4;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// An image found in an archive, its blobs in the store.
struct Found {
    image: Incoming,
    names: Vec<Reference>,
}

/// Everything is there already.
struct Nothing;

impl Fetch for Nothing {
    async fn fetch(&self, _: &Descriptor) -> Result<()> {
        Ok(())
    }
}

impl Images {
    /// Loads every image of an archive (plain, gzip or zstd) and says which, in Docker's lines. All or nothing
    /// per image; an archive that is damaged leaves nothing behind.
    pub async fn load(
        &self,
        source: impl AsyncRead + Send + Unpin + 'static,
        quiet: bool,
        sink: &Sink,
    ) -> Result<Vec<String>> {
        let (reader, feed) = bridge::reader(source);
        let work = self.blocking(move |store| {
            let mut archive = Archive::read(store, reader)?;
            let mut lease = Lease::building(store);
            let found = find(store, &mut archive, &mut lease)?;
            Ok((found, lease))
        });
        let (found, ()) = tokio::join!(work, feed);
        let (found, mut lease) = found?;
        let mut ids = Vec::with_capacity(found.len());
        for Found { image, names } in found {
            let id = image.id.clone();
            let report = if quiet {
                Report::Silent
            } else {
                Report::Load(sink.clone())
            };
            self.install(&mut lease, image, Arc::new(Nothing), report).await?;
            ids.push(id.to_string());
            self.announce(id, names, sink).await?;
        }
        lease.done();
        Ok(ids)
    }

    async fn announce(&self, id: Digest, names: Vec<Reference>, sink: &Sink) -> Result<()> {
        if names.is_empty() {
            sink.stream(format!("Loaded image ID: {id}\n")).await;
            return Ok(());
        }
        let given = names.clone();
        let moved = self.blocking(move |store| store.name(&id, &given)).await?;
        for (name, old) in moved {
            let text = format!(
                "The image {} already exists, renaming the old one with ID {old} to empty string\n",
                name.familiar()
            );
            sink.stream(text).await;
        }
        for name in names {
            sink.stream(format!("Loaded image: {}\n", name.familiar())).await;
        }
        Ok(())
    }
}

fn find(store: &Arc<Store>, archive: &mut Archive, lease: &mut Lease) -> Result<Vec<Found>> {
    let index = archive.small("index.json", TABLE_MAX)?;
    if let Some(table) = archive.small("manifest.json", TABLE_MAX)? {
        let items: Vec<Item> = serde_json::from_slice(&table)
            .map_err(|e| Error::InvalidParameter(format!("invalid manifest.json: {e}")))?;
        // The manifests of an archive that is an OCI layout too keep the images' digests.
        let known = index.map(|index| manifests(archive, &index)).unwrap_or_default();
        return items
            .into_iter()
            .map(|item| docker(store, archive, lease, item, &known))
            .collect();
    }
    let Some(index) = index else {
        return Err(Error::InvalidParameter(
            "unrecognized image format: neither manifest.json nor index.json in the archive".to_owned(),
        ));
    };
    let index: Index = serde_json::from_slice(&index)
        .map_err(|e| Error::InvalidParameter(format!("invalid index.json: {e}")))?;
    let wanted = index.manifests.iter().filter(|entry| !is_attestation(entry));
    wanted.map(|entry| oci(store, archive, lease, entry)).collect()
}

/// One entry of `manifest.json`.
fn docker(
    store: &Arc<Store>,
    archive: &mut Archive,
    lease: &mut Lease,
    item: Item,
    known: &[(Descriptor, Vec<u8>)],
) -> Result<Found> {
    let raw = archive
        .small(&item.config, CONFIG_MAX)?
        .ok_or_else(|| missing(&item.config))?;
    let config = ConfigFile::parse(&raw)?;
    let id = Digest::of(&raw);
    let mut layers = Vec::new();
    for path in item.layers.unwrap_or_default() {
        let (digest, size) = archive.blob(store, lease, &path)?.ok_or_else(|| missing(&path))?;
        layers.push(Descriptor::new(layer_type(store, &digest)?, digest, size));
    }
    let digests = |layers: &[Descriptor]| layers.iter().map(|l| l.digest.clone()).collect::<Vec<_>>();
    let own = known.iter().find(|(_, text)| match Document::parse(text, "") {
        Ok(Document::Manifest(own)) => own.config.digest == id && digests(&own.layers) == digests(&layers),
        _ => false,
    });
    let (manifest, text) = match own {
        Some((descriptor, text)) => (
            Descriptor {
                annotations: Default::default(),
                ..descriptor.clone()
            },
            text.clone(),
        ),
        None => {
            let (_, text) = manifest_of(&id, &raw, &layers)?;
            (
                Descriptor::new(OCI_MANIFEST, Digest::of(&text), text.len() as u64),
                text,
            )
        }
    };
    keep(store, lease, &raw)?;
    keep(store, lease, &text)?;
    let names = item.repo_tags.unwrap_or_default();
    let names = names
        .iter()
        .map(|name| Reference::parse(name).map(Reference::or_latest))
        .collect::<Result<_>>()?;
    Ok(Found {
        image: Incoming {
            id,
            raw_config: raw,
            config,
            layers,
            manifest,
            index: None,
            beside: Vec::new(),
        },
        names,
    })
}

/// One entry of an OCI layout's `index.json`.
fn oci(store: &Arc<Store>, archive: &mut Archive, lease: &mut Lease, entry: &Descriptor) -> Result<Found> {
    let mut descriptor = entry.clone();
    let mut index = None;
    for _ in 0..DEPTH_MAX {
        let text = text_of(archive, &descriptor, MANIFEST_MAX)?;
        keep(store, lease, &text)?;
        match Document::parse(&text, &descriptor.media_type)? {
            Document::Index(inner) => {
                let wanted = Platform::host();
                let next = inner.select(&wanted).cloned().ok_or_else(|| {
                    Error::NotFound(format!("no image for {wanted} in index {}", descriptor.digest))
                })?;
                index = index.or(Some(plain(&descriptor)));
                descriptor = next;
            }
            Document::Manifest(manifest) => {
                let raw = text_of(archive, &manifest.config, CONFIG_MAX)?;
                keep(store, lease, &raw)?;
                for layer in &manifest.layers {
                    let path = blob_path(&layer.digest);
                    let (digest, size) = archive.blob(store, lease, &path)?.ok_or_else(|| missing(&path))?;
                    if (&digest, size) != (&layer.digest, layer.size) {
                        return Err(Error::Corrupt(format!("{path} is {digest} of {size} bytes")));
                    }
                }
                let config = ConfigFile::parse(&raw)?;
                let image = Incoming {
                    id: manifest.config.digest,
                    raw_config: raw,
                    config,
                    layers: manifest.layers,
                    manifest: plain(&descriptor),
                    index,
                    beside: Vec::new(),
                };
                return Ok(Found {
                    image,
                    names: name_of(entry).into_iter().collect(),
                });
            }
        }
    }
    Err(Error::Corrupt(format!(
        "indexes nested too deeply below {}",
        entry.digest
    )))
}

/// The name that an index gives to an entry; a bare tag is not one.
fn name_of(entry: &Descriptor) -> Option<Reference> {
    let full = entry.annotations.get("io.containerd.image.name");
    let other = entry
        .annotations
        .get("org.opencontainers.image.ref.name")
        .filter(|name| name.contains([':', '/']));
    Reference::parse(full.or(other)?).ok().map(Reference::or_latest)
}

/// All image manifests that an index leads to and the archive has.
fn manifests(archive: &mut Archive, index: &[u8]) -> Vec<(Descriptor, Vec<u8>)> {
    let mut found = Vec::new();
    let mut level: Vec<Descriptor> =
        serde_json::from_slice(index).map_or(Vec::new(), |index: Index| index.manifests);
    for _ in 0..DEPTH_MAX {
        let mut below = Vec::new();
        for descriptor in level.into_iter().take(1000) {
            let Ok(text) = text_of(archive, &descriptor, MANIFEST_MAX) else {
                continue;
            };
            match Document::parse(&text, &descriptor.media_type) {
                Ok(Document::Manifest(_)) => found.push((descriptor, text)),
                Ok(Document::Index(index)) => below.extend(index.manifests),
                Err(_) => {}
            }
        }
        level = below;
    }
    found
}

fn text_of(archive: &mut Archive, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>> {
    let path = blob_path(&descriptor.digest);
    let text = archive.small(&path, limit)?.ok_or_else(|| missing(&path))?;
    match Digest::of(&text) == descriptor.digest {
        true => Ok(text),
        false => Err(Error::Corrupt(format!("{path} does not match its digest"))),
    }
}

fn keep(store: &Arc<Store>, lease: &mut Lease, text: &[u8]) -> Result<()> {
    let digest = Digest::of(text);
    lease.pin(&digest);
    match store.has_blob(&digest) {
        true => Ok(()),
        false => store.put_blob(text).map(drop),
    }
}

fn plain(descriptor: &Descriptor) -> Descriptor {
    Descriptor::new(&descriptor.media_type, descriptor.digest.clone(), descriptor.size)
}

fn is_attestation(entry: &Descriptor) -> bool {
    entry
        .platform
        .as_ref()
        .is_some_and(|platform| platform.os == "unknown")
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn missing(path: &str) -> Error {
    Error::InvalidParameter(format!("invalid archive: {path} is missing"))
}
