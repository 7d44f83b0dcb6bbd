//! Which mounts a new container gets: `Binds`, `Mounts`, `VolumesFrom`, and the image's anonymous volumes. Volumes are
//! made here, and filled from the image where they are empty.

use super::kit::Kit;
use super::record::{MountRecord, Record};
use super::registry::Registry;
use super::validate::duplicate;
use crate::error::{Result, conflict, invalid};
use crate::ids;
use shoal_api_types::container::{Config, HostConfig};
use shoal_api_types::mount::{Mount, MountPoint};
use shoal_node_core_host::binds::{self, Bind};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Resolved, with what has been made on the way (to be undone when the create fails).
#[derive(Default)]
pub struct Resolved {
    pub mounts: Vec<MountRecord>,
    /// Volumes to be filled from the image: (name, path in the image).
    pub fill: Vec<(String, String)>,
    pub made: Vec<String>,
}

pub async fn resolve(kit: &Kit, id: &str, config: &Config, host: &HostConfig) -> Result<Resolved> {
    let mut resolver = Resolver {
        kit,
        id,
        out: Resolved::default(),
        taken: BTreeMap::new(),
    };
    match resolver.all(config, host).await {
        Ok(()) => Ok(resolver.out),
        Err(e) => {
            undo(kit, id, &resolver.out).await;
            kit.volumes.settled(id);
            Err(e)
        }
    }
}

/// Takes back what a failed create has made.
pub async fn undo(kit: &Kit, id: &str, resolved: &Resolved) {
    for name in &resolved.made {
        let _ = kit.volumes.remove_unused(name, id).await;
    }
}

struct Resolver<'a> {
    kit: &'a Kit,
    id: &'a str,
    out: Resolved,
    /// By destination: whether it may be replaced (it came from `VolumesFrom`).
    taken: BTreeMap<String, bool>,
}

impl Resolver<'_> {
    async fn all(&mut self, config: &Config, host: &HostConfig) -> Result<()> {
        for from in host.volumes_from.iter() {
            self.from(from)?;
        }
        for text in host.binds.iter() {
            self.bind(binds::parse(text).map_err(invalid)?).await?;
        }
        for mount in host.mounts.iter() {
            self.mount(mount).await?;
        }
        let tmpfs: BTreeSet<String> = host.tmpfs.keys().map(|d| binds::clean(d)).collect();
        for destination in config.volumes.keys() {
            let destination = binds::clean(destination);
            if destination == "/" || !destination.starts_with('/') {
                return Err(invalid(format!("invalid volume specification: '{destination}'")));
            }
            if !self.taken.contains_key(&destination) && !tmpfs.contains(&destination) {
                let bind = Bind {
                    destination,
                    ..Bind::default()
                };
                self.volume(bind, Vec::new(), true).await?;
            }
        }
        Ok(())
    }

    fn claim(&mut self, destination: &str) -> Result<()> {
        match self.taken.insert(destination.into(), false) {
            Some(false) => Err(duplicate(destination)),
            Some(true) => {
                self.out.mounts.retain(|m| m.point.destination != destination);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn from(&mut self, text: &str) -> Result<()> {
        let (reference, mode) = text.split_once(':').unwrap_or((text, "rw"));
        if !matches!(mode, "rw" | "ro" | "z" | "Z") {
            return Err(invalid(format!("invalid mode: {mode}")));
        }
        let other = self.kit.registry.get(reference)?.view();
        for mount in &other.record.mounts {
            let mut mount = mount.clone();
            mount.anonymous = false;
            mount.point.rw &= mode != "ro";
            self.taken.insert(mount.point.destination.clone(), true);
            self.out
                .mounts
                .retain(|m| m.point.destination != mount.point.destination);
            self.out.mounts.push(mount);
        }
        Ok(())
    }

    async fn bind(&mut self, bind: Bind) -> Result<()> {
        if bind.is_volume() {
            let anonymous = bind.source.is_empty();
            return self.volume(bind, Vec::new(), anonymous).await;
        }
        self.claim(&bind.destination)?;
        self.out.mounts.push(MountRecord {
            point: MountPoint {
                kind: "bind".into(),
                source: bind.source,
                destination: bind.destination,
                mode: bind.mode,
                rw: !bind.read_only,
                propagation: bind.propagation,
                ..MountPoint::default()
            },
            ..MountRecord::default()
        });
        Ok(())
    }

    async fn volume(&mut self, bind: Bind, labels: Vec<(String, String)>, anonymous: bool) -> Result<()> {
        self.claim(&bind.destination)?;
        let name = if bind.source.is_empty() {
            ids::new()
        } else {
            bind.source
        };
        let (volume, made) = self.kit.volumes.ensure(&name, labels, anonymous, self.id).await?;
        if made {
            self.out.made.push(name.clone());
        }
        if !bind.no_copy {
            self.out.fill.push((name.clone(), bind.destination.clone()));
        }
        self.out.mounts.push(MountRecord {
            point: MountPoint {
                kind: "volume".into(),
                name,
                source: volume.mountpoint,
                destination: bind.destination,
                driver: "local".into(),
                mode: if bind.mode.is_empty() && !anonymous {
                    "z".into()
                } else {
                    bind.mode
                },
                rw: !bind.read_only,
                ..MountPoint::default()
            },
            anonymous,
            ..MountRecord::default()
        });
        Ok(())
    }

    async fn mount(&mut self, mount: &Mount) -> Result<()> {
        let bad = |why: String| invalid(format!("invalid mount config for type {:?}: {why}", mount.kind));
        let destination = binds::clean(&mount.target);
        if mount.target.is_empty() {
            return Err(bad("field Target must not be empty".into()));
        }
        if !destination.starts_with('/') {
            return Err(bad(format!(
                "invalid mount path: '{}' mount path must be absolute",
                mount.target
            )));
        }
        if destination == "/" {
            return Err(bad("invalid specification: destination can't be '/'".into()));
        }
        match mount.kind.as_str() {
            "bind" => self.typed_bind(mount, destination, bad),
            "volume" => self.typed_volume(mount, destination, bad).await,
            "tmpfs" => {
                if !mount.source.is_empty() {
                    return Err(bad("field Source must not be specified".into()));
                }
                self.claim(&destination)?;
                let tmpfs = typed_tmpfs(mount);
                self.out.mounts.push(MountRecord {
                    point: MountPoint {
                        kind: "tmpfs".into(),
                        destination,
                        rw: !mount.read_only,
                        ..MountPoint::default()
                    },
                    tmpfs,
                    ..MountRecord::default()
                });
                Ok(())
            }
            "" => Err(bad("mount type unknown".into())),
            other => Err(bad(format!("mount type unknown: {other:?}"))),
        }
    }

    fn typed_bind(
        &mut self,
        mount: &Mount,
        destination: String,
        bad: impl Fn(String) -> crate::error::Error,
    ) -> Result<()> {
        if mount.source.is_empty() {
            return Err(bad("field Source must not be empty".into()));
        }
        if !mount.source.starts_with('/') {
            return Err(bad(format!(
                "invalid mount path: '{}' mount path must be absolute",
                mount.source
            )));
        }
        let options = mount.bind_options.clone().unwrap_or_default();
        let source = binds::clean(&mount.source);
        if !Path::new(&source).exists() && !options.create_mountpoint {
            return Err(bad(format!("bind source path does not exist: {source}")));
        }
        self.claim(&destination)?;
        let propagation = if options.propagation.is_empty() {
            "rprivate".into()
        } else {
            options.propagation
        };
        self.out.mounts.push(MountRecord {
            point: MountPoint {
                kind: "bind".into(),
                source,
                destination,
                rw: !mount.read_only,
                propagation,
                ..MountPoint::default()
            },
            non_recursive: options.non_recursive,
            ..MountRecord::default()
        });
        Ok(())
    }

    async fn typed_volume(
        &mut self,
        mount: &Mount,
        destination: String,
        bad: impl Fn(String) -> crate::error::Error,
    ) -> Result<()> {
        let options = mount.volume_options.clone().unwrap_or_default();
        if mount.source.is_empty() && !options.subpath.is_empty() {
            return Err(bad("must not set Subpath when using anonymous volumes".into()));
        }
        if !mount.source.is_empty() {
            binds::volume_name(&mount.source).map_err(&bad)?;
        }
        let driver = options
            .driver_config
            .as_ref()
            .map(|d| d.name.clone())
            .unwrap_or_default();
        if !matches!(driver.as_str(), "" | "local") {
            return Err(invalid(format!(
                "error looking up volume plugin {driver}: plugin {driver:?} not found"
            )));
        }
        let labels = options.labels.clone().into_map().into_iter().collect();
        let anonymous = mount.source.is_empty();
        let bind = Bind {
            source: mount.source.clone(),
            destination,
            read_only: mount.read_only,
            no_copy: options.no_copy || !options.subpath.is_empty(),
            ..Bind::default()
        };
        self.volume(bind, labels, anonymous).await?;
        if let Some(last) = self.out.mounts.last_mut() {
            last.subpath = options.subpath;
        }
        Ok(())
    }
}

fn typed_tmpfs(mount: &Mount) -> Vec<String> {
    let mut out: Vec<String> = ["noexec", "nosuid", "nodev"].map(String::from).to_vec();
    if mount.read_only {
        out.push("ro".into());
    }
    if let Some(options) = &mount.tmpfs_options {
        if options.size_bytes > 0 {
            out.push(format!("size={}", options.size_bytes));
        }
        if options.mode != 0 {
            out.push(format!("mode={:o}", options.mode));
        }
    }
    out
}

/// Volumes of a container that nobody else uses may go with it; others refuse.
pub fn volume_in_use(registry: &Registry, name: &str, except: &str) -> Option<String> {
    registry
        .all()
        .into_iter()
        .filter(|h| h.id() != except)
        .find_map(|handle| {
            let view = handle.view();
            let uses = |record: &Record| {
                record
                    .mounts
                    .iter()
                    .any(|m| m.point.kind == "volume" && m.point.name == name)
            };
            (!view.gone && uses(&view.record)).then(|| handle.id().to_string())
        })
}

/// The refusal for a volume that a container uses.
pub fn in_use(name: &str, users: &str) -> crate::error::Error {
    conflict(format!("remove {name}: volume is in use - [{users}]"))
}
