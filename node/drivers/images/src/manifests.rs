//! What is listed under a name: images for several platforms, and what is said of them.

use serde_json::value::RawValue;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::images::Images;
use crate::lookup::{find, for_platform};
use crate::manifest::Descriptor;
use crate::platform::Platform;
use crate::store::indexes::{Kind, Member};
use crate::store::state::State;

/// How BuildKit says what a statement is about.
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";
const STATEMENT_MAX: u64 = 64 << 20;

/// One manifest of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// As the index lists it.
    pub descriptor: Descriptor,
    /// Whether what it leads to is here.
    pub available: bool,
    /// Bytes of the manifest and its blobs, of those that are here.
    pub content_size: u64,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub enum What {
    Image {
        platform: Platform,
        /// Its id, if it is here.
        id: Option<String>,
        /// Bytes of its layers, unpacked.
        unpacked_size: u64,
    },
    /// Statements about the image with this manifest.
    Attestation {
        about: Option<Digest>,
    },
    Unknown,
}

/// One in-toto statement.
#[derive(Debug)]
pub struct Statement {
    pub descriptor: Descriptor,
    pub predicate_type: String,
    /// Word for word, if it was asked for.
    pub text: Option<Box<RawValue>>,
}

impl Images {
    /// All manifests of what an image's names stand for.
    pub fn manifests(&self, image: &Image) -> Vec<Listed> {
        let state = self.store.state.lock();
        let mut listed: Vec<Listed> = Vec::new();
        for index in &image.indexes {
            let Some(index) = state.indexes.get(&index.digest) else {
                continue;
            };
            for member in &index.members {
                if !listed
                    .iter()
                    .any(|known| known.descriptor.digest == member.descriptor.digest)
                {
                    listed.push(list(&state, member));
                }
            }
        }
        if listed.is_empty() {
            listed.push(alone(&state, image));
        }
        listed
    }

    /// What is stated about an image for a platform (this machine's, or what is meant, by default): of the given kinds
    /// of statement, or of all.
    pub async fn attestations(
        &self,
        name: &str,
        platform: Option<Platform>,
        kinds: Vec<String>,
        whole: bool,
    ) -> Result<Vec<Statement>> {
        let name = name.to_owned();
        self.blocking(move |store| {
            let layers: Vec<Descriptor> = {
                let state = store.state.lock();
                let found = find(&state, &name)?;
                let id = match &platform {
                    Some(platform) => for_platform(&state, &name, &found, platform)?,
                    None => found.id.clone(),
                };
                let Some(index) = found.index.and_then(|index| state.indexes.get(&index)) else {
                    return Ok(Vec::new());
                };
                let of_image = |member: &&Member| {
                    let image = state.image_of(member);
                    image.is_some_and(|image| image.record.id == id)
                };
                let manifests: Vec<&Digest> = index
                    .members
                    .iter()
                    .filter(of_image)
                    .map(|member| &member.descriptor.digest)
                    .collect();
                let about = |member: &&Member| match &member.kind {
                    Kind::Attestation(Some(about)) => manifests.contains(&about),
                    _ => false,
                };
                let contents = index
                    .members
                    .iter()
                    .filter(about)
                    .filter_map(|m| m.contents.as_ref());
                contents.flat_map(|contents| contents.layers.clone()).collect()
            };
            let mut statements = Vec::new();
            for layer in layers {
                let Some(kind) = layer.annotations.get(PREDICATE_TYPE).cloned() else {
                    continue;
                };
                if !kinds.is_empty() && !kinds.contains(&kind) {
                    continue;
                }
                let text = whole.then(|| {
                    let text = store.read_blob(&layer.digest, STATEMENT_MAX)?;
                    serde_json::from_slice(&text).map_err(|e| {
                        Error::Corrupt(format!(
                            "attestation statement {} cannot be read: {e}",
                            layer.digest
                        ))
                    })
                });
                statements.push(Statement {
                    descriptor: layer,
                    predicate_type: kind,
                    text: text.transpose()?,
                });
            }
            Ok(statements)
        })
        .await
    }
}

fn list(state: &State, member: &Member) -> Listed {
    let here = |blob: &Descriptor| state.blobs.contains(&blob.digest);
    let manifest = here(&member.descriptor);
    let contents = member.contents.as_ref().filter(|_| manifest);
    let blobs = || contents.into_iter().flat_map(|contents| contents.blobs());
    let image = state.image_of(member);
    let size: u64 = blobs().filter(|blob| here(blob)).map(|blob| blob.size).sum();
    Listed {
        descriptor: member.descriptor.clone(),
        available: image.is_some() || (contents.is_some() && blobs().all(here)),
        content_size: size + if manifest { member.descriptor.size } else { 0 },
        what: match &member.kind {
            Kind::Image => {
                What::Image {
                    platform: member.descriptor.platform.clone().unwrap_or_else(|| {
                        image.map_or_else(Platform::default, |image| image.config.platform())
                    }),
                    id: image.map(|image| image.record.id.to_string()),
                    unpacked_size: image.map_or(0, |image| unpacked(state, image.record.layers.last())),
                }
            }
            Kind::Attestation(about) => What::Attestation { about: about.clone() },
            Kind::Unknown => What::Unknown,
        },
    }
}

/// An image that came without an index.
fn alone(state: &State, image: &Image) -> Listed {
    let layers = state.stack(image.layers.last());
    let packed: u64 = layers.iter().map(|layer| layer.blob.size).sum();
    Listed {
        descriptor: image.manifest.clone(),
        available: true,
        content_size: image.manifest.size + image.raw_config.len() as u64 + packed,
        what: What::Image {
            platform: image.config.platform(),
            id: Some(image.id.clone()),
            unpacked_size: image.size,
        },
    }
}

fn unpacked(state: &State, top: Option<&Digest>) -> u64 {
    state.stack(top).iter().map(|layer| layer.size).sum()
}
