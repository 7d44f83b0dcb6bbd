//! What containers' actors work with: the drivers and services, each shared by all of them. It has no behaviour of its
//! own beyond finding a container's control group.

use super::record::Record;
use super::registry::Registry;
use crate::config::{Defaults, OWN_RUNTIMES, Settings};
use crate::error::{Result, invalid, system};
use crate::events::Events;
use crate::execs::Table;
use crate::host::Host;
use crate::launch::Seccomp;
use crate::logging::Tender;
use crate::networks::NetworkTable;
use crate::rootfs::Views;
use crate::subids::Subids;
use crate::volumes::VolumeTable;
use shoal_node_core_host::ocispec::resources;
use shoal_node_core_host::subids::IdMap;
use shoal_node_drivers_cgroup::{Cgroup, Hierarchy};
use shoal_node_drivers_images::Images;
use shoal_node_drivers_runtime::quota::Quotas;
use shoal_node_drivers_shim::{self as shim, Launcher, Rootfs};
use std::path::PathBuf;
use std::sync::Arc;

pub struct Kit {
    pub images: Images,
    pub volumes: VolumeTable,
    pub networks: NetworkTable,
    pub execs: Table,
    pub views: Views,
    pub launcher: Launcher,
    pub seccomp: Seccomp,
    pub events: Events,
    pub logs: Tender,
    pub registry: Registry,
    pub hierarchy: Hierarchy,
    pub host: Host,
    pub live: Settings,
    pub subids: Subids,
    /// Where the data root's file system can hold directories to a size.
    pub quotas: Option<Arc<Quotas>>,
    pub cdi_dirs: Vec<PathBuf>,
    pub defaults: Defaults,
    /// Where each container's directory is.
    pub containers_root: PathBuf,
    /// Where each container's run directory is.
    pub run_root: PathBuf,
    pub home_tmp: PathBuf,
    pub init_bin: PathBuf,
    /// Of containers that name none.
    pub cgroup_parent: String,
}

impl Kit {
    pub fn cgroup_parent(&self, record: &Record) -> String {
        match record.host.resources.cgroup_parent.as_str() {
            "" => self.cgroup_parent.clone(),
            parent if parent.starts_with('/') => parent.into(),
            parent => format!("/{parent}"),
        }
    }

    /// The runtime of this name; `None` is our own.
    pub fn runtime(&self, name: &str) -> Result<Option<shim::Runtime>> {
        if name.is_empty() || OWN_RUNTIMES.contains(&name) {
            return Ok(None);
        }
        let live = self.live.get();
        let Some(known) = live.runtimes.get(name) else {
            return Err(invalid(format!("unknown or invalid runtime name: {name}")));
        };
        match (known.path.as_str(), known.kind.as_str()) {
            ("", kind) if OWN_RUNTIMES.contains(&kind) => Ok(None),
            ("", kind) => Err(invalid(format!(
                "unknown or invalid runtime name: {name}: {kind} is a shim of containerd's; a runtime here is the path of an OCI runtime's program"
            ))),
            (path, _) => Ok(Some(shim::Runtime {
                path: path.into(),
                args: known.args.clone(),
            })),
        }
    }

    /// The ids of a container's user namespace, if it has one.
    pub fn ids_of(&self, record: &Record) -> Result<Option<IdMap>> {
        self.subids.of(record)
    }

    /// A container's root filesystem, for its shim.
    pub fn rootfs(&self, id: &str) -> Result<Rootfs> {
        let rootfs = self.images.rootfs(id).map_err(crate::images::error)?;
        Ok(Rootfs::Overlay {
            lower: rootfs.lower,
            upper: rootfs.upper,
            work: rootfs.work,
        })
    }

    /// Of a running container.
    pub fn cgroup(&self, record: &Record) -> Result<Cgroup> {
        Cgroup::open(&self.hierarchy, &self.cgroup_parent(record), &record.id)
            .map_err(|e| system(e.to_string()))
    }

    /// Applies a record's limits to its running container.
    pub fn limits(&self, record: &Record) -> Result<()> {
        let wanted = resources::resources(&super::with_devices(&record.host.resources)?);
        self.cgroup(record)?
            .update(&self.hierarchy, &wanted)
            .map_err(|e| system(e.to_string()))
    }
}
