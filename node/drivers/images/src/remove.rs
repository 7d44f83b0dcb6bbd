//! Removing names and images, with Docker's rules about what is in use.
//!
//! A name that stands for an index leads to an image for each platform. They go together, unless platforms are named.

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::image::{Deleted, InUse};
use crate::images::Images;
use crate::lookup::{Found, find, for_platform, is_name};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::store::Store;
use crate::store::indexes::best;

impl Images {
    /// Removes a name, and with its last name the image, of all platforms; by id, the image with all its names, or of
    /// several platforms the one. `in_use` are the containers of all images. `_no_prune` is about untagged parents,
    /// which this store does not keep.
    pub async fn remove(
        &self,
        name: &str,
        force: bool,
        _no_prune: bool,
        in_use: &[InUse],
    ) -> Result<Vec<Deleted>> {
        self.removal(name, force, in_use, |removal| removal.run()).await
    }

    /// Removes the images for some platforms that a name stands for; its others stay. With the last one the name goes.
    pub async fn remove_platforms(
        &self,
        name: &str,
        platforms: Vec<Platform>,
        force: bool,
        in_use: &[InUse],
    ) -> Result<Vec<Deleted>> {
        self.removal(name, force, in_use, move |removal| {
            removal.run_platforms(&platforms)
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

    async fn removal(
        &self,
        name: &str,
        force: bool,
        in_use: &[InUse],
        work: impl FnOnce(Removal) -> Result<Vec<Deleted>> + Send + 'static,
    ) -> Result<Vec<Deleted>> {
        let (name, in_use) = (name.to_owned(), in_use.to_vec());
        self.blocking(move |store| {
            work(Removal {
                store,
                name,
                force,
                in_use,
                done: Vec::new(),
            })
        })
        .await
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
        let (found, by_name) = {
            let state = self.store.state.lock();
            (find(&state, &self.name)?, is_name(&state, &self.name))
        };
        if by_name {
            return self.run_name(found);
        }
        let id = &found.id;
        let names = self.names(id);
        if names.is_empty() && !self.all_names(id).is_empty() {
            // It came beside another platform's image, whose names stay.
            return self.run_variants(vec![id.clone()]);
        }
        let images = self.images(id, &names);
        let several = !single_reference(&names) && !self.force;
        if let Some(conflict) = images.iter().find_map(|image| self.conflict(image, several)) {
            return Err(conflict);
        }
        for name in names {
            self.untag(&name)?;
        }
        self.sweep(images)
    }

    /// One name, and what no name leads to then.
    fn run_name(mut self, found: Found) -> Result<Vec<Deleted>> {
        let name = Reference::parse(&self.name)?.or_latest();
        let name = match name.digest() {
            Some(digest) => name.with_digest(digest.clone()),
            None => name,
        };
        let images = self.images(&found.id, std::slice::from_ref(&name));
        self.untag_one(&found.id, &name, &images)?;
        self.sweep(images)
    }

    fn run_platforms(self, platforms: &[Platform]) -> Result<Vec<Deleted>> {
        let (mut ids, by_name, index) = {
            let state = self.store.state.lock();
            let found = find(&state, &self.name)?;
            let ids = platforms
                .iter()
                .map(|platform| for_platform(&state, &self.name, &found, platform));
            (
                ids.collect::<Result<Vec<_>>>()?,
                is_name(&state, &self.name),
                found.index,
            )
        };
        ids.sort();
        ids.dedup();
        let all = match index {
            Some(index) => self.store.state.lock().variants(&index).len() == ids.len(),
            None => true,
        };
        match all && by_name {
            true => self.run(),
            false => self.run_variants(ids),
        }
    }

    /// Some of the images that names stand for. The names mean others from then on, and go if there are none.
    fn run_variants(mut self, ids: Vec<Digest>) -> Result<Vec<Deleted>> {
        if let Some(conflict) = ids.iter().find_map(|id| self.conflict(id, false)) {
            return Err(conflict);
        }
        let gone = self.store.rename(|references| {
            let state = self.store.state.lock();
            let mut gone = Vec::new();
            let lost: Vec<_> = ids.iter().flat_map(|id| state.meanings_of(id)).collect();
            for meaning in lost {
                let variants = meaning
                    .index
                    .map(|index| state.variants(&index))
                    .unwrap_or_default();
                let left: Vec<_> = variants.into_iter().filter(|v| !ids.contains(v.id())).collect();
                let next = best(&left, &Platform::host())
                    .or(left.first())
                    .map(|v| v.id().clone());
                match (next, references.tags.get_mut(meaning.name)) {
                    (Some(next), Some(tagged)) => tagged.id = next,
                    (Some(next), None) => drop(references.digests.insert(meaning.name.to_owned(), next)),
                    (None, _) => {
                        references.tags.remove(meaning.name);
                        references.digests.remove(meaning.name);
                        gone.extend(Reference::parse(meaning.name));
                    }
                }
            }
            Ok(gone)
        })?;
        self.done
            .extend(gone.iter().map(|name| Deleted::Untagged(name.familiar())));
        for id in ids {
            if self.store.forget_variant(&id)? {
                self.done.push(Deleted::Deleted(id.to_string()));
            }
        }
        self.collect()
    }

    /// The images that names stand for, the one that is meant first.
    fn images(&self, id: &Digest, names: &[Reference]) -> Vec<Digest> {
        let state = self.store.state.lock();
        let mut images = vec![id.clone()];
        for meaning in state.meanings_of(id) {
            let named = names.iter().any(|name| name.to_string() == meaning.name);
            let Some(index) = meaning.index.filter(|_| named) else {
                continue;
            };
            for variant in state.variants(&index) {
                if !images.contains(variant.id()) {
                    images.push(variant.id().clone());
                }
            }
        }
        images
    }

    /// Removes those of the images that no name leads to and no container uses.
    fn sweep(mut self, images: Vec<Digest>) -> Result<Vec<Deleted>> {
        let mut any = false;
        for id in images {
            let needed = !self.all_names(&id).is_empty() || self.conflict(&id, false).is_some();
            if !needed && self.store.forget(&id)? {
                any = true;
                self.done.push(Deleted::Deleted(id.to_string()));
            }
        }
        match any {
            true => self.collect(),
            false => Ok(self.done),
        }
    }

    fn collect(mut self) -> Result<Vec<Deleted>> {
        let layers = self.store.collect()?.into_iter();
        let layers = layers.map(|layer| Deleted::Deleted(layer.chain.to_string()));
        self.done.extend(layers);
        Ok(self.done)
    }

    fn untag_one(&mut self, id: &Digest, name: &Reference, images: &[Digest]) -> Result<()> {
        let users = || {
            let of = |user: &&InUse| images.iter().any(|image| image.as_str() == user.image);
            self.in_use.iter().find(of)
        };
        if !self.force
            && single_reference(&self.names(id))
            && let Some(user) = users()
        {
            return Err(Error::Conflict(format!(
                "conflict: unable to remove repository reference {:?} (must force) - container {} is using its \
                 referenced image {}",
                self.name,
                short(&user.container),
                id.short()
            )));
        }
        self.untag(name)?;
        // Digests of a repository mean nothing here once its last tag is gone.
        let same = |other: &Reference| other.repository() == name.repository();
        for image in images {
            let rest: Vec<_> = self.all_names(image).into_iter().filter(same).collect();
            if name.digest().is_none() && rest.iter().all(|other| other.digest().is_some()) {
                for other in rest {
                    self.untag(&other)?;
                }
            }
        }
        Ok(())
    }

    fn untag(&mut self, name: &Reference) -> Result<()> {
        let full = name.to_string();
        let was = self.store.rename(|references| {
            Ok(match name.digest() {
                Some(_) => references.digests.remove(&full).is_some(),
                None => references.tags.remove(&full).is_some(),
            })
        })?;
        if was {
            self.done.push(Deleted::Untagged(name.familiar()));
        }
        Ok(())
    }

    /// Names that mean the image.
    fn names(&self, id: &Digest) -> Vec<Reference> {
        let (mut tags, digests) = self.store.state.lock().names(id);
        tags.extend(digests);
        tags
    }

    /// Names that lead to the image.
    fn all_names(&self, id: &Digest) -> Vec<Reference> {
        let (mut tags, digests) = self.store.state.lock().all_names(id);
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
