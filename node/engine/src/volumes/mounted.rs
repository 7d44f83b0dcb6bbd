//! Volumes that are mounted while somebody uses them: at the first container's start, until after the last one's end.

use super::table::{VolumeTable, error};
use crate::containers::Record;
use crate::error::Result;
use crate::launch::blocking;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Who uses which volume now. One change at a time for each volume: a plugin may be slow.
#[derive(Clone, Default)]
pub struct Users {
    by_volume: Arc<parking_lot::Mutex<BTreeMap<String, Arc<Mutex<BTreeSet<String>>>>>>,
    /// Where plugins have put those that are mounted.
    places: Arc<parking_lot::Mutex<BTreeMap<String, PathBuf>>>,
}

impl Users {
    fn of(&self, volume: &str) -> Arc<Mutex<BTreeSet<String>>> {
        self.by_volume.lock().entry(volume.into()).or_default().clone()
    }
}

impl VolumeTable {
    /// Makes the volumes of a container that starts usable. Where each is that is not where the record says. What was
    /// mounted before a failure is released by whoever releases the container.
    pub(crate) async fn mount_all(&self, record: &Record) -> Result<BTreeMap<String, PathBuf>> {
        let mut places = BTreeMap::new();
        for name in volumes(record) {
            if let Some(place) = self.mount(&name, &record.id).await? {
                places.insert(name, place);
            }
        }
        Ok(places)
    }

    /// Where those of a container's volumes are that are mounted now and not where its record says.
    pub(crate) fn places(&self, record: &Record) -> BTreeMap<String, PathBuf> {
        let places = self.users().places.lock();
        let of = |name: String| places.get(&name).map(|place| (name, place.clone()));
        volumes(record).into_iter().filter_map(of).collect()
    }

    /// For one user. `None` for a plain volume.
    pub(crate) async fn mount(&self, name: &str, user: &str) -> Result<Option<PathBuf>> {
        let foreign = self.foreign().get(name);
        if foreign.is_none() && !self.driver().is_mount(name) {
            return Ok(None);
        }
        let users = self.users().of(name);
        let mut users = users.lock().await;
        let place = match foreign {
            Some(known) => self.foreign().mount(name, &known.driver, user).await?,
            None => {
                let (driver, owned) = (self.driver().clone(), name.to_string());
                blocking(move || driver.mount(&owned).map_err(error)).await?;
                self.path(name)
            }
        };
        users.insert(user.into());
        self.users().places.lock().insert(name.into(), place.clone());
        Ok(Some(place))
    }

    /// `user` is over. Unmounts what nobody uses any more; a failure is only logged, there is nobody to tell.
    pub(crate) async fn unmount(&self, name: &str, user: &str) {
        let foreign = self.foreign().get(name);
        if foreign.is_none() && !self.driver().is_mount(name) {
            return;
        }
        let users = self.users().of(name);
        let mut users = users.lock().await;
        // A plugin is told once for each time it was asked.
        let used = users.remove(user);
        if users.is_empty() {
            self.users().places.lock().remove(name);
        }
        let done = match foreign {
            Some(known) if used => self.foreign().unmount(name, &known.driver, user).await,
            Some(_) => Ok(()),
            None if users.is_empty() => {
                let (driver, owned) = (self.driver().clone(), name.to_string());
                blocking(move || driver.unmount(&owned).map_err(error)).await
            }
            None => Ok(()),
        };
        if let Err(error) = done {
            tracing::warn!(
                volume = name,
                user,
                error = error.message,
                "a volume could not be unmounted"
            );
        }
    }

    /// A container's process has ended: its volumes are released in the background.
    pub(crate) fn release(&self, record: &Arc<Record>) {
        let wanted = volumes(record);
        let special = |name: &String| self.foreign().get(name).is_some() || self.driver().is_mount(name);
        if !wanted.iter().any(special) {
            return;
        }
        let (table, record) = (self.clone(), record.clone());
        tokio::spawn(async move {
            for name in wanted {
                table.unmount(&name, &record.id).await;
            }
        });
    }

    /// A container that ran on while there was no daemon uses its volumes.
    pub(crate) async fn readopt(&self, record: &Record) {
        for name in volumes(record) {
            let place = match self.foreign().get(&name) {
                Some(known) => {
                    let seen = self.foreign().look(&name, &known.driver).await;
                    seen.map(|seen| seen.mountpoint.into())
                }
                None if self.driver().is_mount(&name) => Some(self.path(&name)),
                None => continue,
            };
            self.users().of(&name).lock().await.insert(record.id.clone());
            if let Some(place) = place {
                self.users().places.lock().insert(name, place);
            }
        }
    }

    /// After every container is known: what is mounted and used by nobody was left by a daemon that was killed.
    pub(crate) async fn sweep(&self) {
        for volume in self.driver().list() {
            if self.driver().is_mount(&volume.name) && self.users().of(&volume.name).lock().await.is_empty() {
                let (driver, owned) = (self.driver().clone(), volume.name.clone());
                if let Err(error) = blocking(move || driver.unmount(&owned).map_err(error)).await {
                    tracing::warn!(
                        volume = volume.name,
                        error = error.message,
                        "an unused volume stays mounted"
                    );
                }
            }
        }
    }
}

/// Each once.
fn volumes(record: &Record) -> BTreeSet<String> {
    let mounts = record.mounts.iter().filter(|m| m.point.kind == "volume");
    mounts.map(|m| m.point.name.clone()).collect()
}
