//! The volumes that there are, and who uses them. Only this makes and removes volumes, one change at a time.

use super::view::View;
use crate::containers::{Registry, volume_in_use, volume_in_use_error};
use crate::error::{Result, invalid, not_found, system};
use crate::events::Events;
use crate::launch::blocking;
use crate::layers::Layers;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use shoal_node_core_host::binds;
use shoal_node_drivers_shim::Rootfs;
use shoal_node_drivers_volumes::{Volume, Volumes as Driver};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Docker marks the volumes that nobody named.
pub const ANONYMOUS: &str = "com.docker.volume.anonymous";

#[derive(Clone)]
pub struct VolumeTable {
    driver: Driver,
    registry: Registry,
    events: Events,
    /// Volumes that a container being made is about to use: (volume, container).
    pending: Arc<parking_lot::Mutex<Vec<(String, String)>>>,
    changing: Arc<Mutex<()>>,
}

/// A volume, as containers see it.
pub struct Mounted {
    pub mountpoint: String,
}

impl VolumeTable {
    pub(crate) fn new(driver: Driver, registry: Registry, events: Events) -> Self {
        VolumeTable {
            driver,
            registry,
            events,
            pending: Arc::default(),
            changing: Arc::default(),
        }
    }

    pub fn driver(&self) -> &Driver {
        &self.driver
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.driver.path(name).unwrap_or_default()
    }

    pub fn get(&self, name: &str) -> Result<Volume> {
        self.driver.get(name).map_err(error)
    }

    /// Makes it, or answers the one that is there and whether it is new.
    pub async fn create(
        &self,
        name: &str,
        labels: BTreeMap<String, String>,
        options: BTreeMap<String, String>,
    ) -> Result<(Volume, bool)> {
        binds::volume_name(name).map_err(|e| invalid(format!("create {name}: {e}")))?;
        let _turn = self.changing.lock().await;
        if let Ok(volume) = self.driver.get(name) {
            return Ok((volume, false));
        }
        let (driver, owned) = (self.driver.clone(), name.to_string());
        let volume = blocking(move || driver.create(&owned, labels, options).map_err(error)).await?;
        self.emit("create", name);
        Ok((volume, true))
    }

    /// For a container that is being made: there when this returns, and not removed before the container is known.
    pub(crate) async fn ensure(
        &self,
        name: &str,
        labels: Vec<(String, String)>,
        anonymous: bool,
        container: &str,
    ) -> Result<(Mounted, bool)> {
        self.pending.lock().push((name.into(), container.into()));
        let mut labels: BTreeMap<String, String> = labels.into_iter().collect();
        if anonymous {
            labels.insert(ANONYMOUS.into(), String::new());
        }
        let (_, new) = self.create(name, labels, BTreeMap::new()).await?;
        Ok((
            Mounted {
                mountpoint: self.path(name).to_string_lossy().into_owned(),
            },
            new,
        ))
    }

    /// The container is known, or will never be.
    pub(crate) fn settled(&self, container: &str) {
        self.pending.lock().retain(|(_, c)| c != container);
    }

    /// Who uses it: known containers, and those being made.
    pub fn user(&self, name: &str, except: &str) -> Option<String> {
        let pending = self
            .pending
            .lock()
            .iter()
            .find(|(v, c)| v == name && c != except)
            .map(|(_, c)| c.clone());
        pending.or_else(|| volume_in_use(&self.registry, name, except))
    }

    /// Removes it unless somebody other than `except` uses it.
    pub async fn remove_unused(&self, name: &str, except: &str) -> Result<()> {
        let _turn = self.changing.lock().await;
        if let Some(user) = self.user(name, except) {
            return Err(volume_in_use_error(name, &user));
        }
        self.get(name)?;
        let (driver, owned) = (self.driver.clone(), name.to_string());
        blocking(move || driver.remove(&owned).map_err(error)).await?;
        self.emit("destroy", name);
        Ok(())
    }

    /// Gives empty volumes what the image has at their place: (volume, path in the image).
    pub(crate) async fn fill(
        &self,
        rootfs: &Rootfs,
        wanted: &[(String, String)],
        tmp: PathBuf,
    ) -> Result<()> {
        let (driver, rootfs, wanted) = (self.driver.clone(), rootfs.clone(), wanted.to_vec());
        blocking(move || {
            let layers = match &rootfs {
                Rootfs::Overlay { lower, upper, .. } => {
                    Layers::open(std::iter::once(upper.as_path()).chain(lower.iter().map(PathBuf::as_path)))
                }
                Rootfs::Directory(dir) => Layers::open([dir.as_path()]),
            };
            let layers = layers.map_err(|e| system(format!("open the image's layers: {e}")))?;
            let there = |path: &str| layers.is_dir(path).unwrap_or(false);
            let wanted: Vec<_> = wanted.into_iter().filter(|(_, path)| there(path)).collect();
            if wanted.is_empty() {
                return Ok(());
            }
            let view = View::open(&rootfs, &tmp)?;
            for (name, path) in wanted {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
                let from = openat2(
                    &view.root,
                    path.trim_start_matches('/'),
                    flags,
                    Mode::empty(),
                    resolve,
                )
                .map_err(|e| system(format!("open {path} of the image: {e}")))?;
                driver
                    .copy_up(from.as_fd(), &name)
                    .map_err(|e| system(format!("fill volume {name} from {path}: {e}")))?;
            }
            Ok(())
        })
        .await
    }

    pub(crate) fn emit(&self, action: &str, name: &str) {
        let attributes = BTreeMap::from([("driver".to_string(), "local".to_string())]);
        self.events.publish("volume", action, name, attributes);
    }
}

impl VolumeTable {
    pub(super) fn pruned(&self, bytes: u64) {
        self.events.pruned("volume", bytes);
    }

    /// A container's process begins to use, or no longer uses, its volumes.
    pub(crate) fn told(&self, mounted: bool, record: &crate::containers::Record) {
        for mount in record.mounts.iter().filter(|m| m.point.kind == "volume") {
            let mut attributes = BTreeMap::from([
                ("container".to_owned(), record.id.clone()),
                ("driver".to_owned(), mount.point.driver.clone()),
            ]);
            if mounted {
                attributes.insert("destination".into(), mount.point.destination.clone());
                attributes.insert("propagation".into(), mount.point.propagation.clone());
                attributes.insert("read/write".into(), mount.point.rw.to_string());
            }
            let action = if mounted { "mount" } else { "unmount" };
            self.events
                .publish("volume", action, &mount.point.name, attributes);
        }
    }
}

/// The driver's error in the API's classes.
pub(super) fn error(e: shoal_node_drivers_volumes::Error) -> crate::error::Error {
    use shoal_node_drivers_volumes::Error as E;
    match &e {
        E::NotFound(_) => not_found(e.to_string()),
        E::InvalidParameter(_) => invalid(e.to_string()),
        E::Storage { .. } => system(e.to_string()),
    }
}
