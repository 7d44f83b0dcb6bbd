//! Which control group interface this host has, and where.

use std::path::{Path, PathBuf};

use crate::cgroup::Plan;
use crate::dir::{Dir, make_dir};
use crate::error::{Error, Result};
use crate::remove;

const ROOT: &str = "/sys/fs/cgroup";
const CGROUP_MAGIC: i64 = 0x0027_e0eb;
const CGROUP2_MAGIC: i64 = 0x6367_7270;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    Memory,
    Cpu,
    /// Version 1 only; version 2 counts in `cpu.stat` without a controller.
    Cpuacct,
    Cpuset,
    Pids,
    /// Version 1 only; version 2 attaches a BPF program.
    Devices,
    /// `blkio` on version 1, `io` on version 2.
    BlockIo,
    /// Version 1 only; version 2 freezes every group.
    Freezer,
    Hugetlb,
}

impl Controller {
    fn parse(name: &str) -> Option<Controller> {
        Some(match name {
            "memory" => Controller::Memory,
            "cpu" => Controller::Cpu,
            "cpuacct" => Controller::Cpuacct,
            "cpuset" => Controller::Cpuset,
            "pids" => Controller::Pids,
            "devices" => Controller::Devices,
            "blkio" | "io" => Controller::BlockIo,
            "freezer" => Controller::Freezer,
            "hugetlb" => Controller::Hugetlb,
            _ => return None,
        })
    }

    /// The name as version 1 uses it.
    pub(crate) fn v1_name(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Cpu => "cpu",
            Controller::Cpuacct => "cpuacct",
            Controller::Cpuset => "cpuset",
            Controller::Pids => "pids",
            Controller::Devices => "devices",
            Controller::BlockIo => "blkio",
            Controller::Freezer => "freezer",
            Controller::Hugetlb => "hugetlb",
        }
    }

    /// The name as version 2 writes it in `cgroup.subtree_control`.
    fn v2_name(self) -> Option<&'static str> {
        Some(match self {
            Controller::Memory => "memory",
            Controller::Cpu => "cpu",
            Controller::Cpuset => "cpuset",
            Controller::Pids => "pids",
            Controller::BlockIo => "io",
            Controller::Hugetlb => "hugetlb",
            Controller::Cpuacct | Controller::Devices | Controller::Freezer => return None,
        })
    }
}

/// One mounted tree of version 1, with the controllers that share it (`cpu,cpuacct` often do).
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    pub path: PathBuf,
    pub controllers: Vec<Controller>,
}

#[derive(Clone, Debug)]
pub(crate) enum Layout {
    V1(Vec<Mount>),
    V2 {
        mount: PathBuf,
        controllers: Vec<Controller>,
    },
}

/// The host's control group trees. Cheap to find (two small reads), so nobody has to keep it.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    pub(crate) layout: Layout,
}

impl Hierarchy {
    pub fn detect() -> Result<Hierarchy> {
        Self::detect_at(Path::new(ROOT))
    }

    fn detect_at(root: &Path) -> Result<Hierarchy> {
        if file_system(root) == Some(CGROUP2_MAGIC) {
            let text = std::fs::read_to_string(root.join("cgroup.controllers"))
                .map_err(|e| Error::io("read", root.join("cgroup.controllers"), e))?;
            let controllers = text.split_whitespace().filter_map(Controller::parse).collect();
            return Ok(Hierarchy {
                layout: Layout::V2 {
                    mount: root.to_owned(),
                    controllers,
                },
            });
        }
        let text = std::fs::read_to_string("/proc/self/cgroup")
            .map_err(|e| Error::io("read", "/proc/self/cgroup", e))?;
        let mut mounts = Vec::new();
        for names in text.lines().filter_map(|line| line.split(':').nth(1)) {
            let controllers: Vec<Controller> = names.split(',').filter_map(Controller::parse).collect();
            if controllers.is_empty() {
                continue;
            }
            // By convention a tree is mounted under its list of names, with a link for each single name.
            let found = std::iter::once(names)
                .chain(names.split(','))
                .map(|name| root.join(name))
                .find(|path| file_system(path) == Some(CGROUP_MAGIC));
            if let Some(path) = found {
                mounts.push(Mount { path, controllers });
            }
        }
        if mounts.is_empty() {
            return Err(Error::Unsupported(format!(
                "no control groups are mounted at {}",
                root.display()
            )));
        }
        Ok(Hierarchy {
            layout: Layout::V1(mounts),
        })
    }

    pub fn version(&self) -> Version {
        match self.layout {
            Layout::V1(_) => Version::V1,
            Layout::V2 { .. } => Version::V2,
        }
    }

    pub fn has(&self, controller: Controller) -> bool {
        match &self.layout {
            Layout::V1(mounts) => mounts.iter().any(|m| m.controllers.contains(&controller)),
            Layout::V2 { controllers, .. } => {
                controllers.contains(&controller)
                    || matches!(
                        controller,
                        Controller::Cpuacct | Controller::Devices | Controller::Freezer
                    )
            }
        }
    }

    /// Whether block devices can be weighed against each other: a matter of the kernel's schedulers on version 1.
    pub fn has_io_weight(&self) -> bool {
        self.has_block_io_file(&["blkio.weight", "blkio.bfq.weight"])
    }

    /// The same for single devices.
    pub fn has_io_weight_device(&self) -> bool {
        self.has_block_io_file(&["blkio.weight_device", "blkio.bfq.weight_device"])
    }

    fn has_block_io_file(&self, names: &[&str]) -> bool {
        match &self.layout {
            Layout::V1(mounts) => mounts
                .iter()
                .find(|m| m.controllers.contains(&Controller::BlockIo))
                .is_some_and(|m| names.iter().any(|name| m.path.join(name).exists())),
            Layout::V2 { .. } => self.has(Controller::BlockIo),
        }
    }

    /// The processors and memory nodes that groups can be given, as the kernel lists them (`0-3,8`).
    pub fn cpuset(&self) -> (String, String) {
        let read = |path: PathBuf| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            text.trim().to_owned()
        };
        match &self.layout {
            Layout::V1(mounts) => {
                let mount = mounts
                    .iter()
                    .find(|m| m.controllers.contains(&Controller::Cpuset));
                let of = |name: &str| mount.map(|m| read(m.path.join(name))).unwrap_or_default();
                (of("cpuset.cpus"), of("cpuset.mems"))
            }
            Layout::V2 { mount, .. } => (
                read(mount.join("cpuset.cpus.effective")),
                read(mount.join("cpuset.mems.effective")),
            ),
        }
    }

    /// Whether swap can be limited here (`info` warns when it cannot).
    pub fn has_swap_limit(&self) -> bool {
        match &self.layout {
            Layout::V1(mounts) => mounts
                .iter()
                .find(|m| m.controllers.contains(&Controller::Memory))
                .is_some_and(|m| m.path.join("memory.memsw.limit_in_bytes").exists()),
            // The root group has no limits; any group below it shows.
            Layout::V2 { mount, .. } => match own_group() {
                Some(own) if own != "/" => mount.join(&own[1..]).join("memory.swap.max").exists(),
                _ => Path::new("/proc/swaps").exists(),
            },
        }
    }

    /// The group that systemd handed to this process for its own use (version 2 only), as a path from the root of the
    /// tree: groups of containers must then live below it.
    ///
    /// A service that sits directly in its delegated group is not answered: systemd could not start it a second time
    /// while containers of its first life live below. `DelegateSubgroup=` (which leaves the upper group free of
    /// processes) and scopes are.
    pub fn delegated_root(&self) -> Option<String> {
        let Layout::V2 { mount, .. } = &self.layout else {
            return None;
        };
        let own = own_group()?;
        if own == "/" {
            return None;
        }
        let delegated = |group: &str| {
            let path = mount.join(group.trim_start_matches('/'));
            ["trusted.delegate", "user.delegate"].iter().any(|name| {
                let mut value = [0u8; 8];
                matches!(rustix::fs::getxattr(&path, *name, &mut value), Ok(1) if value[0] == b'1')
            })
        };
        let (upper, _) = own.rsplit_once('/')?;
        if !upper.is_empty() && delegated(upper) {
            return Some(upper.to_owned());
        }
        (own.ends_with(".scope") && delegated(&own)).then_some(own)
    }

    /// Where a daemon's containers live: below its delegated group if it has one, else at the top. `sid` is its short id.
    pub fn parent_for(&self, sid: &str) -> String {
        format!("{}/shoal-{sid}", self.delegated_root().unwrap_or_default())
    }

    /// Makes the group that will hold containers. On version 2 it hands the controllers down to it, and moves the
    /// processes of a delegated group that stand in the way (a group with controllers for its children can hold none)
    /// into a leaf beside the parent. Idempotent; call it once when the daemon starts.
    pub fn prepare_parent(&self, parent: &str) -> Result<()> {
        match &self.layout {
            Layout::V1(mounts) => {
                for mount in mounts {
                    make_dir(&below(&mount.path, parent)?)?;
                }
                Ok(())
            }
            Layout::V2 { mount, controllers } => {
                let target = below(mount, parent)?;
                make_dir(&target)?;
                if let Some(root) = self.delegated_root()
                    && own_group().as_deref() == Some(root.as_str())
                    && target.starts_with(mount.join(&root[1..]))
                {
                    vacate(&mount.join(&root[1..]))?;
                }
                enable_controllers(mount, &target, controllers)
            }
        }
    }

    /// Removes the parent and whatever empty groups are left in it. Fails while a process lives there.
    pub fn remove_parent(&self, parent: &str) -> Result<()> {
        for path in self.paths(parent)? {
            remove::tree(&path)?;
        }
        Ok(())
    }

    /// Names of the groups directly inside `parent`, for finding what an earlier life left behind.
    pub fn list(&self, parent: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for path in self.paths(parent)? {
            match Dir::open(path) {
                Ok(dir) => names.extend(dir.children()?),
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e),
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn paths(&self, group: &str) -> Result<Vec<PathBuf>> {
        match &self.layout {
            Layout::V1(mounts) => mounts.iter().map(|m| below(&m.path, group)).collect(),
            Layout::V2 { mount, .. } => Ok(vec![below(mount, group)?]),
        }
    }
}

/// Where a plan's group lies inside a tree.
pub(crate) fn group_path(mount: &Path, plan_parent: &str, name: &str) -> Result<PathBuf> {
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Err(Error::Invalid(format!(
            "control group name {name:?} is not one path component"
        )));
    }
    Ok(below(mount, plan_parent)?.join(name))
}

/// Version 2: opens the way for a plan whose parent nobody prepared (`--cgroup-parent`).
pub(crate) fn enable_for(plan: &Plan, mount: &Path, controllers: &[Controller]) -> Result<()> {
    enable_controllers(mount, &below(mount, &plan.parent)?, controllers)
}

fn below(mount: &Path, group: &str) -> Result<PathBuf> {
    let mut path = mount.to_owned();
    for part in group.split('/').filter(|part| !part.is_empty()) {
        if part == "." || part == ".." {
            return Err(Error::Invalid(format!(
                "control group path {group:?} leaves its tree"
            )));
        }
        path.push(part);
    }
    Ok(path)
}

/// Writes `+controller` into `cgroup.subtree_control` of every group from the root down to `target`.
fn enable_controllers(mount: &Path, target: &Path, controllers: &[Controller]) -> Result<()> {
    let Ok(inside) = target.strip_prefix(mount) else {
        return Ok(());
    };
    let mut path = mount.to_owned();
    let mut parts = inside.components();
    loop {
        let dir = Dir::open(path.clone())?;
        let enabled = dir.read("cgroup.subtree_control")?;
        // Only what the group itself was given can be handed on.
        let offered = dir.read("cgroup.controllers")?;
        for name in controllers.iter().filter_map(|c| c.v2_name()) {
            let offers = |list: &str| list.split_whitespace().any(|n| n == name);
            if offers(&offered) && !offers(&enabled) {
                // One at a time: one that is refused must not take the others with it. What is missing afterwards is
                // reported by the write of a limit that needs it.
                let _ = dir.write("cgroup.subtree_control", &format!("+{name}"));
            }
        }
        match parts.next() {
            Some(part) => path.push(part),
            None => return Ok(()),
        }
    }
}

/// Moves the processes of `group` into the leaf `group/daemon`.
fn vacate(group: &Path) -> Result<()> {
    let dir = Dir::open(group.to_owned())?;
    let (leaf, _) = Dir::make(group.join("daemon"))?;
    // A process that forks meanwhile is seen by the next round.
    for _ in 0..10 {
        let pids = dir.processes()?;
        if pids.is_empty() {
            return Ok(());
        }
        for pid in pids {
            match leaf.write("cgroup.procs", &pid.to_string()) {
                Err(Error::Refused { source, .. }) if source.raw_os_error() == Some(libc::ESRCH) => {}
                other => other?,
            }
        }
    }
    Err(Error::Timeout {
        what: "move processes out of",
        path: group.to_owned(),
        waited_ms: 0,
    })
}

/// This process's group in the version 2 tree, from the tree's root.
fn own_group() -> Option<String> {
    let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("0::"))
        .map(str::to_owned)
}

fn file_system(path: &Path) -> Option<i64> {
    // The field's type differs between architectures.
    #[allow(clippy::unnecessary_cast)]
    rustix::fs::statfs(path).ok().map(|s| s.f_type as i64)
}
