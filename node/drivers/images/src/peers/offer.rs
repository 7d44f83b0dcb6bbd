//! What a node has under a name, as far as another one must know to copy it.

use crate::config;
use crate::digest::Digest;
use crate::error::Result;
use crate::images::Images;
use crate::manifest::{Descriptor, Document, MANIFEST_MAX};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::state::State;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub image_id: Digest,
    /// As its configuration says.
    pub platform: Platform,
    pub manifest: Descriptor,
    /// The index through which it was pulled.
    pub index: Option<Descriptor>,
    /// The blobs of its layers as they lie there, bottom first; another image may have brought one packed otherwise than
    /// the manifest says.
    pub layers: Vec<Descriptor>,
    /// Bytes of the configuration.
    pub config_size: u64,
    /// When a hand gave it the name, nanoseconds since the epoch; 0 for a name with a digest.
    pub named_at: i64,
    /// `name@digest` leads to it as well: it came from the registry of its name.
    pub registered: bool,
}

/// How an image is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    Name(Reference),
    /// By its id, or these hexadecimal digits at the beginning of it.
    Id(String),
}

impl Asked {
    /// As it goes over the wire: a full name, or `sha256:` and digits, which no full name is.
    pub fn parse(text: &str) -> Result<Asked> {
        match text.strip_prefix("sha256:") {
            Some(digits) if id_digits(digits) => Ok(Asked::Id(digits.to_owned())),
            _ => Reference::parse(text).map(Asked::Name),
        }
    }

    /// What a user wrote; digits alone are an id if they are as many as Docker shows.
    pub fn by_id(text: &str) -> Option<Asked> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let id = id_digits(digits) && digits.len() >= ID_MIN;
        id.then(|| Asked::Id(digits.to_owned()))
    }
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Asked::Name(name) => write!(f, "{name}"),
            Asked::Id(digits) => write!(f, "sha256:{digits}"),
        }
    }
}

/// Digits of a short id.
const ID_MIN: usize = 12;

fn id_digits(text: &str) -> bool {
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    (1..=64).contains(&text.len()) && text.bytes().all(hex)
}

/// What a name leads to here.
pub(super) struct Named {
    pub image: Digest,
    pub named_at: i64,
    /// The name came with a copy from another node.
    pub copied: bool,
    /// What the name stands for if that is an index.
    pub index: Option<Descriptor>,
}

impl Named {
    /// The one image whose id begins with these hexadecimal digits.
    pub fn find_id(state: &State, digits: &str) -> Option<Named> {
        let mut found = state.images.keys().filter(|id| id.hex().starts_with(digits));
        let (image, None) = (found.next()?.clone(), found.next()) else {
            return None;
        };
        Some(Named {
            image,
            named_at: 0,
            copied: false,
            index: None,
        })
    }

    pub fn find(state: &State, name: &Reference) -> Option<Named> {
        let named = match name.digest() {
            Some(digest) => Named {
                image: state
                    .references
                    .digests
                    .get(&name.with_digest(digest.clone()).to_string())?
                    .clone(),
                named_at: 0,
                copied: false,
                index: state.indexes.get(digest).map(|index| index.descriptor.clone()),
            },
            None => {
                let tagged = state.references.tags.get(&name.clone().or_latest().to_string())?;
                Named {
                    image: tagged.id.clone(),
                    named_at: config::unix_nanos(&tagged.at),
                    copied: tagged.copied,
                    index: tagged.index.clone(),
                }
            }
        };
        state.images.contains_key(&named.image).then_some(named)
    }
}

impl Images {
    /// What this store has under a name, or by an id; nothing if it has none or not every blob of it. Blocks.
    pub(super) fn offer(&self, asked: &Asked) -> Option<Offer> {
        let store = &self.store;
        let (entry, named_at, layers, manifest, index, registered) = {
            let state = store.state.lock();
            let named = match asked {
                Asked::Name(name) => Named::find(&state, name),
                Asked::Id(digits) => Named::find_id(&state, digits),
            }?;
            let entry = state.images.get(&named.image)?.clone();
            let record = &entry.record;
            let layers: Option<Vec<_>> = record
                .layers
                .iter()
                .map(|chain| state.layers.get(chain).map(|layer| layer.blob.clone()))
                .collect();
            let index = named.index.filter(|index| state.blobs.contains(&index.digest));
            let manifest = index
                .as_ref()
                .and_then(|index| state.manifest_of(&index.digest, &record.id))
                .filter(|manifest| state.blobs.contains(&manifest.digest))
                .unwrap_or_else(|| record.manifest.clone());
            let top = index.as_ref().unwrap_or(&manifest);
            let registered = match asked {
                Asked::Name(name) => {
                    let top = name.with_digest(top.digest.clone()).to_string();
                    state.references.digests.contains_key(&top)
                }
                Asked::Id(_) => false,
            };
            (entry, named.named_at, layers?, manifest, index, registered)
        };
        let record = &entry.record;
        // The manifest's own packing, where it is here.
        let text = store.read_blob(&manifest.digest, MANIFEST_MAX).ok()?;
        let layers = match Document::parse(&text, &manifest.media_type) {
            Ok(Document::Manifest(own)) if own.layers.len() == layers.len() => own
                .layers
                .into_iter()
                .zip(layers)
                .map(|(own, here)| match store.has_blob(&own.digest) {
                    true => own,
                    false => here,
                })
                .collect(),
            _ => layers,
        };
        let whole = layers.iter().all(|layer| store.has_blob(&layer.digest));
        whole.then(|| Offer {
            image_id: record.id.clone(),
            platform: Platform {
                os: entry.config.os.clone(),
                architecture: entry.config.architecture.clone(),
                variant: entry.config.variant.clone(),
            },
            manifest,
            index,
            layers,
            config_size: entry.raw.len() as u64,
            named_at,
            registered,
        })
    }
}
