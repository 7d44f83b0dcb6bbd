//! Which mounts a new container gets: `Binds`, `Mounts`, `VolumesFrom`, and the image's anonymous volumes. Volumes are
//! made here, and filled from the image where they are empty.

use super::kit::Kit;
use super::record::{MountRecord, Record};
use super::registry::Registry;
use super::validate::duplicate;
use crate::error::{Result, conflict, invalid};
use crate::ids;
use crate::volumes::{LOCAL, Wish};
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
        driver: host.volume_driver.clone(),
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
    /// `HostConfig.VolumeDriver`: of volumes that name none themselves.
    driver: String,
}

impl Resolver<'_> {
    async fn all(&mut self, config: &Config, host: &HostConfig) -> Result<()> {
        // Everything is judged before anything is made.
        let parsed = host.binds.iter().map(|text| binds::parse(text).map_err(invalid));
        let parsed = parsed.collect::<Result<Vec<_>>>()?;
        for mount in host.mounts.iter() {
            check(mount)?;
        }
        for from in host.volumes_from.iter() {
            self.from(from)?;
        }
        for bind in parsed {
            self.bind(bind).await?;
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
                let wish = Wish {
                    driver: self.driver.clone(),
                    ..Wish::default()
                };
                self.volume(bind, wish, true).await?;
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
        if text.is_empty() {
            return Err(invalid("volumes-from specification cannot be an empty string"));
        }
        let (reference, mode) = text.split_once(':').unwrap_or((text, "rw"));
        if !matches!(mode, "rw" | "ro" | "z" | "Z") {
            return Err(invalid(format!("invalid mode: {mode}")));
        }
        // Not "not found": clients would take that for the image.
        let other = self
            .kit
            .registry
            .get(reference)
            .map_err(|e| invalid(e.message))?
            .view();
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
            let wish = Wish {
                driver: self.driver.clone(),
                ..Wish::default()
            };
            return self.volume(bind, wish, anonymous).await;
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

    async fn volume(&mut self, bind: Bind, wish: Wish, anonymous: bool) -> Result<()> {
        self.claim(&bind.destination)?;
        let name = if bind.source.is_empty() {
            ids::new()
        } else {
            bind.source
        };
        let (volume, made) = self.kit.volumes.ensure(&name, wish, anonymous, self.id).await?;
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
                mode: if bind.mode.is_empty() && !anonymous && volume.driver == LOCAL {
                    "z".into()
                } else {
                    bind.mode
                },
                rw: !bind.read_only,
                driver: volume.driver,
                ..MountPoint::default()
            },
            anonymous,
            ..MountRecord::default()
        });
        Ok(())
    }

    async fn mount(&mut self, mount: &Mount) -> Result<()> {
        let destination = binds::clean(&mount.target);
        match mount.kind.as_str() {
            "bind" => self.typed_bind(mount, destination),
            "volume" => self.typed_volume(mount, destination).await,
            "image" => self.image(mount, destination),
            _ => {
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
        }
    }

    fn image(&mut self, mount: &Mount, destination: String) -> Result<()> {
        let image = crate::images::find(&self.kit.images, &mount.source)?;
        self.claim(&destination)?;
        let number = self.out.mounts.iter().filter(|m| !m.layer.is_empty()).count();
        self.out.mounts.push(MountRecord {
            point: MountPoint {
                kind: "image".into(),
                name: mount.source.clone(),
                destination,
                rw: false,
                propagation: "rprivate".into(),
                ..MountPoint::default()
            },
            subpath: mount.image_options.clone().unwrap_or_default().subpath,
            image: image.id.clone(),
            layer: format!("{}.{number}", self.id),
            ..MountRecord::default()
        });
        Ok(())
    }

    fn typed_bind(&mut self, mount: &Mount, destination: String) -> Result<()> {
        let options = mount.bind_options.clone().unwrap_or_default();
        let source = binds::clean(&mount.source);
        if !Path::new(&source).exists() && !options.create_mountpoint {
            return Err(bad(mount, format!("bind source path does not exist: {source}")));
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
            read_only_top: options.read_only_non_recursive,
            read_only_all: options.read_only_force_recursive,
            ..MountRecord::default()
        });
        Ok(())
    }

    async fn typed_volume(&mut self, mount: &Mount, destination: String) -> Result<()> {
        let options = mount.volume_options.clone().unwrap_or_default();
        let config = options.driver_config.clone().unwrap_or_default();
        let wish = Wish {
            driver: config.name,
            labels: options.labels.clone().into_map().into_iter().collect(),
            options: config.options.into_map().into_iter().collect(),
        };
        let anonymous = mount.source.is_empty();
        let bind = Bind {
            source: mount.source.clone(),
            destination,
            read_only: mount.read_only,
            no_copy: options.no_copy || !options.subpath.is_empty(),
            ..Bind::default()
        };
        self.volume(bind, wish, anonymous).await?;
        if let Some(last) = self.out.mounts.last_mut() {
            last.subpath = options.subpath;
        }
        Ok(())
    }
}

fn bad(mount: &Mount, why: impl std::fmt::Display) -> crate::error::Error {
    invalid(format!("invalid mount config for type {:?}: {why}", mount.kind))
}

/// What Docker refuses of a `--mount`, in its words and its order.
fn check(mount: &Mount) -> Result<()> {
    let kind = mount.kind.as_str();
    let extra = |field: &str| bad(mount, format!("field {field} must not be specified"));
    for (there, field, of) in [
        (mount.bind_options.is_some(), "BindOptions", "bind"),
        (mount.volume_options.is_some(), "VolumeOptions", "volume"),
        (mount.tmpfs_options.is_some(), "TmpfsOptions", "tmpfs"),
    ] {
        if there && kind != of && matches!(kind, "bind" | "volume" | "tmpfs" | "image") {
            return Err(invalid(format!(
                "{field} must not be specified on mount type {kind:?}"
            )));
        }
    }
    if mount.target.is_empty() {
        return Err(bad(mount, "field Target must not be empty"));
    }
    let absolute = |path: &str| match path.starts_with('/') {
        true => Ok(()),
        false => Err(bad(
            mount,
            format!("invalid mount path: '{path}' mount path must be absolute"),
        )),
    };
    if binds::clean(&mount.target) == "/" {
        return Err(bad(mount, "invalid specification: destination can't be '/'"));
    }
    absolute(&mount.target)?;
    if mount.image_options.is_some() && kind != "image" {
        return Err(extra("ImageOptions"));
    }
    let inside = |subpath: &str| match is_local(subpath) {
        true => Ok(()),
        false => Err(bad(mount, "subpath must be a relative path within the volume")),
    };
    match kind {
        "bind" => {
            if mount.source.is_empty() {
                return Err(bad(mount, "field Source must not be empty"));
            }
            let word = mount.bind_options.as_ref().map(|o| o.propagation.as_str());
            if let Some(word) = word.filter(|w| !w.is_empty() && !binds::propagation_is_valid(w)) {
                return Err(bad(mount, format!("invalid propagation mode: {word}")));
            }
            absolute(&mount.source)
        }
        "volume" => {
            let subpath = mount.volume_options.as_ref().map_or("", |o| &o.subpath);
            if mount.source.is_empty() && !subpath.is_empty() {
                return Err(bad(mount, "must not set Subpath when using anonymous volumes"));
            }
            if mount.source.is_empty() && mount.read_only {
                return Err(bad(
                    mount,
                    "must not set ReadOnly mode when using anonymous volumes",
                ));
            }
            inside(subpath)
        }
        "tmpfs" if !mount.source.is_empty() => Err(extra("Source")),
        "tmpfs" => {
            let options = mount.tmpfs_options.iter().flat_map(|o| o.options.iter());
            for option in options {
                match option.as_slice() {
                    [word] if matches!(word.as_str(), "exec" | "noexec") => {}
                    [word] | [word, _] => return Err(bad(mount, format!("invalid option: {word}"))),
                    _ => return Err(bad(mount, "invalid option array length")),
                }
            }
            Ok(())
        }
        "image" if mount.source.is_empty() => Err(bad(mount, "field Source must not be empty")),
        "image" => inside(mount.image_options.as_ref().map_or("", |o| &o.subpath)),
        _ => Err(bad(mount, "mount type unknown")),
    }
}

/// Go's `filepath.IsLocal`, and nothing at all.
fn is_local(path: &str) -> bool {
    path.is_empty() || (!path.starts_with('/') && binds::clean(path).split('/').next() != Some(".."))
}

fn typed_tmpfs(mount: &Mount) -> Vec<String> {
    let exec = |o: &Vec<String>| o.first().is_some_and(|word| word == "exec");
    let options = mount.tmpfs_options.iter().flat_map(|o| o.options.iter());
    let first = if options.map(exec).next_back() == Some(true) {
        "exec"
    } else {
        "noexec"
    };
    let mut out: Vec<String> = [first, "nosuid", "nodev"].map(String::from).to_vec();
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

/// The containers that use a volume, but for one.
pub fn volume_in_use(registry: &Registry, name: &str, except: &str) -> Vec<String> {
    let uses = |record: &Record| {
        let mut mounts = record.mounts.iter();
        mounts.any(|m| m.point.kind == "volume" && m.point.name == name)
    };
    let users = registry.all().into_iter().filter(|handle| {
        let view = handle.view();
        handle.id() != except && !view.gone && uses(&view.record)
    });
    users.map(|handle| handle.id().to_string()).collect()
}

/// The refusal for a volume that a container uses.
pub fn in_use(name: &str, users: &str) -> crate::error::Error {
    conflict(format!("remove {name}: volume is in use - [{users}]"))
}
