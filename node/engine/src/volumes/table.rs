//! The volumes that there are, and who uses them. Only this makes and removes volumes, one change at a time.

use super::foreign::{Foreign, Known};
use super::mounted::Users;
use super::view::View;
use crate::containers::{Registry, volume_in_use, volume_in_use_error};
use crate::error::{Error, Result, conflict, invalid, not_found, system};
use crate::events::Events;
use crate::launch::blocking;
use crate::layers::Layers;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use shoal_node_core_host::binds;
use shoal_node_drivers_shim::Rootfs;
use shoal_node_drivers_volumes::Volumes as Driver;
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
    foreign: Foreign,
    users: Users,
    registry: Registry,
    events: Events,
    /// Volumes that a container being made is about to use: (volume, container).
    pending: Arc<parking_lot::Mutex<Vec<(String, String)>>>,
    changing: Arc<Mutex<()>>,
}

/// The driver of volumes that are directories of ours.
pub const LOCAL: &str = "local";

/// A volume, whoever keeps it.
#[derive(Clone, Debug)]
pub struct Volume {
    pub name: String,
    pub driver: String,
    /// RFC 3339; empty where only a plugin knows.
    pub created_at: String,
    pub labels: BTreeMap<String, String>,
    pub options: BTreeMap<String, String>,
    /// Empty where only a plugin knows.
    pub mountpoint: String,
}

impl From<shoal_node_drivers_volumes::Volume> for Volume {
    fn from(volume: shoal_node_drivers_volumes::Volume) -> Volume {
        Volume {
            mountpoint: volume.mountpoint.to_string_lossy().into_owned(),
            name: volume.name,
            driver: LOCAL.into(),
            created_at: volume.created_at,
            labels: volume.labels,
            options: volume.options,
        }
    }
}

/// What a container wants of a volume that it may have to make.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Empty is any: the one that has it, or `local`.
    pub driver: String,
    pub labels: BTreeMap<String, String>,
    pub options: BTreeMap<String, String>,
}

impl VolumeTable {
    pub(crate) fn new(driver: Driver, foreign: Foreign, registry: Registry, events: Events) -> Self {
        VolumeTable {
            driver,
            foreign,
            users: Users::default(),
            registry,
            events,
            pending: Arc::default(),
            changing: Arc::default(),
        }
    }

    pub fn driver(&self) -> &Driver {
        &self.driver
    }

    pub(super) fn foreign(&self) -> &Foreign {
        &self.foreign
    }

    pub(super) fn users(&self) -> &Users {
        &self.users
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.driver.path(name).unwrap_or_default()
    }

    pub fn get(&self, name: &str) -> Result<Volume> {
        match self.foreign.get(name) {
            Some(known) => Ok(foreign(name, known)),
            None => self.driver.get(name).map(Volume::from).map_err(error),
        }
    }

    /// Of ours, whoever keeps them.
    pub fn list(&self) -> Vec<Volume> {
        let local = self.driver.list().into_iter().map(Volume::from);
        let others = self
            .foreign
            .all()
            .into_iter()
            .map(|(name, known)| foreign(&name, known));
        local.chain(others).collect()
    }

    /// Makes it, or answers the one that is there and whether it is new.
    pub async fn create(&self, name: &str, wish: Wish) -> Result<(Volume, bool)> {
        let local = matches!(wish.driver.as_str(), "" | LOCAL);
        if local {
            binds::volume_name(name).map_err(|e| invalid(format!("create {name}: {e}")))?;
        } else {
            let found = self.foreign.find(&wish.driver).await;
            found.map_err(|e| Error::new(e.class, format!("create {name}: {}", e.message)))?;
        }
        let _turn = self.changing.lock().await;
        if let Ok(volume) = self.get(name) {
            if !wish.driver.is_empty() && wish.driver != volume.driver {
                return Err(conflict(format!(
                    "create {name}: driver '{}' already has volume '{name}': volume name must be unique",
                    volume.driver
                )));
            }
            return Ok((volume, false));
        }
        let driver_name = if local {
            LOCAL.to_string()
        } else {
            wish.driver.clone()
        };
        let volume = if local {
            let (driver, owned) = (self.driver.clone(), name.to_string());
            let made = move || driver.create(&owned, wish.labels, wish.options).map_err(error);
            Volume::from(blocking(made).await?)
        } else {
            let known = Known {
                driver: wish.driver,
                labels: wish.labels,
                options: wish.options,
            };
            let made = self.foreign.create(name, known.clone()).await;
            made.map_err(|e| Error::new(e.class, format!("create {name}: {}", e.message)))?;
            foreign(name, known)
        };
        self.emit("create", name, &driver_name);
        Ok((volume, true))
    }

    /// For a container that is being made: there when this returns, and not removed before the container is known.
    pub(crate) async fn ensure(
        &self,
        name: &str,
        mut wish: Wish,
        anonymous: bool,
        container: &str,
    ) -> Result<(Volume, bool)> {
        self.pending.lock().push((name.into(), container.into()));
        if anonymous {
            wish.labels.insert(ANONYMOUS.into(), String::new());
        }
        self.create(name, wish).await
    }

    /// The container is known, or will never be.
    pub(crate) fn settled(&self, container: &str) {
        self.pending.lock().retain(|(_, c)| c != container);
    }

    /// Who uses it: known containers, and those being made.
    pub fn users_of(&self, name: &str, except: &str) -> Vec<String> {
        let mut users = volume_in_use(&self.registry, name, except);
        let pending = self.pending.lock();
        let pending = pending.iter().filter(|(v, c)| v == name && c != except);
        for (_, container) in pending {
            if !users.contains(container) {
                users.push(container.clone());
            }
        }
        users
    }

    /// Removes it unless somebody other than `except` uses it.
    pub async fn remove_unused(&self, name: &str, except: &str) -> Result<()> {
        let _turn = self.changing.lock().await;
        let users = self.users_of(name, except);
        if !users.is_empty() {
            return Err(volume_in_use_error(name, &users.join(", ")));
        }
        let volume = self.get(name)?;
        if volume.driver == LOCAL {
            let (driver, owned) = (self.driver.clone(), name.to_string());
            blocking(move || driver.remove(&owned).map_err(error)).await?;
        } else {
            let removed = self.foreign.remove(name, &volume.driver).await;
            removed.map_err(|e| Error::new(e.class, format!("remove {name}: {}", e.message)))?;
        }
        self.emit("destroy", name, &volume.driver);
        Ok(())
    }

    /// Gives empty volumes what the image has at their place: (volume, path in the image).
    pub(crate) async fn fill(
        &self,
        rootfs: &Rootfs,
        wanted: &[(String, String)],
        tmp: PathBuf,
    ) -> Result<()> {
        let (driver, rootfs) = (self.driver.clone(), rootfs.clone());
        let wanted = self.only_filled(&rootfs, wanted).await?;
        if wanted.is_empty() {
            return Ok(());
        }
        // Each by where its files are; one that is only there while it is used is mounted for this.
        let user = format!("fill-{}", crate::ids::short(&crate::ids::new()));
        let mut places = Vec::new();
        for (name, path) in &wanted {
            match self.mount(name, &user).await {
                Ok(place) => places.push((
                    place.unwrap_or_else(|| self.path(name)),
                    name.clone(),
                    path.clone(),
                )),
                // The container's start says why, as in Docker.
                Err(error) => {
                    tracing::debug!(volume = name, error = error.message, "not filled");
                }
            }
        }
        let filled = blocking(move || {
            let view = View::open(&rootfs, &tmp)?;
            for (place, name, path) in places {
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
                    .copy_up_to(from.as_fd(), &place)
                    .map_err(|e| system(format!("fill volume {name} from {path}: {e}")))?;
            }
            Ok(())
        })
        .await;
        for (name, _) in &wanted {
            self.unmount(name, &user).await;
        }
        filled
    }

    /// Those that the image has a directory for.
    async fn only_filled(
        &self,
        rootfs: &Rootfs,
        wanted: &[(String, String)],
    ) -> Result<Vec<(String, String)>> {
        let (rootfs, wanted) = (rootfs.clone(), wanted.to_vec());
        blocking(move || {
            let layers = match &rootfs {
                Rootfs::Overlay { lower, upper, .. } => {
                    Layers::open(std::iter::once(upper.as_path()).chain(lower.iter().map(PathBuf::as_path)))
                }
                Rootfs::Directory(dir) => Layers::open([dir.as_path()]),
            };
            let layers = layers.map_err(|e| system(format!("open the image's layers: {e}")))?;
            let there = |path: &str| layers.is_dir(path).unwrap_or(false);
            Ok(wanted.into_iter().filter(|(_, path)| there(path)).collect())
        })
        .await
    }

    pub(crate) fn emit(&self, action: &str, name: &str, driver: &str) {
        let attributes = BTreeMap::from([("driver".to_string(), driver.to_string())]);
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

fn foreign(name: &str, known: Known) -> Volume {
    Volume {
        name: name.into(),
        driver: known.driver,
        created_at: String::new(),
        labels: known.labels,
        options: known.options,
        mountpoint: String::new(),
    }
}

/// The driver's error in the API's classes.
pub(super) fn error(e: shoal_node_drivers_volumes::Error) -> crate::error::Error {
    use shoal_node_drivers_volumes::Error as E;
    match &e {
        E::NotFound(_) => not_found(e.to_string()),
        E::InvalidParameter(_) => invalid(e.to_string()),
        E::Storage { .. } | E::Mount { .. } => system(e.to_string()),
    }
}
