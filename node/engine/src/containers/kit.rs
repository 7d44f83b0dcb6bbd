//! What containers' actors work with: the drivers and services, each shared by all of them. It has no behaviour of its
//! own beyond finding a container's control group.

use super::record::Record;
use super::registry::Registry;
use crate::config::Defaults;
use crate::error::{Result, system};
use crate::events::Events;
use crate::execs::Table;
use crate::host::Host;
use crate::launch::Seccomp;
use crate::logging::Tender;
use crate::networks::NetworkTable;
use crate::rootfs::Views;
use crate::volumes::VolumeTable;
use shoal_node_core_host::ocispec::resources;
use shoal_node_drivers_cgroup::{Cgroup, Hierarchy};
use shoal_node_drivers_images::Images;
use shoal_node_drivers_shim::{Launcher, Rootfs};
use std::path::PathBuf;

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
