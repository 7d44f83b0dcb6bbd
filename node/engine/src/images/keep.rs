//! Images that leave the disk without being asked to: looks, has `core/host::imagekeep` decide, lets go, and tells why.

use super::ImagesService;
use crate::clock;
use crate::config::Settings;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use shoal_node_core_host::imagekeep::{Disk, Held, Policy, doomed};
use shoal_node_drivers_images::Holding;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Services and releases of one that are remembered.
const SERVICES_MAX: usize = 4096;
const RELEASES_MAX: usize = 64;
/// Seconds by which a name may be younger than the task that it was brought for; a younger one was given by a hand.
const NAMED_WITH: i64 = 2;

/// What services ran here, and which images were in use when. Nothing is lost with it but time.
pub(super) struct Keeper {
    path: PathBuf,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    releases: BTreeMap<String, Vec<Release>>,
    /// Images that a container had, and when that was last seen.
    seen: HashMap<String, i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Release {
    image: String,
    /// When it was brought for a task, and when a task last asked for it; seconds since the epoch.
    brought: i64,
    at: i64,
}

impl Keeper {
    /// What cannot be read is forgotten.
    pub fn open(data_root: &Path) -> Keeper {
        let path = data_root.join("images/releases.json");
        let read = std::fs::read(&path).ok();
        let releases = read
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        let told = Told {
            releases,
            seen: HashMap::new(),
        };
        Keeper {
            path,
            told: Mutex::new(told),
        }
    }

    /// A task of a service has its image; `brought` says that it came for this task. What a hand had brought is no release.
    pub fn note(&self, service: &str, image: &str, brought: bool, now: i64) {
        let mut told = self.told.lock();
        if !told.releases.contains_key(service) && told.releases.len() >= SERVICES_MAX {
            return;
        }
        let known = told
            .releases
            .values()
            .flatten()
            .find(|release| release.image == image);
        let Some(first) = (if brought {
            Some(now)
        } else {
            known.map(|release| release.brought)
        }) else {
            return;
        };
        let releases = told.releases.entry(service.to_owned()).or_default();
        // The same again is only a matter of time, and no task shall wait for the disk for that.
        if let Some(last) = releases.last_mut().filter(|last| last.image == image)
            && last.brought == first
        {
            last.at = now;
            return;
        }
        releases.retain(|release| release.image != image);
        releases.push(Release {
            image: image.to_owned(),
            brought: first,
            at: now,
        });
        if releases.len() > RELEASES_MAX {
            releases.remove(0);
        }
        self.save(&told);
    }

    fn save(&self, told: &Told) {
        let aside = self.path.with_extension("new");
        let written = serde_json::to_vec(&told.releases)
            .map_err(std::io::Error::other)
            .and_then(|text| std::fs::write(&aside, text))
            .and_then(|()| std::fs::rename(&aside, &self.path));
        if let Err(error) = written {
            tracing::debug!("cannot keep which images services ran: {error}");
        }
    }

    /// Forgets what is not here any more.
    fn sweep(&self, holdings: &[Holding]) {
        let here = |image: &str| {
            holdings
                .iter()
                .any(|holding| holding.ids.iter().any(|id| id == image))
        };
        let mut told = self.told.lock();
        let before: usize = told.releases.values().map(Vec::len).sum();
        for releases in told.releases.values_mut() {
            releases.retain(|release| here(&release.image));
        }
        told.releases.retain(|_, releases| !releases.is_empty());
        told.seen.retain(|image, _| here(image));
        if told.releases.values().map(Vec::len).sum::<usize>() != before {
            self.save(&told);
        }
    }
}

impl ImagesService {
    /// Looks after the disk until it is dropped.
    pub(crate) fn tend(&self, settings: Settings) -> Tending {
        let this = self.clone();
        let task = tokio::spawn(async move {
            loop {
                let keep = settings.get().images;
                tokio::time::sleep(keep.every).await;
                this.keep(&keep.policy).await;
            }
        });
        Tending(Arc::new(task.abort_handle()))
    }

    async fn keep(&self, policy: &Policy) {
        if policy.is_off() {
            return;
        }
        let room = match self.store.room() {
            Ok(room) => room,
            Err(error) => return tracing::warn!("cannot see how full the disk is: {error}"),
        };
        let (holdings, in_use, now) = (
            self.store.holdings(),
            self.in_use(),
            clock::now().0 / 1_000_000_000,
        );
        self.keeper.sweep(&holdings);
        let gone: Vec<_> = {
            let mut told = self.keeper.told.lock();
            for user in &in_use {
                told.seen.insert(user.image.clone(), now);
            }
            let held: Vec<Held> = holdings
                .iter()
                .map(|holding| held(holding, &told, |id| in_use.iter().any(|user| user.image == id)))
                .collect();
            let disk = Disk {
                total: room.total,
                used: room.used,
            };
            let gone = doomed(policy, disk, now, &held).into_iter();
            gone.map(|(id, why)| (id.to_owned(), why.as_str())).collect()
        };
        for (id, why) in gone {
            // A container may have come since.
            match self.store.let_go(&id, &self.in_use()).await {
                Ok(deleted) => {
                    tracing::info!(image = %id, reason = why, "image removed");
                    let ids = holdings
                        .iter()
                        .find(|holding| holding.id == id)
                        .map(|holding| &holding.ids[..]);
                    for item in deleted {
                        self.told(item, &id, ids.unwrap_or_default(), Some(why));
                    }
                }
                Err(error) => tracing::debug!(image = %id, "an image that could go stays: {error}"),
            }
        }
    }
}

fn held<'a>(holding: &'a Holding, told: &'a Told, in_use: impl Fn(&str) -> bool) -> Held<'a> {
    let own = |image: &str| holding.ids.iter().any(|id| id == image);
    let mut last = holding.named;
    let mut releases = Vec::new();
    let mut by_hand = false;
    for (service, list) in &told.releases {
        for release in list.iter().filter(|release| own(&release.image)) {
            by_hand |= holding.named > release.brought + NAMED_WITH;
            last = last.max(release.at);
            releases.push((service.as_str(), release.at));
        }
    }
    if by_hand {
        releases.clear();
    }
    let seen = holding.ids.iter().filter_map(|id| told.seen.get(id));
    Held {
        id: &holding.id,
        bytes: holding.bytes,
        in_use: holding.ids.iter().any(|id| in_use(id)),
        last: seen.copied().fold(last, i64::max),
        releases,
    }
}

/// Ends with the last one.
#[derive(Clone)]
pub(crate) struct Tending(Arc<tokio::task::AbortHandle>);

impl Drop for Tending {
    fn drop(&mut self) {
        if Arc::strong_count(&self.0) == 1 {
            self.0.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hand_brought_is_no_release() {
        let folder = tempfile::tempdir().expect("dir");
        std::fs::create_dir(folder.path().join("images")).expect("dir");
        let keeper = Keeper::open(folder.path());
        keeper.note("web", "sha256:hand", false, 10);
        keeper.note("web", "sha256:one", true, 20);
        // Another service runs what came for the first.
        keeper.note("api", "sha256:one", false, 30);
        let again = Keeper::open(folder.path());
        let told = again.told.lock();
        let holding = |id: &str, named| Holding {
            id: id.to_owned(),
            ids: vec![id.to_owned()],
            bytes: 1,
            named,
        };
        let releases = |id: &str, named| {
            let holding = holding(id, named);
            let held = held(&holding, &told, |_| false);
            let mut names: Vec<String> = held
                .releases
                .iter()
                .map(|(name, at)| format!("{name} {at}"))
                .collect();
            names.sort();
            names.join(", ")
        };
        assert_eq!(releases("sha256:hand", 5), "");
        assert_eq!(releases("sha256:one", 21), "api 30, web 20");
        // Tagged or pulled by a hand since.
        assert_eq!(releases("sha256:one", 40), "");
    }
}
