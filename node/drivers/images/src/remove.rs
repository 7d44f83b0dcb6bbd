//! Removing names and images, with Docker's rules about what is in use.

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::image::{Deleted, InUse};
use crate::images::Images;
use crate::lookup::{find, is_name};
use crate::reference::Reference;
use crate::store::Store;

impl Images {
    /// Removes a name, and with its last name the image; by id, the image with all its names. `in_use` are the
    /// containers of all images. `_no_prune` is about untagged parents, which this store does not keep.
    pub async fn remove(
        &self,
        name: &str,
        force: bool,
        _no_prune: bool,
        in_use: &[InUse],
    ) -> Result<Vec<Deleted>> {
        let (name, in_use) = (name.to_owned(), in_use.to_vec());
        self.blocking(move |store| {
            Removal {
                store,
                name,
                force,
                in_use,
                done: Vec::new(),
            }
            .run()
        })
        .await
    }

    /// Removes an image that has no name left and is not in use; nothing if it has or is.
    pub async fn remove_dangling(&self, id: &str, in_use: &[InUse]) -> Result<Vec<Deleted>> {
        let image = self.get(id)?;
        let used = in_use.iter().any(|container| container.image == image.id);
        match used || !image.repo_tags.is_empty() {
            true => Ok(Vec::new()),
            false => self.remove(&image.id, true, true, in_use).await,
        }
    }
}

struct Removal<'a> {
    store: &'a Store,
    name: String,
    force: bool,
    in_use: Vec<InUse>,
    done: Vec<Deleted>,
}

impl Removal<'_> {
    fn run(mut self) -> Result<Vec<Deleted>> {
        let (id, by_name) = {
            let state = self.store.state.lock();
            (find(&state, &self.name)?, is_name(&state, &self.name))
        };
        if !by_name {
            let names = self.names(&id);
            let single = single_reference(&names);
            if let Some(conflict) = self.conflict(&id, !single && !self.force) {
                return Err(conflict);
            }
        } else {
            self.untag_one(&id)?;
            if !self.names(&id).is_empty() || self.conflict(&id, false).is_some() {
                return Ok(self.done);
            }
        }
        for name in self.names(&id) {
            self.untag(&name)?;
        }
        if !self.store.forget(&id)? {
            return Ok(self.done);
        }
        self.done.push(Deleted::Deleted(id.to_string()));
        let layers = self.store.collect()?;
        self.done.extend(
            layers
                .into_iter()
                .map(|layer| Deleted::Deleted(layer.chain.to_string())),
        );
        Ok(self.done)
    }

    fn untag_one(&mut self, id: &Digest) -> Result<()> {
        let name = Reference::parse(&self.name)?.or_latest();
        let name = match name.digest() {
            Some(digest) => name.with_digest(digest.clone()),
            None => name,
        };
        let names = self.names(id);
        if !self.force
            && single_reference(&names)
            && let Some(user) = self.in_use.iter().find(|user| user.image == id.as_str())
        {
            return Err(Error::Conflict(format!(
                "conflict: unable to remove repository reference {:?} (must force) - container {} is using its \
                 referenced image {}",
                self.name,
                short(&user.container),
                id.short()
            )));
        }
        self.untag(&name)?;
        // Digests of a repository mean nothing here once its last tag is gone.
        let same = |other: &Reference| other.repository() == name.repository();
        let rest: Vec<_> = self.names(id).into_iter().filter(same).collect();
        if name.digest().is_none() && rest.iter().all(|other| other.digest().is_some()) {
            for other in rest {
                self.untag(&other)?;
            }
        }
        Ok(())
    }

    fn untag(&mut self, name: &Reference) -> Result<()> {
        self.store.rename(|references| {
            match name.digest() {
                Some(_) => drop(references.digests.remove(&name.to_string())),
                None => drop(references.tags.remove(&name.to_string())),
            }
            Ok(())
        })?;
        self.done.push(Deleted::Untagged(name.familiar()));
        Ok(())
    }

    fn names(&self, id: &Digest) -> Vec<Reference> {
        let (mut tags, digests) = self.store.state.lock().names(id);
        tags.extend(digests);
        tags
    }

    fn conflict(&self, id: &Digest, several: bool) -> Option<Error> {
        let users = || self.in_use.iter().filter(|user| user.image == id.as_str());
        let (how, why) = if let Some(user) = users().find(|user| user.running) {
            (
                "cannot be forced",
                format!(
                    "image is being used by running container {}",
                    short(&user.container)
                ),
            )
        } else if several {
            (
                "must be forced",
                "image is referenced in multiple repositories".to_owned(),
            )
        } else if let Some(user) = users().next().filter(|_| !self.force) {
            (
                "must be forced",
                format!(
                    "image is being used by stopped container {}",
                    short(&user.container)
                ),
            )
        } else {
            return None;
        };
        Some(Error::Conflict(format!(
            "conflict: unable to delete {} ({how}) - {why}",
            id.short()
        )))
    }
}

/// At most one tag, and everything in one repository.
fn single_reference(names: &[Reference]) -> bool {
    let tags = names.iter().filter(|name| name.digest().is_none()).count();
    let first = names.first().map(Reference::repository);
    tags <= 1 && names.iter().all(|name| Some(name.repository()) == first)
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
