//! Finding an image by what a user calls it, and for which platform.

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::images::Images;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::indexes::{Variant, best};
use crate::store::state::State;

/// What a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// What is meant when no platform is asked for.
    pub id: Digest,
    /// What the name stands for, if that is an index.
    pub index: Option<Digest>,
}

impl Images {
    /// By `name`, `name:tag`, `name@digest`, id, or an unambiguous beginning of one.
    pub fn get(&self, name: &str) -> Result<Image> {
        self.get_for(name, None)
    }

    /// The same for a platform: of what the name stands for, the image that fits it.
    pub fn get_for(&self, name: &str, platform: Option<&Platform>) -> Result<Image> {
        let state = self.store.state.lock();
        let found = find(&state, name)?;
        let id = match platform {
            Some(platform) => for_platform(&state, name, &found, platform)?,
            None => found.id,
        };
        let entry = state.images.get(&id).ok_or_else(|| missing(name))?;
        Ok(state.image(&self.store.paths, entry))
    }
}

pub(crate) fn find(state: &State, name: &str) -> Result<Found> {
    // An id stands for an index if the names that mean it agree on one.
    let by_id = |id: Digest| {
        let indexes = state.indexes_of(&id);
        let index = match &indexes[..] {
            [index] => Some(index.digest.clone()),
            _ => None,
        };
        Found { id, index }
    };
    let full = if name.len() == 64 {
        format!("sha256:{name}")
    } else {
        name.to_owned()
    };
    if let Ok(id) = Digest::parse(&full) {
        return match state.images.contains_key(&id) {
            true => Ok(by_id(id)),
            false => Err(missing(name)),
        };
    }
    let by_name = Reference::parse(name).map(|reference| (by_reference(state, &reference), reference));
    if let Ok((Some(found), _)) = &by_name {
        return Ok(found.clone());
    }
    let prefix = name.strip_prefix("sha256:").unwrap_or(name);
    if !prefix.is_empty() && prefix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        let mut matches = state.images.keys().filter(|id| id.hex().starts_with(prefix));
        if let (Some(id), None) = (matches.next(), matches.next()) {
            return Ok(by_id(id.clone()));
        }
    }
    by_name.and_then(|_| Err(missing(name)))
}

/// Of what a name stands for, the image that fits a platform.
pub(crate) fn for_platform(state: &State, name: &str, found: &Found, wanted: &Platform) -> Result<Digest> {
    let variants = found
        .index
        .as_ref()
        .map(|index| state.variants(index))
        .unwrap_or_default();
    if let Some(variant) = best(&variants, wanted) {
        return Ok(variant.id().clone());
    }
    let meant = state.images.get(&found.id).ok_or_else(|| missing(name))?;
    let own = meant.config.platform();
    if variants.is_empty() && wanted.accepts(&own) {
        return Ok(found.id.clone());
    }
    Err(match variants.len() {
        0 | 1 => {
            let own = variants.first().map_or(own, Variant::platform);
            other_platform(name, &own, wanted)
        }
        _ => Error::NotFound(format!(
            "image with reference {name} was found but does not provide the specified platform ({wanted})"
        )),
    })
}

/// There is an image, for another platform.
pub(crate) fn other_platform(name: &str, own: &Platform, wanted: &Platform) -> Error {
    Error::NotFound(format!(
        "image with reference {name} was found but its platform ({own}) does not match the specified platform \
         ({wanted})"
    ))
}

fn by_reference(state: &State, reference: &Reference) -> Option<Found> {
    // A tag beside a digest says nothing more.
    if let Some(digest) = reference.digest() {
        let name = reference.with_digest(digest.clone()).to_string();
        return Some(Found {
            id: state.references.digests.get(&name)?.clone(),
            index: Some(digest.clone()).filter(|digest| state.indexes.contains_key(digest)),
        });
    }
    let name = reference.clone().or_latest().to_string();
    let tagged = state.references.tags.get(&name)?;
    Some(Found {
        id: tagged.id.clone(),
        index: tagged.index.as_ref().map(|index| index.digest.clone()),
    })
}

/// Docker spells the default tag out.
fn missing(name: &str) -> Error {
    match Reference::parse(name) {
        Ok(reference) => Error::no_such_image(reference.or_latest().familiar()),
        Err(_) => Error::no_such_image(name),
    }
}

/// Whether this is one of the names here, rather than an id or the beginning of one. A short name can be both.
pub(crate) fn is_name(state: &State, name: &str) -> bool {
    Reference::parse(name).is_ok_and(|reference| by_reference(state, &reference).is_some())
}
