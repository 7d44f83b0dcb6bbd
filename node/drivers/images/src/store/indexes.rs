//! Indexes: what a name stands for when it came with images for several platforms, and what of them is here.

use std::sync::Arc;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::{Descriptor, Document, MANIFEST_MAX, Manifest};
use crate::platform::Platform;
use crate::store::Store;
use crate::store::state::{Entry, State};

/// An index that a name stands for.
#[derive(Debug)]
pub(crate) struct IndexEntry {
    pub descriptor: Descriptor,
    /// In the index's order.
    pub members: Vec<Member>,
}

/// One manifest of an index.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// As the index lists it.
    pub descriptor: Descriptor,
    pub kind: Kind,
    /// What its manifest names, if that was here when the index was read. Whether it still is, only the store's
    /// blobs say.
    pub contents: Option<Contents>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Image,
    /// Statements about the image of this manifest.
    Attestation(Option<Digest>),
    Unknown,
}

#[derive(Debug, Clone)]
pub(crate) struct Contents {
    pub config: Descriptor,
    /// Bottom first.
    pub layers: Vec<Descriptor>,
}

impl Contents {
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}

/// An image of an index that is here.
#[derive(Debug, Clone)]
pub(crate) struct Variant {
    pub member: Member,
    pub image: Arc<Entry>,
}

impl Variant {
    pub fn id(&self) -> &Digest {
        &self.image.record.id
    }

    /// As the index says; without that, as the configuration does.
    pub fn platform(&self) -> Platform {
        let listed = self.member.descriptor.platform.clone();
        listed
            .unwrap_or_else(|| self.image.config.platform())
            .normalized()
    }
}

impl Store {
    /// Reads an index that is in the store, and the manifests of it that are, for all who ask from now on. The
    /// caller has it pinned, or a name stands for it.
    pub fn learn(&self, index: &Descriptor) -> Result<Arc<IndexEntry>> {
        let text = self.read_blob(&index.digest, MANIFEST_MAX)?;
        let Document::Index(parsed) = Document::parse(&text, &index.media_type)? else {
            return Err(Error::Corrupt(format!("{} is no index", index.digest)));
        };
        let members = parsed
            .manifests
            .into_iter()
            .map(|descriptor| self.member(descriptor));
        let entry = Arc::new(IndexEntry {
            descriptor: index.plain(),
            members: members.collect(),
        });
        let mut state = self.state.lock();
        state.indexes.insert(index.digest.clone(), entry.clone());
        Ok(entry)
    }

    fn member(&self, descriptor: Descriptor) -> Member {
        let contents = self.has_blob(&descriptor.digest).then(|| {
            let text = self.read_blob(&descriptor.digest, MANIFEST_MAX)?;
            Manifest::of_anything(&text)
        });
        let contents = match contents {
            Some(Ok(manifest)) => Some(Contents {
                config: manifest.config,
                layers: manifest.layers,
            }),
            Some(Err(error)) => {
                tracing::warn!("manifest {} cannot be read: {error}", descriptor.digest);
                None
            }
            None => None,
        };
        let kind = match descriptor.attests() {
            Some(about) => Kind::Attestation(about),
            None if descriptor.is_unknown() => Kind::Unknown,
            None => Kind::Image,
        };
        Member {
            descriptor,
            kind,
            contents,
        }
    }
}

impl State {
    /// The images of an index that are here, in its order; each once.
    pub fn variants(&self, index: &Digest) -> Vec<Variant> {
        let Some(index) = self.indexes.get(index) else {
            return Vec::new();
        };
        let mut variants: Vec<Variant> = Vec::new();
        for member in &index.members {
            if let Some(image) = self.image_of(member)
                && !variants.iter().any(|known| known.id() == &image.record.id)
            {
                variants.push(Variant {
                    member: member.clone(),
                    image: image.clone(),
                });
            }
        }
        variants
    }

    /// The image of a member, if it is one and is here.
    pub fn image_of(&self, member: &Member) -> Option<&Arc<Entry>> {
        let contents = member.contents.as_ref()?;
        let here = member.kind == Kind::Image && self.blobs.contains(&member.descriptor.digest);
        here.then(|| self.images.get(&contents.config.digest)).flatten()
    }

    /// What is meant by an index when no platform is asked for: this machine's, or else the first that is here.
    pub fn default_of(&self, index: &Digest) -> Option<Digest> {
        let variants = self.variants(index);
        let host = best(&variants, &Platform::host()).or(variants.first());
        host.map(|variant| variant.id().clone())
    }

    /// Whether an index leads to an image that is here.
    pub fn leads_to(&self, index: &Digest, id: &Digest) -> bool {
        self.indexes.get(index).is_some_and(|index| {
            let mut images = index.members.iter().filter_map(|member| self.image_of(member));
            images.any(|image| image.record.id == *id)
        })
    }

    /// The manifest by which an index leads to an image.
    pub fn manifest_of(&self, index: &Digest, id: &Digest) -> Option<Descriptor> {
        let mut members = self.indexes.get(index)?.members.iter();
        let member = members.find(|member| self.image_of(member).is_some_and(|image| image.record.id == *id));
        member.map(|member| member.descriptor.plain())
    }

    /// What of an index is to be kept: its images' manifests and blobs, and what is said of them.
    pub fn kept_by(&self, index: &IndexEntry) -> Vec<Digest> {
        let mut kept = vec![index.descriptor.digest.clone()];
        let here = |manifest: &Digest| {
            let of = index
                .members
                .iter()
                .find(|other| other.descriptor.digest == *manifest);
            of.is_none_or(|member| self.image_of(member).is_some())
        };
        for member in &index.members {
            let keep = match &member.kind {
                Kind::Image => self.image_of(member).is_some(),
                Kind::Attestation(about) => about.as_ref().is_none_or(here),
                Kind::Unknown => true,
            };
            if let (true, Some(contents)) = (keep, &member.contents) {
                kept.push(member.descriptor.digest.clone());
                kept.extend(contents.blobs().map(|blob| blob.digest.clone()));
            }
        }
        kept
    }
}

/// The one that fits best.
pub(crate) fn best<'a>(variants: &'a [Variant], wanted: &Platform) -> Option<&'a Variant> {
    let ranked = variants
        .iter()
        .filter_map(|variant| Some((wanted.rank(&variant.platform())?, variant)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, variant)| variant)
}
