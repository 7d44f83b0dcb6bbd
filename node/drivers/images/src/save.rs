//! Images as an archive that `docker load` of any age reads: an OCI layout with Docker's tables beside it.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read, Write};
use std::sync::Arc;

use serde_json::json;
use tokio::io::AsyncRead;

use crate::bridge;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::images::Images;
use crate::install::manifest_of;
use crate::lookup::{find, is_name};
use crate::manifest::{Descriptor, Document, MANIFEST_MAX, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::{Lease, Store};

/// One image to be written and the names it was asked by.
struct Wanted {
    id: Digest,
    names: Vec<Reference>,
}

impl Images {
    /// An archive of the named images. Fails at once if one is missing; a failure on the way breaks the stream
    /// off. A name without a tag means all tags of that repository, an id means the image without names.
    pub fn save(&self, names: &[String]) -> Result<impl AsyncRead + Send + Unpin + 'static> {
        let mut lease = Lease::reading(&self.store);
        let wanted = wanted(&self.store, names)?;
        for image in &wanted {
            lease.pin_image(&image.id)?;
        }
        let (writer, reader) = bridge::writer();
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || {
            let mut archive = tar::Builder::new(writer);
            let done = write(&store, &mut archive, &wanted);
            drop(lease);
            match (done, archive.into_inner()) {
                (Ok(()), Ok(mut writer)) => drop(writer.flush()),
                (Err(error), Ok(writer)) => writer.fail(io::Error::other(error.to_string())),
                // Nobody reads any more.
                (_, Err(_)) => {}
            }
        });
        Ok(reader)
    }
}

fn wanted(store: &Store, names: &[String]) -> Result<Vec<Wanted>> {
    let state = store.state.lock();
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut add = |id: Digest, name: Option<Reference>| {
        let at = wanted.iter().position(|image| image.id == id).unwrap_or_else(|| {
            wanted.push(Wanted {
                id,
                names: Vec::new(),
            });
            wanted.len() - 1
        });
        wanted[at].names.extend(name);
    };
    for name in names {
        let reference = Reference::parse(name).ok();
        let bare = reference
            .as_ref()
            .filter(|name| name.tag().is_none() && name.digest().is_none());
        let tags = state
            .references
            .tags
            .iter()
            .filter_map(|(tag, tagged)| Some((Reference::parse(tag).ok()?, tagged)));
        let all: Vec<_> = tags
            .filter(|(tag, _)| bare.is_some_and(|bare| bare.repository() == tag.repository()))
            .collect();
        if !all.is_empty() {
            all.into_iter()
                .for_each(|(tag, tagged)| add(tagged.id.clone(), Some(tag)));
            continue;
        }
        let id = find(&state, name)?;
        let named = reference.filter(|reference| reference.tag().is_some() && is_name(&state, name));
        add(id, named.filter(|reference| reference.digest().is_none()));
    }
    Ok(wanted)
}

fn write(store: &Arc<Store>, archive: &mut tar::Builder<impl Write>, wanted: &[Wanted]) -> Result<()> {
    let (mut items, mut entries, mut written) = (Vec::new(), Vec::new(), HashSet::new());
    let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for directory in ["blobs/", "blobs/sha256/"] {
        append(archive, directory, tar::EntryType::Directory, 0, io::empty())?;
    }
    for image in wanted {
        let whole = Whole::gather(store, &image.id)?;
        for layer in &whole.layers {
            if written.insert(layer.digest.clone()) {
                blob(
                    archive,
                    &layer.digest,
                    layer.size,
                    store.open_blob(&layer.digest)?,
                )?;
            }
        }
        for text in [&whole.config, &whole.text] {
            let digest = Digest::of(text);
            if written.insert(digest.clone()) {
                blob(archive, &digest, text.len() as u64, &text[..])?;
            }
        }
        let mut entry = whole.manifest.clone();
        entry.platform = Some(whole.platform);
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
        let path = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
        let tags: Vec<_> = image.names.iter().map(Reference::familiar).collect();
        items.push(json!({
            "Config": path(&image.id),
            "RepoTags": if tags.is_empty() { serde_json::Value::Null } else { json!(tags) },
            "Layers": whole.layers.iter().map(|layer| path(&layer.digest)).collect::<Vec<_>>(),
        }));
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
    archive.finish().map_err(broken)
}

/// Everything that makes up an image.
pub(crate) struct Whole {
    pub config: Vec<u8>,
    pub manifest: Descriptor,
    pub text: Vec<u8>,
    pub layers: Vec<Descriptor>,
    pub platform: Platform,
}

impl Whole {
    /// As its manifest names it.
    pub fn config_descriptor(&self, id: &Digest) -> Descriptor {
        Descriptor::new(OCI_CONFIG, id.clone(), self.config.len() as u64)
    }

    /// With its own manifest if all the layers that it names are here; with one made for those that are, if
    /// another image brought a layer packed differently.
    pub fn gather(store: &Store, id: &Digest) -> Result<Whole> {
        let entry = store
            .state
            .lock()
            .images
            .get(id)
            .cloned()
            .ok_or_else(|| Error::no_such_image(id))?;
        let config = entry.raw.to_vec();
        let platform = Platform {
            os: entry.config.os.clone(),
            architecture: entry.config.architecture.clone(),
            variant: entry.config.variant.clone(),
        };
        let manifest = entry.record.manifest.clone();
        if let Ok(text) = store.read_blob(&manifest.digest, MANIFEST_MAX)
            && let Document::Manifest(own) = Document::parse(&text, &manifest.media_type)?
            && own.layers.iter().all(|layer| store.has_blob(&layer.digest))
        {
            return Ok(Whole {
                config,
                manifest,
                text,
                layers: own.layers,
                platform,
            });
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
            platform,
        })
    }
}

fn blob(archive: &mut tar::Builder<impl Write>, digest: &Digest, size: u64, source: impl Read) -> Result<()> {
    append(
        archive,
        &format!("blobs/sha256/{}", digest.hex()),
        tar::EntryType::Regular,
        size,
        source,
    )
}

fn table(archive: &mut tar::Builder<impl Write>, name: &str, value: &serde_json::Value) -> Result<()> {
    let text = value.to_string();
    append(
        archive,
        name,
        tar::EntryType::Regular,
        text.len() as u64,
        text.as_bytes(),
    )
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    path: &str,
    kind: tar::EntryType,
    size: u64,
    source: impl Read,
) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(if kind == tar::EntryType::Directory {
        0o755
    } else {
        0o644
    });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    archive
        .append_data(&mut header, path, source.take(size))
        .map_err(broken)
}

fn broken(error: io::Error) -> Error {
    Error::Unreachable(format!("cannot write the archive: {error}"))
}
