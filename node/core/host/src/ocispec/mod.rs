//! The OCI runtime specification of one container, computed from values that are already resolved: who it runs as, what
//! is mounted where, which limits. Docker's defaults live here and nowhere else.

mod build;
mod mounts;
mod process;
pub mod resources;
#[cfg(test)]
mod tests;

pub use build::{build, masked_paths, readonly_paths};
pub use process::{Process, process};

use crate::subids::IdMap;
use crate::users::User;
use oci_spec::runtime::{Capability, LinuxDevice, LinuxDeviceCgroup, LinuxResources};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Docker's 64 MiB of /dev/shm.
pub const SHM_BYTES: i64 = 64 << 20;

/// Everything `build` needs to know.
#[derive(Clone, Debug, Default)]
pub struct Input {
    pub process: Process,
    pub hostname: String,
    pub domainname: String,
    pub privileged: bool,
    pub readonly_rootfs: bool,
    pub namespaces: Namespaces,
    /// Binds, volumes and tmpfs as asked for; sorted here so that a parent comes before what lies in it.
    pub mounts: Vec<Mount>,
    /// Bind-mounted over the image's own: (host path, destination).
    pub files: Vec<(PathBuf, &'static str)>,
    pub shm: Shm,
    pub init: Option<PathBuf>,
    pub resources: LinuxResources,
    pub device_rules: Vec<LinuxDeviceCgroup>,
    pub devices: Vec<Device>,
    pub sysctls: BTreeMap<String, String>,
    /// `None`: Docker's defaults. `Some(vec![])`: nothing.
    pub masked_paths: Option<Vec<String>>,
    pub readonly_paths: Option<Vec<String>>,
    /// Processors whose thermal throttle counters exist on this host (they tell about neighbours).
    pub thermal_cpus: Vec<u32>,
    pub cgroup_v2: bool,
    pub annotations: BTreeMap<String, String>,
    /// Of the user namespace that it is in, if that is not the host's.
    pub ids: Option<IdMap>,
}

/// One namespace: its own, the host's, or another container's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ns {
    #[default]
    Own,
    Host,
    Of(PathBuf),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    pub network: Ns,
    pub pid: Ns,
    pub ipc: Ns,
    pub uts: Ns,
    pub cgroup: Ns,
    /// Only where there are `ids`.
    pub user: Ns,
}

/// Where /dev/shm comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shm {
    Own {
        bytes: i64,
    },
    /// A directory of the host: its own `/dev/shm`, or one shared between containers.
    Bind(PathBuf),
    /// Not mounted: something of the user's lies there.
    None,
}

impl Default for Shm {
    fn default() -> Self {
        Shm::Own { bytes: SHM_BYTES }
    }
}

/// A mount as asked for, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mount {
    Bind {
        source: PathBuf,
        destination: String,
        read_only: ReadOnly,
        recursive: bool,
        propagation: String,
        /// Ours: its files belong inside to whom they belong on the disk, whatever the user namespace.
        mapped: bool,
    },
    /// The layers of an image, top first, below a layer of the container's own; of it, what lies at `subpath`.
    Image {
        lower: Vec<PathBuf>,
        upper: PathBuf,
        work: PathBuf,
        subpath: String,
        destination: String,
        read_only: bool,
    },
    Tmpfs {
        destination: String,
        options: Vec<String>,
    },
    /// As a device's description has it.
    Given {
        source: PathBuf,
        kind: String,
        destination: String,
        options: Vec<String>,
    },
}

impl Mount {
    pub fn destination(&self) -> &str {
        match self {
            Mount::Bind { destination, .. }
            | Mount::Image { destination, .. }
            | Mount::Given { destination, .. }
            | Mount::Tmpfs { destination, .. } => destination,
        }
    }
}

/// How far a read-only bind goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadOnly {
    #[default]
    No,
    /// What is mounted below it on the host stays as it is.
    Top,
    /// All of it.
    Recursive,
}

/// A device node of the host, given to the container.
#[derive(Clone, Debug)]
pub struct Device {
    pub node: LinuxDevice,
    pub access: String,
}

/// The identity and rights of a process: the first one, or an exec's.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    pub user: User,
    pub caps: Vec<Capability>,
    pub no_new_privileges: bool,
    /// The AppArmor profile; none is unconfined.
    pub apparmor: Option<String>,
    /// (name without `RLIMIT_` in lower case, soft, hard); -1 is unlimited.
    pub rlimits: Vec<(String, i64, i64)>,
    pub oom_score_adj: i32,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("invalid ulimit type: {0}")]
    Rlimit(String),
    #[error("invalid container specification: {0}")]
    Build(String),
}

impl From<oci_spec::OciSpecError> for Error {
    fn from(e: oci_spec::OciSpecError) -> Self {
        Error::Build(e.to_string())
    }
}
