//! What is in the store, in memory; the disk is read once, at open.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::config::ConfigFile;
use crate::digest::Digest;
use crate::image::Image;
use crate::manifest::Descriptor;
use crate::reference::Reference;
use crate::store::blobs::Aside;
use crate::store::indexes::IndexEntry;
use crate::store::paths::Paths;
use crate::store::records::{ImageRecord, LayerRecord, References};

#[derive(Debug, Default)]
pub(crate) struct State {
    pub images: HashMap<Digest, Arc<Entry>>,
    pub references: References,
    /// Those that names stand for.
    pub indexes: HashMap<Digest, Arc<IndexEntry>>,
    pub layers: HashMap<Digest, LayerRecord>,
    pub blobs: HashSet<Digest>,
    /// Those of them whose content may not be on the disk yet: they lie aside, nameless, so that a blob with a name is
    /// whole whenever the power goes.
    pub unsynced: HashMap<Digest, Arc<Aside>>,
    /// Those of the layers whose content may not be on the disk yet.
    pub unsettled: HashMap<Digest, Unsettled>,
    /// The top chain id under each snapshot; `None` for an image without layers.
    pub snapshots: HashMap<String, Option<Digest>>,
    /// What running operations rely on, by how many.
    pub pins: HashMap<Digest, u32>,
}

#[derive(Debug)]
pub(crate) enum Unsettled {
    /// Each time that a layer is unpacked anew it is another.
    Made(Arc<()>),
    /// The disk refused it, and would tell nobody a second time. It is made again at the next start.
    Refused,
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

    pub fn add_unsettled(&mut self, layer: LayerRecord) {
        let made = Unsettled::Made(Arc::default());
        self.unsettled.insert(layer.chain.clone(), made);
        self.layers.insert(layer.chain.clone(), layer);
    }

    /// Whether all of a stack is on the disk.
    pub fn is_settled(&self, top: Option<&Digest>) -> bool {
        let settled = |layer: &&LayerRecord| !self.unsettled.contains_key(&layer.chain);
        self.unsettled.is_empty() || self.stack(top).iter().all(settled)
    }

    /// Whether containers use layers of an image that may not be on the disk yet.
    pub fn is_under_containers(&self, id: &Digest) -> bool {
        let layers = self.images.get(id).map(|image| &image.record.layers[..]);
        let unsettled = |chain: &&Digest| self.unsettled.contains_key(*chain);
        let unsettled: HashSet<&Digest> = layers.unwrap_or_default().iter().filter(unsettled).collect();
        let used = |top: &Option<Digest>| {
            let stack = self.stack(top.as_ref());
            stack.iter().any(|layer| unsettled.contains(&layer.chain))
        };
        !unsettled.is_empty() && self.snapshots.values().any(used)
    }

    /// All names, with what they mean and the index that they stand for, if it is one.
    pub fn meanings(&self) -> impl Iterator<Item = Meaning<'_>> {
        self.meanings_where(|_| true)
    }

    /// Those that mean an image.
    pub fn meanings_of<'a>(&'a self, id: &'a Digest) -> impl Iterator<Item = Meaning<'a>> {
        self.meanings_where(move |meant| meant == id)
    }

    fn meanings_where<'a>(
        &'a self,
        wanted: impl Fn(&Digest) -> bool + Copy + 'a,
    ) -> impl Iterator<Item = Meaning<'a>> {
        let tags = self
            .references
            .tags
            .iter()
            .filter(move |(_, tagged)| wanted(&tagged.id));
        let tags = tags.map(|(name, tagged)| Meaning {
            name,
            id: &tagged.id,
            index: tagged.index.as_ref().map(|index| index.digest.clone()),
        });
        let digests = self.references.digests.iter().filter(move |(_, id)| wanted(id));
        let digests = digests.map(move |(name, id)| Meaning {
            name,
            id,
            index: name
                .rsplit_once('@')
                .and_then(|(_, digest)| Digest::parse(digest).ok())
                .filter(|digest| self.indexes.contains_key(digest)),
        });
        tags.chain(digests)
    }

    /// What a name in full stands for: an index, or the manifest of its image.
    pub fn stands_for(&self, name: &Reference) -> Option<Descriptor> {
        if let Some(digest) = name.digest() {
            let id = self.references.digests.get(&name.to_string())?;
            let manifest = &self.images.get(id)?.record.manifest;
            let index = self.indexes.get(digest).map(|index| &index.descriptor);
            return index
                .or(Some(manifest).filter(|of| of.digest == *digest))
                .cloned();
        }
        let tagged = self.references.tags.get(&name.to_string())?;
        match &tagged.index {
            Some(index) => Some(index.clone()),
            None => Some(self.images.get(&tagged.id)?.record.manifest.clone()),
        }
    }

    /// Names that mean an image: with tags, then with digests, each sorted.
    pub fn names(&self, id: &Digest) -> (Vec<Reference>, Vec<Reference>) {
        split(self.meanings_of(id))
    }

    /// Names that lead to an image, for some with its platform beside them.
    pub fn all_names(&self, id: &Digest) -> (Vec<Reference>, Vec<Reference>) {
        split(self.meanings().filter(|meaning| self.reaches(meaning, id)))
    }

    pub fn reaches(&self, meaning: &Meaning, id: &Digest) -> bool {
        meaning.id == id
            || meaning
                .index
                .as_ref()
                .is_some_and(|index| self.leads_to(index, id))
    }

    /// Images to which names lead only with a platform beside them: they are shown with the image that the names mean,
    /// not by themselves.
    pub fn beside(&self) -> HashSet<Digest> {
        let (mut meant, mut indexes) = (HashSet::new(), HashSet::new());
        for meaning in self.meanings() {
            meant.insert(meaning.id);
            indexes.extend(meaning.index);
        }
        let variants = indexes.iter().flat_map(|index| self.variants(index));
        let ids = variants.map(|variant| variant.id().clone());
        ids.filter(|id| !meant.contains(id)).collect()
    }

    /// The indexes of the names that mean an image, each once.
    pub fn indexes_of(&self, id: &Digest) -> Vec<Descriptor> {
        let mut found: Vec<Descriptor> = Vec::new();
        for meaning in self.meanings_of(id) {
            let index = meaning.index.and_then(|index| self.indexes.get(&index));
            if let Some(index) = index
                && !found.contains(&index.descriptor)
            {
                found.push(index.descriptor.clone());
            }
        }
        found
    }

    /// The image that another was committed on, while it is here.
    pub fn parent_of(&self, id: &Digest) -> Option<Digest> {
        let parent = self.images.get(id)?.record.parent.clone();
        parent.filter(|parent| self.images.contains_key(parent))
    }

    /// As the names that mean it show it, or all that lead to it if none does.
    pub fn image(&self, paths: &Paths, entry: &Entry) -> Image {
        let config = &entry.config;
        let id = &entry.record.id;
        let (mut tags, mut digests) = self.names(id);
        if tags.is_empty() && digests.is_empty() {
            (tags, digests) = self.all_names(id);
        }
        let stack = self.stack(entry.record.layers.last());
        let tagged = self.references.tags.values().filter(|tagged| tagged.id == *id);
        Image {
            id: id.to_string(),
            repo_tags: tags.iter().map(Reference::familiar).collect(),
            repo_digests: digests.iter().map(Reference::familiar).collect(),
            parent: self.parent_of(id).map(|parent| parent.to_string()),
            created: config.created.clone().unwrap_or_default(),
            created_unix: config.created_unix(),
            created_nanos: config.created_nanos(),
            size: stack.iter().map(|layer| layer.size).sum(),
            layers: entry.record.layers.clone(),
            os: config.os.clone(),
            architecture: config.architecture.clone(),
            variant: config.variant.clone(),
            manifest: entry.record.manifest.clone(),
            indexes: self.indexes_of(id),
            lower: lower(paths, &stack),
            last_tagged: tagged.map(|tagged| tagged.at.clone()).max(),
            config: config.clone(),
            raw_config: entry.raw.clone(),
        }
    }
}

/// What a name means.
#[derive(Debug)]
pub(crate) struct Meaning<'a> {
    /// In full.
    pub name: &'a str,
    pub id: &'a Digest,
    pub index: Option<Digest>,
}

fn split<'a>(meanings: impl Iterator<Item = Meaning<'a>>) -> (Vec<Reference>, Vec<Reference>) {
    meanings
        .filter_map(|meaning| Reference::parse(meaning.name).ok())
        .partition(|name| name.digest().is_none())
}

/// The directories of a stack, top first.
pub(crate) fn lower(paths: &Paths, stack: &[&LayerRecord]) -> Vec<std::path::PathBuf> {
    match stack {
        [] => vec![paths.nothing()],
        stack => stack.iter().map(|layer| paths.diff(&layer.chain)).collect(),
    }
}
