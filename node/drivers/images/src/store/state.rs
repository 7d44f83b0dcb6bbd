//! What is in the store, in memory; the disk is read once, at open.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::config::ConfigFile;
use crate::digest::Digest;
use crate::image::Image;
use crate::reference::Reference;
use crate::store::paths::Paths;
use crate::store::records::{ImageRecord, LayerRecord, References};

#[derive(Debug, Default)]
pub(crate) struct State {
    pub images: HashMap<Digest, Arc<Entry>>,
    pub references: References,
    pub layers: HashMap<Digest, LayerRecord>,
    pub blobs: HashSet<Digest>,
    /// The top chain id under each snapshot; `None` for an image without layers.
    pub snapshots: HashMap<String, Option<Digest>>,
    /// What running operations rely on, by how many.
    pub pins: HashMap<Digest, u32>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub record: ImageRecord,
    pub config: Arc<ConfigFile>,
    pub raw: Arc<[u8]>,
}

impl State {
    /// The whole stack under a chain id, top first.
    pub fn stack(&self, top: Option<&Digest>) -> Vec<&LayerRecord> {
        let mut stack = Vec::new();
        let mut next = top;
        while let Some(layer) = next.and_then(|chain| self.layers.get(chain)) {
            stack.push(layer);
            next = layer.parent.as_ref();
        }
        stack
    }

    /// Names of an image: with tags, then with digests, each sorted.
    pub fn names(&self, id: &Digest) -> (Vec<Reference>, Vec<Reference>) {
        let parse = |name: &String| Reference::parse(name).ok();
        let tags = self.references.tags.iter().filter(|(_, tagged)| tagged.id == *id);
        let digests = self.references.digests.iter().filter(|(_, target)| *target == id);
        (
            tags.filter_map(|(name, _)| parse(name)).collect(),
            digests.filter_map(|(name, _)| parse(name)).collect(),
        )
    }

    pub fn image(&self, paths: &Paths, entry: &Entry) -> Image {
        let config = &entry.config;
        let id = &entry.record.id;
        let (tags, digests) = self.names(id);
        let stack = self.stack(entry.record.layers.last());
        let tagged = self.references.tags.values().filter(|tagged| tagged.id == *id);
        Image {
            id: id.to_string(),
            repo_tags: tags.iter().map(Reference::familiar).collect(),
            repo_digests: digests.iter().map(Reference::familiar).collect(),
            created: config.created.clone().unwrap_or_default(),
            created_unix: config.created_unix(),
            size: stack.iter().map(|layer| layer.size).sum(),
            layers: entry.record.layers.clone(),
            os: config.os.clone(),
            architecture: config.architecture.clone(),
            variant: config.variant.clone(),
            manifest: entry.record.manifest.clone(),
            lower: lower(paths, &stack),
            last_tagged: tagged.map(|tagged| tagged.at.clone()).max(),
            config: config.clone(),
            raw_config: entry.raw.clone(),
        }
    }
}

/// The directories of a stack, top first.
pub(crate) fn lower(paths: &Paths, stack: &[&LayerRecord]) -> Vec<std::path::PathBuf> {
    match stack {
        [] => vec![paths.nothing()],
        stack => stack.iter().map(|layer| paths.diff(&layer.chain)).collect(),
    }
}
