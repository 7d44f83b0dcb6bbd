//! Images from an archive: Docker's (`manifest.json`, as `docker save` has always written) or an OCI layout, which may
//! hold an image for several platforms.

mod early;
mod layout;

use std::collections::HashMap;
use std::io::{self, BufRead};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use futures_util::Stream;
use parking_lot::Mutex;
use serde::Deserialize;

use crate::archive::Archive;
use crate::bridge::{self, Passing};
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
use crate::store::{Growing, Lease, Loose, Moved, Names, Store};

pub(crate) use early::{Early, Unpackers};

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
    /// One for each platform; the one for this machine, or else the first, comes first.
    images: Vec<Incoming>,
    names: Names,
}

/// Everything is there already, and some of it is unpacked.
struct Loaded {
    early: Mutex<HashMap<Digest, Early>>,
}

impl Fetch for Loaded {
    async fn fetch(&self, _: &Descriptor, _: &Growing) -> Result<()> {
        Ok(())
    }

    async fn unpacked(&self, layer: &Descriptor) -> Option<Result<Loose>> {
        let early = self.early.lock().remove(&layer.digest)?;
        early.await.ok()
    }
}

impl Images {
    /// Loads every image of an archive (plain, gzip or zstd) and says which, in Docker's lines; of images for several
    /// platforms all that are in it, or those for `platforms`. All or nothing per image; an archive that is damaged
    /// leaves nothing behind. `wanted_from` is raised to the offset in `source` before which no bytes are of use any more: those
    /// may come as zeros.
    pub async fn load(
        &self,
        source: impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
        wanted_from: Arc<AtomicU64>,
        quiet: bool,
        platforms: Vec<Platform>,
        sink: &Sink,
    ) -> Result<Vec<String>> {
        let (reader, feed) = bridge::reader(source);
        let passing = reader.passing(wanted_from);
        let work = self.blocking(move |store| {
            let mut unpackers = Unpackers::new(store);
            match read(store, reader, &passing, &platforms, &mut unpackers) {
                Ok((found, early, lease)) => Ok((found, early, lease, unpackers)),
                Err(error) => {
                    unpackers.finish();
                    Err(error)
                }
            }
        });
        let (found, ()) = tokio::join!(work, feed);
        let (found, early, lease, unpackers) = found?;
        let loaded = Loaded {
            early: Mutex::new(early),
        };
        let done = self
            .install_all(found, Arc::new(loaded), lease, quiet, sink)
            .await;
        let ended = self.blocking(move |_| {
            unpackers.finish();
            Ok(())
        });
        ended.await?;
        done
    }

    async fn install_all(
        &self,
        found: Vec<Found>,
        loaded: Arc<Loaded>,
        mut lease: Lease,
        quiet: bool,
        sink: &Sink,
    ) -> Result<Vec<String>> {
        let mut ids = Vec::with_capacity(found.len());
        for Found { images, names } in found {
            let mut first = None;
            for image in images {
                let id = image.id.clone();
                let report = if quiet {
                    Report::Silent
                } else {
                    Report::Load(sink.clone())
                };
                let moved = self
                    .install(&mut lease, image, names.clone(), loaded.clone(), report)
                    .await?;
                first = first.or(Some((id, moved)));
            }
            if let Some((id, moved)) = first {
                ids.push(id.to_string());
                announce(&id, names.names, moved, sink).await;
            }
        }
        lease.done();
        Ok(ids)
    }
}

/// Reads an archive to its end and finds the images in it; with what of their layers was unpacked meanwhile.
fn read(
    store: &Arc<Store>,
    source: impl BufRead + Send,
    passing: &Passing,
    platforms: &[Platform],
    unpackers: &mut Unpackers,
) -> Result<(Vec<Found>, HashMap<Digest, Early>, Lease)> {
    let mut lease = Lease::building(store);
    // Of several platforms' layers only some may be wanted.
    let unpack = platforms.is_empty().then_some(unpackers);
    let mut archive = Archive::read(store, &mut lease, source, passing, unpack)?;
    let found = find(store, &mut archive, &mut lease, platforms)?;
    Ok((found, archive.take_early(), lease))
}

async fn announce(id: &Digest, names: Vec<Reference>, moved: Moved, sink: &Sink) {
    if names.is_empty() {
        sink.stream(format!("Loaded image ID: {id}\n")).await;
    }
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
}

fn find(
    store: &Arc<Store>,
    archive: &mut Archive,
    lease: &mut Lease,
    platforms: &[Platform],
) -> Result<Vec<Found>> {
    let index = archive.small("index.json", TABLE_MAX)?;
    let several = index.as_deref().is_some_and(layout::has_indexes);
    // Docker's table knows one platform.
    let table = match several {
        true => None,
        false => archive.small("manifest.json", TABLE_MAX)?,
    };
    if let Some(table) = table {
        let items: Vec<Item> = serde_json::from_slice(&table)
            .map_err(|e| Error::InvalidParameter(format!("invalid manifest.json: {e}")))?;
        // The manifests of an archive that is an OCI layout too keep the images' digests.
        let known = index.map(|index| manifests(archive, &index)).unwrap_or_default();
        return items
            .into_iter()
            .map(|item| {
                let found = docker(store, archive, lease, item, &known)?;
                layout::wanted(&found, platforms)?;
                Ok(found)
            })
            .collect();
    }
    let Some(index) = index else {
        return Err(Error::InvalidParameter(
            "unrecognized image format: neither manifest.json nor index.json in the archive".to_owned(),
        ));
    };
    let index: Index = serde_json::from_slice(&index)
        .map_err(|e| Error::InvalidParameter(format!("invalid index.json: {e}")))?;
    let images = index
        .manifests
        .iter()
        .filter(|entry| entry.attests().is_none() && !entry.is_unknown());
    images
        .map(|entry| layout::entry(store, archive, lease, entry, platforms))
        .collect()
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
        images: vec![Incoming {
            id,
            raw_config: raw,
            config,
            layers,
            manifest,
        }],
        names: Names { names, index: None },
    })
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

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn missing(path: &str) -> Error {
    Error::InvalidParameter(format!("invalid archive: {path} is missing"))
}
