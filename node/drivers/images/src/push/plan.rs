//! What a push has to bring to the registry, found out before the first byte goes.

use std::sync::Arc;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::lookup::{find, for_platform};
use crate::manifest::{Descriptor, MANIFEST_MAX, OCI_LAYER};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::save::Whole;
use crate::store::indexes::{Kind, best};
use crate::store::{Lease, Store};

/// One blob.
#[derive(Debug, Clone)]
pub(super) struct Content {
    /// How progress names it.
    pub label: String,
    pub blob: Descriptor,
    /// To be packed on the way: the layer's DiffID.
    pub pack: Option<Digest>,
    /// Not spoken of: to those who watch, only layers are pushed.
    pub silent: bool,
}

pub(super) enum Text {
    /// As they are: manifests, and what the tag is to stand for.
    Ready {
        documents: Vec<(Descriptor, Vec<u8>)>,
        top: (Descriptor, Vec<u8>),
    },
    /// Made when the layers are packed.
    Made { id: Digest, config: Vec<u8> },
}

pub(super) struct Plan {
    /// The image that the pushed digest will name.
    pub id: Digest,
    /// What is pushed, if that is an index.
    pub index: Option<Descriptor>,
    /// Layers bottom first, then the configuration; of one image after the other.
    pub contents: Vec<Content>,
    pub text: Text,
    pub partial: Option<Partial>,
}

/// An index of which not everything is here.
pub(super) struct Partial {
    pub missing: Vec<Descriptor>,
    /// What goes if the registry does not have the rest.
    pub alone: Option<Box<Plan>>,
}

impl Plan {
    /// Without a platform the index that the name stands for goes, if what it lists is here or in the registry; or else
    /// its one image that is here, or the one for this machine.
    pub fn make(
        store: &Arc<Store>,
        lease: &mut Lease,
        name: &Reference,
        platform: Option<&Platform>,
    ) -> Result<Plan> {
        let said = name.familiar();
        let (found, chosen) = {
            let state = store.state.lock();
            let found = find(&state, &said)?;
            let chosen = platform.map(|platform| for_platform(&state, &said, &found, platform));
            let chosen = chosen.transpose()?;
            (found, chosen)
        };
        let Some(index) = &found.index else {
            return Plan::single(store, lease, &chosen.unwrap_or(found.id), None);
        };
        lease.pin_index(index);
        let manifest_of = |id: &Digest| store.state.lock().manifest_of(index, id);
        match chosen {
            Some(id) => Plan::single(store, lease, &id, manifest_of(&id)),
            None => {
                let mut plan = Plan::index(store, index, &found.id)?;
                if let Some(partial) = &mut plan.partial {
                    let variants = store.state.lock().variants(index);
                    let host = best(&variants, &Platform::host());
                    let alone = match &variants[..] {
                        [one] => Some(one),
                        _ => host,
                    };
                    let alone =
                        alone.map(|v| Plan::single(store, lease, v.id(), Some(v.member.descriptor.plain())));
                    partial.alone = alone.transpose()?.map(Box::new);
                }
                Ok(plan)
            }
        }
    }

    /// An index with all of it that is here.
    fn index(store: &Store, index: &Digest, id: &Digest) -> Result<Plan> {
        let entry = store.state.lock().indexes.get(index).cloned();
        let entry = entry.ok_or_else(|| Error::no_such_image(id))?;
        let (mut contents, mut documents, mut missing) = (Vec::<Content>::new(), Vec::new(), Vec::new());
        for member in &entry.members {
            let here = member.contents.as_ref().filter(|contents| {
                let mut blobs = contents.blobs();
                store.has_blob(&member.descriptor.digest) && blobs.all(|blob| store.has_blob(&blob.digest))
            });
            let Some(here) = here else {
                missing.push(member.descriptor.plain());
                continue;
            };
            let image = store.state.lock().images.get(&here.config.digest).cloned();
            let diff_ids = image
                .as_ref()
                .map(|image| &image.config.rootfs.diff_ids[..])
                .unwrap_or_default();
            for (at, layer) in here.layers.iter().enumerate() {
                let label = diff_ids.get(at).unwrap_or(&layer.digest).short().to_owned();
                add(&mut contents, label, layer, member.kind != Kind::Image);
            }
            add(
                &mut contents,
                here.config.digest.short().to_owned(),
                &here.config,
                true,
            );
            let manifest = member.descriptor.plain();
            let text = store.read_blob(&manifest.digest, MANIFEST_MAX)?;
            documents.push((manifest, text));
        }
        let text = store.read_blob(index, MANIFEST_MAX)?;
        Ok(Plan {
            id: id.clone(),
            index: Some(entry.descriptor.clone()),
            contents,
            text: Text::Ready {
                documents,
                top: (entry.descriptor.clone(), text),
            },
            partial: (!missing.is_empty()).then_some(Partial { missing, alone: None }),
        })
    }

    /// One image with one manifest.
    fn single(
        store: &Arc<Store>,
        lease: &mut Lease,
        id: &Digest,
        manifest: Option<Descriptor>,
    ) -> Result<Plan> {
        lease.pin_image(id)?;
        let whole = Whole::gather(store, id, manifest.as_ref())?;
        let entry = store.state.lock().images.get(id).cloned();
        let entry = entry.ok_or_else(|| Error::no_such_image(id))?;
        let came = manifest.is_some() || {
            let state = store.state.lock();
            let (_, digests) = state.names(id);
            digests
                .iter()
                .any(|name| name.digest() == Some(&whole.manifest.digest))
        };
        let plain = |layer: &Descriptor| layer.media_type == OCI_LAYER || layer.media_type.ends_with(".tar");
        let pack = !came && whole.layers.iter().any(plain);
        let layers = whole.layers.iter().zip(&entry.config.rootfs.diff_ids);
        let mut contents: Vec<Content> = layers
            .map(|(layer, diff_id)| Content {
                label: diff_id.short().to_owned(),
                blob: layer.clone(),
                pack: (pack && plain(layer)).then(|| diff_id.clone()),
                silent: false,
            })
            .collect();
        contents.push(Content {
            label: id.short().to_owned(),
            blob: whole.config_descriptor(id),
            pack: None,
            silent: true,
        });
        let text = if pack {
            Text::Made {
                id: id.clone(),
                config: whole.config,
            }
        } else {
            Text::Ready {
                documents: Vec::new(),
                top: (whole.manifest, whole.text),
            }
        };
        Ok(Plan {
            id: id.clone(),
            index: None,
            contents,
            text,
            partial: None,
        })
    }
}

/// Once: images for several platforms have layers in common.
fn add(contents: &mut Vec<Content>, label: String, blob: &Descriptor, silent: bool) {
    if !contents.iter().any(|known| known.blob.digest == blob.digest) {
        contents.push(Content {
            label,
            blob: blob.plain(),
            pack: None,
            silent,
        });
    }
}
