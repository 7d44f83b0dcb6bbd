//! What a push has to bring to the registry, found out before the first byte goes.

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::{Descriptor, OCI_LAYER};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::save::Whole;
use crate::store::{Lease, Store};
use std::sync::Arc;

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
    /// Layers bottom first, then the configuration.
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
    pub fn make(
        store: &Arc<Store>,
        lease: &mut Lease,
        name: &Reference,
        platform: Option<&Platform>,
    ) -> Result<Plan> {
        let id = {
            let state = store.state.lock();
            let tagged = state.references.tags.get(&name.to_string());
            let id = tagged.map(|tagged| tagged.id.clone());
            id.ok_or_else(|| Error::no_such_image(name.familiar()))?
        };
        let _ = platform;
        Plan::single(store, lease, &id)
    }

    /// One image with one manifest.
    fn single(store: &Arc<Store>, lease: &mut Lease, id: &Digest) -> Result<Plan> {
        lease.pin_image(id)?;
        let whole = Whole::gather(store, id)?;
        let entry = store.state.lock().images.get(id).cloned();
        let entry = entry.ok_or_else(|| Error::no_such_image(id))?;
        let came = {
            let state = store.state.lock();
            let (_, digests) = state.names(id);
            let top = entry.record.index.as_ref().unwrap_or(&whole.manifest);
            digests.iter().any(|name| name.digest() == Some(&top.digest))
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
            contents,
            text,
            partial: None,
        })
    }
}
