use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::hierarchy::{Controller, Hierarchy, Layout, Version, enable_for, group_path};
use crate::oom::OomWatch;
use crate::stats::Stats;
use crate::{cpu, cpuset, devices, freezer, hugetlb, io, kill, memory, oom, pids, remove};

/// Where a container's group lives and what it may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// From the root of the tree, as `/shoal-1a2b3c4d` or `/system.slice/shoald.service/shoal-1a2b3c4d`; made when missing.
    pub parent: String,
    /// One path component; the container's id.
    pub name: String,
    pub resources: LinuxResources,
}

/// A group that exists, held open.
#[derive(Debug)]
pub struct Cgroup {
    groups: Groups,
}

#[derive(Debug)]
enum Groups {
    V1(Vec<Group>),
    V2(Dir),
}

/// The directory of one version 1 tree.
#[derive(Debug)]
struct Group {
    controllers: Vec<Controller>,
    dir: Dir,
}

impl Cgroup {
    /// Makes the group with its limits. A group that is already there is taken over (its limits are set anew). On an
    /// error nothing new is left behind.
    ///
    /// On version 1 the trees of `cpuset` and `hugetlb` get a directory only when the plan limits them: they count
    /// nothing that anybody reads. [`Cgroup::update`] adds them when a limit comes later.
    pub fn create(hierarchy: &Hierarchy, plan: &Plan) -> Result<Cgroup> {
        let cgroup = Self::make(hierarchy, plan)?;
        match cgroup.apply(&plan.resources) {
            Ok(()) => Ok(cgroup),
            Err(e) => {
                let _ = cgroup.delete();
                Err(e)
            }
        }
    }

    /// Opens the group of a container that is running.
    pub fn open(hierarchy: &Hierarchy, parent: &str, name: &str) -> Result<Cgroup> {
        let groups = match &hierarchy.layout {
            Layout::V1(mounts) => {
                let mut groups = Vec::with_capacity(mounts.len());
                let mut missing = None;
                for mount in mounts {
                    match Dir::open(group_path(&mount.path, parent, name)?) {
                        Ok(dir) => groups.push(Group {
                            controllers: mount.controllers.clone(),
                            dir,
                        }),
                        Err(e) if e.is_not_found() => missing = Some(e),
                        Err(e) => return Err(e),
                    }
                }
                match missing {
                    Some(e) if groups.is_empty() => return Err(e),
                    _ => Groups::V1(groups),
                }
            }
            Layout::V2 { mount, .. } => Groups::V2(Dir::open(group_path(mount, parent, name)?)?),
        };
        Ok(Cgroup { groups })
    }

    pub fn version(&self) -> Version {
        match self.groups {
            Groups::V1(_) => Version::V1,
            Groups::V2(_) => Version::V2,
        }
    }

    /// The directory to hand to `clone3(CLONE_INTO_CGROUP)`. Version 1 has none: use [`Cgroup::add_pid`].
    pub fn dir_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.groups {
            Groups::V1(_) => None,
            Groups::V2(dir) => Some(dir.fd()),
        }
    }

    /// Path of the group's directory; on version 1 that of the memory tree (or the first there is).
    pub fn path(&self) -> &Path {
        match &self.groups {
            Groups::V1(groups) => groups
                .iter()
                .find(|g| g.controllers.contains(&Controller::Memory))
                .unwrap_or(&groups[0])
                .dir
                .path(),
            Groups::V2(dir) => dir.path(),
        }
    }

    /// The group's directories on version 1, each with the name of its tree (`cpu,cpuacct`), for showing a container its
    /// own groups. Empty on version 2, where a cgroup namespace does that.
    pub fn directories(&self) -> Vec<(String, PathBuf)> {
        match &self.groups {
            Groups::V2(_) => Vec::new(),
            Groups::V1(groups) => groups
                .iter()
                .map(|group| {
                    let names: Vec<&str> = group.controllers.iter().map(|c| c.v1_name()).collect();
                    (names.join(","), group.dir.path().to_owned())
                })
                .collect(),
        }
    }

    /// Version 1: files into which a process with one thread writes `0` to move itself into the group. Empty on version
    /// 2, where a process is born in its group.
    ///
    /// A process that moves its only thread is spared what moving another one costs: the kernel then has to keep all
    /// threads on the host from forking, and waits for an RCU grace period (4 to 12 ms) until it can.
    pub fn join_files(&self) -> Result<Vec<OwnedFd>> {
        match &self.groups {
            Groups::V1(groups) => {
                let open = |group: &Group| group.dir.open_file("tasks", OFlags::WRONLY);
                groups.iter().map(open).collect()
            }
            Groups::V2(_) => Ok(Vec::new()),
        }
    }

    /// Moves a process (all its threads) into the group.
    pub fn add_pid(&self, pid: i32) -> Result<()> {
        let pid = pid.to_string();
        self.dirs().try_for_each(|dir| dir.write("cgroup.procs", &pid))
    }

    /// Every process in the group and in the groups below it.
    pub fn pids(&self) -> Result<Vec<i32>> {
        kill::processes(self.tree_dir())
    }

    /// Sets the limits that are present in `resources`, keeps the others. Device rules replace the old ones.
    pub fn update(&mut self, hierarchy: &Hierarchy, resources: &LinuxResources) -> Result<()> {
        if let (Groups::V1(groups), Layout::V1(mounts)) = (&mut self.groups, &hierarchy.layout) {
            for controller in optional_controllers(resources) {
                if groups.iter().any(|g| g.controllers.contains(&controller)) {
                    continue;
                }
                let Some(mount) = mounts.iter().find(|m| m.controllers.contains(&controller)) else {
                    continue;
                };
                let Some(own) = groups.first() else { continue };
                // The same place in another tree: the last two steps (parent, name) are the plan's.
                let inside = mounts
                    .iter()
                    .find_map(|m| own.dir.path().strip_prefix(&m.path).ok());
                let Some(inside) = inside else { continue };
                let (dir, _) = Dir::make(mount.path.join(inside))?;
                if controller == Controller::Cpuset {
                    cpuset::inherit(&mount.path, dir.path())?;
                }
                for pid in kill::processes(&own.dir)? {
                    match dir.write("cgroup.procs", &pid.to_string()) {
                        Err(Error::Refused { source, .. }) if source.raw_os_error() == Some(libc::ESRCH) => {}
                        other => other?,
                    }
                }
                groups.push(Group {
                    controllers: mount.controllers.clone(),
                    dir,
                });
            }
        }
        self.apply(resources)
    }

    /// Stops every process in the group; returns once all are stopped.
    pub fn freeze(&self) -> Result<()> {
        match &self.groups {
            Groups::V1(_) => freezer::freeze_v1(self.dir(Controller::Freezer)?),
            Groups::V2(dir) => freezer::freeze_v2(dir),
        }
    }

    pub fn thaw(&self) -> Result<()> {
        match &self.groups {
            Groups::V1(_) => freezer::thaw_v1(self.dir(Controller::Freezer)?),
            Groups::V2(dir) => freezer::thaw_v2(dir),
        }
    }

    pub fn is_frozen(&self) -> Result<bool> {
        match &self.groups {
            Groups::V1(_) => freezer::is_frozen_v1(self.dir(Controller::Freezer)?),
            Groups::V2(dir) => freezer::is_frozen_v2(dir),
        }
    }

    /// What the group has used. A controller that the host lacks leaves its part at zero.
    pub fn stats(&self) -> Result<Stats> {
        let mut stats = Stats::default();
        match &self.groups {
            Groups::V1(groups) => {
                for Group { controllers, dir } in groups {
                    for controller in controllers {
                        match controller {
                            Controller::Memory => memory::stats_v1(dir, &mut stats.memory)?,
                            Controller::Cpu => cpu::stats_throttled(dir, &mut stats.cpu)?,
                            Controller::Cpuacct => cpu::stats_cpuacct(dir, &mut stats.cpu)?,
                            Controller::Pids => pids::stats(dir, &mut stats.pids)?,
                            Controller::BlockIo => io::stats_v1(dir, &mut stats.block_io)?,
                            _ => {}
                        }
                    }
                }
            }
            Groups::V2(dir) => {
                memory::stats_v2(dir, &mut stats.memory)?;
                cpu::stats_v2(dir, &mut stats.cpu)?;
                pids::stats(dir, &mut stats.pids)?;
                io::stats_v2(dir, &mut stats.block_io)?;
            }
        }
        Ok(stats)
    }

    /// How many processes of this group the kernel killed because its memory ran out. 0 where nothing counts.
    pub fn oom_kills(&self) -> Result<u64> {
        match &self.groups {
            Groups::V1(_) => match self.dir(Controller::Memory) {
                Ok(dir) => oom::kills_v1(dir),
                Err(_) => Ok(0),
            },
            Groups::V2(dir) => oom::kills_v2(dir),
        }
    }

    /// A descriptor that becomes readable when the group runs out of memory. `None` without a memory controller.
    pub fn oom_watch(&self) -> Result<Option<OomWatch>> {
        match &self.groups {
            Groups::V1(_) => match self.dir(Controller::Memory) {
                Ok(dir) => OomWatch::v1(dir).map(Some),
                Err(_) => Ok(None),
            },
            Groups::V2(dir) if dir.has("memory.events") => OomWatch::v2(dir).map(Some),
            Groups::V2(_) => Ok(None),
        }
    }

    /// Kills every process in the group and below it with SIGKILL, and waits until none is left (zombies do not count:
    /// reaping them is their parent's work).
    pub fn kill(&self) -> Result<()> {
        match &self.groups {
            Groups::V1(_) => kill::kill_v1(self.tree_dir(), self.dir(Controller::Freezer).ok()),
            Groups::V2(dir) => kill::kill_v2(dir),
        }
    }

    /// Removes the group and the empty groups below it. The kernel keeps a group busy for a moment after its last
    /// process went, so a refusal is tried again for up to two seconds.
    pub fn delete(self) -> Result<()> {
        let mut first = None;
        for dir in self.dirs() {
            if let Err(e) = remove::tree(dir.path()) {
                first.get_or_insert(e);
            }
        }
        first.map_or(Ok(()), Err)
    }

    fn make(hierarchy: &Hierarchy, plan: &Plan) -> Result<Cgroup> {
        match &hierarchy.layout {
            Layout::V1(mounts) => {
                let optional = optional_controllers(&plan.resources);
                let needed = |c: &Controller| {
                    !matches!(c, Controller::Cpuset | Controller::Hugetlb) || optional.contains(c)
                };
                let mut groups: Vec<Group> = Vec::with_capacity(mounts.len());
                for mount in mounts.iter().filter(|m| m.controllers.iter().any(needed)) {
                    let made = group_path(&mount.path, &plan.parent, &plan.name)
                        .and_then(Dir::make)
                        .and_then(|(dir, _)| {
                            if mount.controllers.contains(&Controller::Cpuset) {
                                cpuset::inherit(&mount.path, dir.path())?;
                            }
                            Ok(dir)
                        });
                    match made {
                        Ok(dir) => groups.push(Group {
                            controllers: mount.controllers.clone(),
                            dir,
                        }),
                        Err(e) => {
                            let _ = Cgroup {
                                groups: Groups::V1(groups),
                            }
                            .delete();
                            return Err(e);
                        }
                    }
                }
                Ok(Cgroup {
                    groups: Groups::V1(groups),
                })
            }
            Layout::V2 { mount, controllers } => {
                let (dir, new) = Dir::make(group_path(mount, &plan.parent, &plan.name)?)?;
                // A parent that was never prepared hands no controllers down.
                if new && (controllers.contains(&Controller::Memory) && !dir.has("memory.max")) {
                    enable_for(plan, mount, controllers)?;
                }
                Ok(Cgroup {
                    groups: Groups::V2(dir),
                })
            }
        }
    }

    fn apply(&self, resources: &LinuxResources) -> Result<()> {
        match &self.groups {
            Groups::V1(groups) => {
                for Group { controllers, dir } in groups {
                    for controller in controllers {
                        match controller {
                            Controller::Memory => memory::apply_v1(dir, resources)?,
                            Controller::Cpu => cpu::apply_v1(dir, resources)?,
                            Controller::Cpuset => cpuset::apply(dir, resources)?,
                            Controller::Pids => pids::apply(dir, resources)?,
                            Controller::Devices => devices::apply_v1(dir, resources)?,
                            Controller::BlockIo => io::apply_v1(dir, resources)?,
                            Controller::Hugetlb => hugetlb::apply_v1(dir, resources)?,
                            Controller::Cpuacct | Controller::Freezer => {}
                        }
                    }
                }
                Ok(())
            }
            Groups::V2(dir) => {
                memory::apply_v2(dir, resources)?;
                cpu::apply_v2(dir, resources)?;
                cpuset::apply(dir, resources)?;
                pids::apply(dir, resources)?;
                devices::apply_v2(dir, resources)?;
                io::apply_v2(dir, resources)?;
                hugetlb::apply_v2(dir, resources)?;
                for (name, value) in resources.unified().iter().flatten() {
                    if name.contains('/') {
                        return Err(Error::Invalid(format!(
                            "control group file {name:?} is not a file name"
                        )));
                    }
                    dir.write(name, value)?;
                }
                Ok(())
            }
        }
    }

    fn dirs(&self) -> impl Iterator<Item = &Dir> {
        let (v1, v2) = match &self.groups {
            Groups::V1(groups) => (groups.as_slice(), None),
            Groups::V2(dir) => (&[][..], Some(dir)),
        };
        v1.iter().map(|g| &g.dir).chain(v2)
    }

    fn dir(&self, controller: Controller) -> Result<&Dir> {
        match &self.groups {
            Groups::V1(groups) => groups
                .iter()
                .find(|g| g.controllers.contains(&controller))
                .map(|g| &g.dir)
                .ok_or_else(|| Error::Unsupported(format!("this host has no {controller:?} control group"))),
            Groups::V2(dir) => Ok(dir),
        }
    }

    /// The directory whose tree names all processes: any would do; `pids` is the one that sees every fork.
    fn tree_dir(&self) -> &Dir {
        match &self.groups {
            Groups::V1(groups) => {
                &groups
                    .iter()
                    .find(|g| g.controllers.contains(&Controller::Pids))
                    .unwrap_or(&groups[0])
                    .dir
            }
            Groups::V2(dir) => dir,
        }
    }
}

/// The version 1 trees that are used only when something in them is limited.
fn optional_controllers(resources: &LinuxResources) -> Vec<Controller> {
    let mut wanted = Vec::new();
    if resources
        .cpu()
        .as_ref()
        .is_some_and(|cpu| cpu.cpus().is_some() || cpu.mems().is_some())
    {
        wanted.push(Controller::Cpuset);
    }
    if resources
        .hugepage_limits()
        .as_ref()
        .is_some_and(|limits| !limits.is_empty())
    {
        wanted.push(Controller::Hugetlb);
    }
    wanted
}
