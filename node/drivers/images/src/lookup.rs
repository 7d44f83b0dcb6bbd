//! Finding an image by what a user calls it.

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::images::Images;
use crate::reference::Reference;
use crate::store::state::State;

impl Images {
    /// By `name`, `name:tag`, `name@digest`, id, or an unambiguous beginning of one.
    pub fn get(&self, name: &str) -> Result<Image> {
        let state = self.store.state.lock();
        let id = find(&state, name)?;
        let entry = state.images.get(&id).ok_or_else(|| missing(name))?;
        Ok(state.image(&self.store.paths, entry))
    }
}

pub(crate) fn find(state: &State, name: &str) -> Result<Digest> {
    let full = if name.len() == 64 {
        format!("sha256:{name}")
    } else {
        name.to_owned()
    };
    if let Ok(id) = Digest::parse(&full) {
        return match state.images.contains_key(&id) {
            true => Ok(id),
            false => Err(missing(name)),
        };
    }
    let by_name = Reference::parse(name).map(|reference| (by_reference(state, &reference), reference));
    if let Ok((Some(id), _)) = &by_name {
        return Ok(id.clone());
    }
    let prefix = name.strip_prefix("sha256:").unwrap_or(name);
    if !prefix.is_empty() && prefix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        let mut matches = state.images.keys().filter(|id| id.hex().starts_with(prefix));
        if let (Some(id), None) = (matches.next(), matches.next()) {
            return Ok(id.clone());
        }
    }
    by_name.and_then(|_| Err(missing(name)))
}

fn by_reference(state: &State, reference: &Reference) -> Option<Digest> {
    match reference.digest() {
        // A tag beside a digest says nothing more.
        Some(digest) => {
            let name = reference.with_digest(digest.clone()).to_string();
            state.references.digests.get(&name).cloned()
        }
        None => {
            let name = reference.clone().or_latest().to_string();
            state.references.tags.get(&name).map(|tagged| tagged.id.clone())
        }
    }
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
