//! One entry of an OCI layout's `index.json`: an image, or an index of images for several platforms.

use std::sync::Arc;

use crate::archive::Archive;
use crate::config::ConfigFile;
use crate::error::{Error, Result};
use crate::install::Incoming;
use crate::lookup;
use crate::manifest::{CONFIG_MAX, Descriptor, Document, Index, MANIFEST_MAX, Manifest};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::{Lease, Names, Store};

use super::{DEPTH_MAX, Found, blob_path, keep, missing, text_of};

/// Whether an `index.json` leads to images for several platforms.
pub(super) fn has_indexes(text: &[u8]) -> bool {
    let index = serde_json::from_slice(text);
    index.is_ok_and(|index: Index| index.manifests.iter().any(Descriptor::is_index))
}

pub(super) fn entry(
    store: &Arc<Store>,
    archive: &mut Archive,
    lease: &mut Lease,
    entry: &Descriptor,
    platforms: &[Platform],
) -> Result<Found> {
    let names: Vec<Reference> = name_of(entry).into_iter().collect();
    let mut descriptor = entry.clone();
    for _ in 0..DEPTH_MAX {
        let text = text_of(archive, &descriptor, MANIFEST_MAX)?;
        match Document::parse(&text, &descriptor.media_type)? {
            Document::Manifest(manifest) => {
                keep(store, lease, &text)?;
                let found = Found {
                    images: vec![image(store, archive, lease, &descriptor, manifest)?],
                    names: Names { names, index: None },
                };
                wanted(&found, platforms)?;
                return Ok(found);
            }
            // Some pack an index into another one.
            Document::Index(Index { manifests, .. }) if manifests.iter().all(Descriptor::is_index) => {
                let first = manifests.into_iter().next();
                descriptor = first
                    .ok_or_else(|| Error::InvalidParameter(format!("{} is empty", descriptor.digest)))?;
            }
            Document::Index(index) => {
                keep(store, lease, &text)?;
                let mut descriptor = descriptor.plain();
                if descriptor.media_type.is_empty() {
                    descriptor.media_type = index.kind().to_owned();
                }
                let images = images(store, archive, lease, &index, &names, platforms)?;
                return Ok(Found {
                    images,
                    names: Names {
                        names,
                        index: Some(descriptor),
                    },
                });
            }
        }
    }
    Err(Error::Corrupt(format!(
        "indexes nested too deeply below {}",
        entry.digest
    )))
}

/// The images of an index that are in the archive, this machine's first, and what is stated about them.
fn images(
    store: &Arc<Store>,
    archive: &mut Archive,
    lease: &mut Lease,
    index: &Index,
    names: &[Reference],
    platforms: &[Platform],
) -> Result<Vec<Incoming>> {
    let mut chosen: Vec<&Descriptor> = Vec::new();
    for platform in platforms {
        let own = index
            .select(platform)
            .filter(|own| archive.has(&blob_path(&own.digest)));
        chosen.push(own.ok_or_else(|| absent(names, platform))?);
    }
    if platforms.is_empty() {
        let usable = |d: &&Descriptor| {
            let linux = d
                .platform
                .as_ref()
                .is_none_or(|p| matches!(p.os.as_str(), "" | "linux"));
            d.attests().is_none() && !d.is_unknown() && !d.is_index() && linux
        };
        chosen = index.manifests.iter().filter(usable).collect();
        chosen.retain(|own| archive.has(&blob_path(&own.digest)));
    }
    let host = index.select(&Platform::host());
    chosen.sort_by_key(|own| Some(*own) != host);
    chosen.dedup();
    let mut images = Vec::new();
    for own in chosen {
        let text = text_of(archive, own, MANIFEST_MAX)?;
        let Document::Manifest(manifest) = Document::parse(&text, &own.media_type)? else {
            return Err(Error::Corrupt(format!(
                "{} is an index within an index",
                own.digest
            )));
        };
        // Some archives have the manifests of all platforms, but the layers of one.
        let whole = blobs(&manifest).all(|blob| archive.has(&blob_path(&blob.digest)));
        if !whole && platforms.is_empty() && index.manifests.len() > 1 {
            continue;
        }
        keep(store, lease, &text)?;
        images.push(image(store, archive, lease, own, manifest)?);
        for listed in index.attestations(&own.digest) {
            attestation(store, archive, lease, listed)?;
        }
    }
    match images.is_empty() {
        true => Err(absent(names, &Platform::host())),
        false => Ok(images),
    }
}

/// The blobs of one manifest, checked, and its configuration.
fn image(
    store: &Arc<Store>,
    archive: &mut Archive,
    lease: &mut Lease,
    descriptor: &Descriptor,
    manifest: Manifest,
) -> Result<Incoming> {
    let raw = text_of(archive, &manifest.config, CONFIG_MAX)?;
    keep(store, lease, &raw)?;
    for layer in &manifest.layers {
        blob(store, archive, lease, layer)?;
    }
    Ok(Incoming {
        id: manifest.config.digest,
        config: ConfigFile::parse(&raw)?,
        raw_config: raw,
        layers: manifest.layers,
        manifest: descriptor.plain(),
    })
}

/// Statements that the archive has whole; without them the image is worth loading too.
fn attestation(
    store: &Arc<Store>,
    archive: &mut Archive,
    lease: &mut Lease,
    listed: &Descriptor,
) -> Result<()> {
    if !archive.has(&blob_path(&listed.digest)) {
        return Ok(());
    }
    let text = text_of(archive, listed, MANIFEST_MAX)?;
    let manifest = Manifest::of_anything(&text)?;
    if blobs(&manifest).all(|own| archive.has(&blob_path(&own.digest))) {
        for own in blobs(&manifest) {
            blob(store, archive, lease, own)?;
        }
        keep(store, lease, &text)?;
    }
    Ok(())
}

fn blobs(manifest: &Manifest) -> impl Iterator<Item = &Descriptor> {
    std::iter::once(&manifest.config).chain(&manifest.layers)
}

fn blob(store: &Store, archive: &mut Archive, lease: &mut Lease, promised: &Descriptor) -> Result<()> {
    let path = blob_path(&promised.digest);
    let (digest, size) = archive.blob(store, lease, &path)?.ok_or_else(|| missing(&path))?;
    match (&digest, size) == (&promised.digest, promised.size) {
        true => Ok(()),
        false => Err(Error::Corrupt(format!("{path} is {digest} of {size} bytes"))),
    }
}

/// Refuses an image of one platform when others are asked for.
pub(super) fn wanted(found: &Found, platforms: &[Platform]) -> Result<()> {
    let Some(image) = found.images.first() else {
        return Ok(());
    };
    let own = image.config.platform();
    match platforms.iter().find(|platform| !platform.accepts(&own)) {
        Some(platform) => {
            let name = found.names.names.first().map(Reference::familiar);
            let name = name.unwrap_or_else(|| image.id.to_string());
            Err(lookup::other_platform(&name, &own, platform))
        }
        None => Ok(()),
    }
}

fn absent(names: &[Reference], platform: &Platform) -> Error {
    let name = names.first().map(Reference::familiar).unwrap_or_default();
    Error::NotFound(format!(
        "image with reference {name} was found in the archive but does not provide the specified platform ({platform})"
    ))
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
