//! Images as an archive that `docker load` of any age reads: an OCI layout with Docker's tables beside it.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use serde_json::json;

use crate::bridge::{self, BridgeWriter};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::images::Images;
use crate::install::manifest_of;
use crate::lookup::{Found, find, for_platform, is_name};
use crate::manifest::{Descriptor, Document, MANIFEST_MAX, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::indexes::{Kind, Member};
use crate::store::{Lease, Store};

/// Of a tar.
const BLOCK: usize = 512;

/// What is to be written as one entry, and the names it was asked by.
struct Wanted {
    /// What old engines load of it.
    id: Digest,
    /// With all its platforms that are here, or those asked for.
    index: Option<Digest>,
    only: Option<Vec<Digest>>,
    /// Of an index's image that goes alone.
    manifest: Option<Descriptor>,
    names: Vec<Reference>,
}

impl Images {
    /// An archive of the named images. Fails at once if one is missing; a failure on the way breaks the stream
    /// off. A name without a tag means all tags of that repository, an id means the image without names. Of several
    /// platforms all that are here go, or those for `platforms`: of one alone the image without its index.
    pub fn save(
        &self,
        names: &[String],
        platforms: &[Platform],
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static> {
        let mut lease = Lease::reading(&self.store);
        let wanted = wanted(&self.store, names, platforms)?;
        for image in &wanted {
            lease.pin_image(&image.id)?;
            if let Some(index) = &image.index {
                lease.pin_index(index);
            }
        }
        let (writer, reader) = bridge::writer();
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || {
            let mut writer = writer;
            let done = write(&store, &mut writer, &wanted);
            drop(lease);
            match done.and_then(|()| writer.flush().map_err(broken)) {
                Ok(()) => {}
                Err(error) => writer.fail(io::Error::other(error.to_string())),
            }
        });
        Ok(reader)
    }
}

fn wanted(store: &Store, names: &[String], platforms: &[Platform]) -> Result<Vec<Wanted>> {
    let state = store.state.lock();
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut add = |said: &str, found: Found, name: Option<Reference>| {
        let only = platforms
            .iter()
            .map(|platform| for_platform(&state, said, &found, platform));
        let only = only.collect::<Result<Vec<_>>>()?;
        let manifest = match (&only[..], &found.index) {
            ([one], Some(index)) => state.manifest_of(index, one),
            _ => None,
        };
        let (id, index, only) = match &only[..] {
            [] => (found.id, found.index, None),
            [one] => (one.clone(), None, None),
            [first, ..] => (first.clone(), found.index, Some(only)),
        };
        let same = |other: &Wanted| other.id == id && other.index == index;
        let at = wanted.iter().position(same).unwrap_or_else(|| {
            wanted.push(Wanted {
                id,
                index,
                only,
                manifest,
                names: Vec::new(),
            });
            wanted.len() - 1
        });
        wanted[at].names.extend(name);
        Ok::<_, Error>(())
    };
    for name in names {
        let reference = Reference::parse(name).ok();
        let bare = reference
            .as_ref()
            .filter(|name| name.tag().is_none() && name.digest().is_none());
        let tags = state
            .references
            .tags
            .keys()
            .filter_map(|tag| Reference::parse(tag).ok());
        let all: Vec<_> = tags
            .filter(|tag| bare.is_some_and(|bare| bare.repository() == tag.repository()))
            .collect();
        if !all.is_empty() {
            for tag in all {
                let said = tag.familiar();
                add(&said, find(&state, &said)?, Some(tag))?;
            }
            continue;
        }
        let found = find(&state, name)?;
        let named = reference.filter(|reference| reference.tag().is_some() && is_name(&state, name));
        add(
            name,
            found,
            named.filter(|reference| reference.digest().is_none()),
        )?;
    }
    Ok(wanted)
}

fn write(store: &Arc<Store>, archive: &mut BridgeWriter, wanted: &[Wanted]) -> Result<()> {
    let (mut items, mut entries, mut written) = (Vec::new(), Vec::new(), HashSet::new());
    let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for directory in ["blobs/", "blobs/sha256/"] {
        header(archive, directory, tar::EntryType::Directory, 0)?;
    }
    for image in wanted {
        let index = image
            .index
            .as_ref()
            .map(|index| indexed(store, index, image.only.as_deref()));
        let index = index.transpose()?.flatten();
        for found in index.iter().flat_map(|(_, blobs)| blobs) {
            if written.insert(found.digest.clone()) {
                blob(archive, found, store.open_blob(&found.digest)?)?;
            }
        }
        let whole = Whole::gather(store, &image.id, image.manifest.as_ref())?;
        for layer in &whole.layers {
            if written.insert(layer.digest.clone()) {
                blob(archive, layer, store.open_blob(&layer.digest)?)?;
            }
        }
        for text in [&whole.config, &whole.text] {
            let digest = Digest::of(text);
            if written.insert(digest.clone()) {
                file(archive, &path(&digest), text)?;
            }
        }
        let entry = match index {
            Some((index, _)) => index,
            None => Descriptor {
                platform: Some(whole.platform.clone()),
                ..whole.manifest.clone()
            },
        };
        if image.names.is_empty() {
            entries.push(entry.clone());
        }
        for name in &image.names {
            let tag = name.tag().unwrap_or_default().to_owned();
            let mut named = entry.clone();
            named
                .annotations
                .insert("io.containerd.image.name".into(), name.to_string());
            named
                .annotations
                .insert("org.opencontainers.image.ref.name".into(), tag.clone());
            entries.push(named);
            let top = whole
                .layers
                .last()
                .map_or(image.id.hex(), |layer| layer.digest.hex());
            repositories
                .entry(name.familiar_name())
                .or_default()
                .insert(tag, top.to_owned());
        }
        let tags: Vec<_> = image.names.iter().map(Reference::familiar).collect();
        let mut item = json!({
            "Config": path(&image.id),
            "RepoTags": if tags.is_empty() { serde_json::Value::Null } else { json!(tags) },
            "Layers": whole.layers.iter().map(|layer| path(&layer.digest)).collect::<Vec<_>>(),
        });
        let sources = whole.sources();
        if !sources.is_empty() {
            item["LayerSources"] = json!(sources);
        }
        items.push(item);
    }
    table(
        archive,
        "index.json",
        &json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}),
    )?;
    table(archive, "manifest.json", &json!(items))?;
    table(archive, "oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
    if !repositories.is_empty() {
        table(archive, "repositories", &json!(repositories))?;
    }
    archive.write_all(&[0; 2 * BLOCK]).map_err(broken)
}

/// An index and the blobs of it that are here, or of its images those asked for; `None` if of none all is here: another
/// image may have brought a layer packed differently.
fn indexed(
    store: &Store,
    index: &Digest,
    only: Option<&[Digest]>,
) -> Result<Option<(Descriptor, Vec<Descriptor>)>> {
    let state = store.state.lock();
    let Some(index) = state.indexes.get(index) else {
        return Ok(None);
    };
    let here = |blob: &Descriptor| state.blobs.contains(&blob.digest);
    let wanted = |member: &&Member| match (&member.kind, state.image_of(member)) {
        (Kind::Image, Some(image)) => only.is_none_or(|only| only.contains(&image.record.id)),
        (Kind::Image, None) => false,
        _ => true,
    };
    let whole = |member: &&Member| {
        let contents = member.contents.as_ref();
        here(&member.descriptor) && contents.is_some_and(|contents| contents.blobs().all(here))
    };
    let members: Vec<&Member> = index.members.iter().filter(wanted).filter(whole).collect();
    let manifests: Vec<&Digest> = members.iter().map(|member| &member.descriptor.digest).collect();
    if !members.iter().any(|member| member.kind == Kind::Image) {
        return Ok(None);
    }
    let mut blobs = vec![index.descriptor.clone()];
    for member in &members {
        // What is said of an image goes with it.
        let alone = matches!(&member.kind, Kind::Attestation(Some(about)) if !manifests.contains(&about));
        if let (Some(contents), false) = (&member.contents, alone) {
            blobs.extend(contents.layers.iter().cloned());
            blobs.extend([contents.config.clone(), member.descriptor.plain()]);
        }
    }
    Ok(Some((index.descriptor.clone(), blobs)))
}

/// Everything that makes up an image.
pub(crate) struct Whole {
    pub config: Vec<u8>,
    pub manifest: Descriptor,
    pub text: Vec<u8>,
    pub layers: Vec<Descriptor>,
    pub diff_ids: Vec<Digest>,
    pub platform: Platform,
}

impl Whole {
    /// By DiffID, what Docker's table says of each layer: those that lie as plain archives, as all of its own do. An engine
    /// that loads the table keeps it, and would say it of the unpacked bytes of a packed one.
    fn sources(&self) -> BTreeMap<&str, serde_json::Value> {
        let layers = self.layers.iter().zip(&self.diff_ids);
        let plain = layers.filter(|(layer, diff_id)| layer.digest == **diff_id);
        let described = plain.map(|(layer, diff_id)| {
            let source = json!({"mediaType": OCI_LAYER, "size": layer.size, "digest": layer.digest});
            (diff_id.as_str(), source)
        });
        described.collect()
    }

    /// As its manifest names it.
    pub fn config_descriptor(&self, id: &Digest) -> Descriptor {
        Descriptor::new(OCI_CONFIG, id.clone(), self.config.len() as u64)
    }

    /// With the manifest that is wanted, or its own, if all the layers that it names are here; with one made for those
    /// that are, if another image brought a layer packed differently.
    pub fn gather(store: &Store, id: &Digest, wanted: Option<&Descriptor>) -> Result<Whole> {
        let entry = store
            .state
            .lock()
            .images
            .get(id)
            .cloned()
            .ok_or_else(|| Error::no_such_image(id))?;
        let config = entry.raw.to_vec();
        let platform = entry.config.platform();
        let diff_ids = entry.config.rootfs.diff_ids.clone();
        for manifest in wanted.into_iter().chain([&entry.record.manifest]) {
            if let Ok(text) = store.read_blob(&manifest.digest, MANIFEST_MAX)
                && let Document::Manifest(own) = Document::parse(&text, &manifest.media_type)?
                && own.layers.iter().all(|layer| store.has_blob(&layer.digest))
            {
                return Ok(Whole {
                    config,
                    manifest: manifest.plain(),
                    text,
                    layers: own.layers,
                    diff_ids,
                    platform,
                });
            }
        }
        let layers = entry.record.layers.iter().map(|chain| store.layer_blob(chain));
        let layers: Vec<_> = layers
            .collect::<Option<_>>()
            .ok_or_else(|| Error::no_such_image(id))?;
        let (_, text) = manifest_of(id, &config, &layers)?;
        let manifest = Descriptor::new(OCI_MANIFEST, Digest::of(&text), text.len() as u64);
        Ok(Whole {
            config,
            manifest,
            text,
            layers,
            diff_ids,
            platform,
        })
    }
}

fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn blob(archive: &mut BridgeWriter, blob: &Descriptor, mut source: File) -> Result<()> {
    header(archive, &path(&blob.digest), tar::EntryType::Regular, blob.size)?;
    archive.copy(&mut source, blob.size).map_err(broken)?;
    pad(archive, blob.size)
}

fn table(archive: &mut BridgeWriter, name: &str, value: &serde_json::Value) -> Result<()> {
    file(archive, name, value.to_string().as_bytes())
}

fn file(archive: &mut BridgeWriter, path: &str, text: &[u8]) -> Result<()> {
    header(archive, path, tar::EntryType::Regular, text.len() as u64)?;
    archive.write_all(text).map_err(broken)?;
    pad(archive, text.len() as u64)
}

fn header(archive: &mut BridgeWriter, path: &str, kind: tar::EntryType, size: u64) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_path(path).map_err(broken)?;
    header.set_size(size);
    header.set_mode(if kind == tar::EntryType::Directory {
        0o755
    } else {
        0o644
    });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    archive.write_all(header.as_bytes()).map_err(broken)
}

/// An entry's data ends at a whole block.
fn pad(archive: &mut BridgeWriter, size: u64) -> Result<()> {
    let rest = (size % BLOCK as u64) as usize;
    let missing = (BLOCK - rest) % BLOCK;
    archive.write_all(&[0; BLOCK][..missing]).map_err(broken)
}

fn broken(error: io::Error) -> Error {
    Error::Unreachable(format!("cannot write the archive: {error}"))
}
