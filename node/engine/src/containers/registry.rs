//! Which containers there are, and how a reference finds one: full id, then name, then the start of an id.

use super::handle::Handle;
use crate::error::{Result, conflict, invalid, no_such_container};
use crate::networks::split_link;
use parking_lot::RwLock;
use shoal_node_core_host::names;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

#[derive(Clone, Default)]
pub struct Registry {
    inner: Arc<RwLock<Inner>>,
}

#[derive(Default)]
struct Inner {
    by_id: BTreeMap<String, Handle>,
    /// Also holds the names of containers that are being made.
    by_name: HashMap<String, String>,
    /// A container with links was there: whoever tells linked ones of a change need not look for them otherwise.
    linked: bool,
}

impl Inner {
    fn named(&self, name: &str) -> Option<&Handle> {
        self.by_id.get(self.by_name.get(name)?)
    }

    /// `container/alias`: what a container on the default bridge is linked to under that name.
    fn linked(&self, reference: &str) -> Option<Handle> {
        let (from, alias) = split_linked(reference).filter(|_| self.linked)?;
        let record = self.named(from)?.view().record.clone();
        let mut links = record.host.links.iter().map(|link| split_link(link));
        let (name, _) = links.find(|(_, own)| *own == alias && crate::launch::links_are_legacy(&record))?;
        self.named(name).or_else(|| self.by_id.get(name)).cloned()
    }
}

/// The name of a link in its two parts.
pub(super) fn split_linked(reference: &str) -> Option<(&str, &str)> {
    reference.trim_start_matches('/').split_once('/')
}

impl Registry {
    pub fn get(&self, reference: &str) -> Result<Handle> {
        let inner = self.inner.read();
        if let Some(handle) = inner.by_id.get(reference) {
            return Ok(handle.clone());
        }
        let name = reference.strip_prefix('/').unwrap_or(reference);
        if let Some(handle) = inner.named(name) {
            return Ok(handle.clone());
        }
        if let Some(handle) = inner.linked(reference) {
            return Ok(handle);
        }
        if names::is_id_prefix(reference) {
            let mut found = inner
                .by_id
                .range(reference.to_string()..)
                .take_while(|(id, _)| id.starts_with(reference));
            match (found.next(), found.next()) {
                (Some((_, handle)), None) => return Ok(handle.clone()),
                (Some(_), Some(_)) => {
                    return Err(invalid(format!(
                        "multiple IDs found with provided prefix: {reference}"
                    )));
                }
                _ => {}
            }
        }
        Err(no_such_container(reference))
    }

    /// Newest first is the callers' business; here the order is that of the ids.
    pub fn all(&self) -> Vec<Handle> {
        self.inner.read().by_id.values().cloned().collect()
    }

    /// Takes a name for an id, or says who has it.
    pub fn reserve(&self, name: &str, id: &str) -> Result<()> {
        let mut inner = self.inner.write();
        match inner.by_name.get(name) {
            Some(owner) if owner == id => Ok(()),
            Some(owner) => Err(conflict(format!(
                "Conflict. The container name {:?} is already in use by container {owner:?}. You have to remove (or rename) that container to be able to reuse that name.",
                format!("/{name}")
            ))),
            None => {
                inner.by_name.insert(name.into(), id.into());
                Ok(())
            }
        }
    }

    /// Gives a name back if it is still that id's.
    pub fn release(&self, name: &str, id: &str) {
        let mut inner = self.inner.write();
        if inner.by_name.get(name).is_some_and(|owner| owner == id) {
            inner.by_name.remove(name);
        }
    }

    pub fn insert(&self, handle: Handle) {
        let linked = !handle.view().record.host.links.is_empty();
        let mut inner = self.inner.write();
        inner.linked |= linked;
        inner.by_id.insert(handle.id().to_string(), handle);
    }

    pub fn any_linked(&self) -> bool {
        self.inner.read().linked
    }

    /// Forgets a container and its name.
    pub fn remove(&self, id: &str, name: &str) {
        self.inner.write().by_id.remove(id);
        self.release(name, id);
    }

    /// A free `adjective_scientist`, reserved for `id`.
    pub fn reserve_generated(&self, id: &str) -> Result<String> {
        for retry in 0..6 {
            let name = names::generate(rand::random(), retry);
            if self.reserve(&name, id).is_ok() {
                return Ok(name);
            }
        }
        let name = id.get(..12).unwrap_or(id).to_string();
        self.reserve(&name, id).map(|()| name)
    }
}
