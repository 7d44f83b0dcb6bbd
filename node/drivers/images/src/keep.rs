//! What is needed to decide which images may leave the disk, and letting one go.

use std::collections::HashMap;

use crate::config;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::image::{Deleted, InUse};
use crate::images::Images;

/// An image with all its platforms, as far as it takes room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    pub id: String,
    /// Its own and those of the other platforms under its names.
    pub ids: Vec<String>,
    /// Bytes that are freed if it goes alone: layers that no other image has, and the blobs that they came from.
    pub bytes: u64,
    /// When it was last given a name, or else brought; seconds since the epoch.
    pub named: i64,
}

/// A file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub total: u64,
    pub used: u64,
}

impl Images {
    /// Every image that is listed.
    pub fn holdings(&self) -> Vec<Holding> {
        let listed: Vec<_> = self
            .list()
            .into_iter()
            .map(|image| (image.id.clone(), self.platforms(&image), image.last_tagged))
            .collect();
        let state = self.store.state.lock();
        let mut users: HashMap<&Digest, usize> = HashMap::new();
        for layer in state.images.values().flat_map(|entry| &entry.record.layers) {
            *users.entry(layer).or_default() += 1;
        }
        let entry = |id: &String| state.images.get(&Digest::parse(id).ok()?);
        let all = listed.into_iter().filter_map(|(id, ids, tagged)| {
            let added = entry(&id)?.record.added.clone();
            let own = ids
                .iter()
                .filter_map(entry)
                .flat_map(|entry| &entry.record.layers);
            let mut alone: Vec<&Digest> = own.filter(|layer| users.get(*layer) == Some(&1)).collect();
            alone.sort();
            alone.dedup();
            let layers = alone.into_iter().filter_map(|chain| state.layers.get(chain));
            Some(Holding {
                id,
                bytes: layers.map(|layer| layer.size + layer.blob.size).sum(),
                named: config::unix_nanos(tagged.as_ref().unwrap_or(&added)) / 1_000_000_000,
                ids,
            })
        });
        all.collect()
    }

    /// The file system that images lie on.
    pub fn room(&self) -> Result<Room> {
        let at = &self.store.paths.layers;
        let fs = rustix::fs::statvfs(at).map_err(|e| Error::storage("look at the disk of", at, e))?;
        Ok(Room {
            total: fs.f_blocks.saturating_sub(fs.f_bfree).saturating_add(fs.f_bavail) * fs.f_frsize,
            used: fs.f_blocks.saturating_sub(fs.f_bfree) * fs.f_frsize,
        })
    }

    /// Removes an image with all its names, one after the other and never by force: it stays if a container uses it.
    pub async fn let_go(&self, id: &str, in_use: &[InUse]) -> Result<Vec<Deleted>> {
        let mut done = Vec::new();
        loop {
            let Ok(image) = self.get(id) else {
                return Ok(done);
            };
            let name = image.repo_tags.first().or(image.repo_digests.first());
            let name = name.map_or(id, String::as_str);
            done.extend(self.remove(name, false, false, in_use).await?);
        }
    }
}
