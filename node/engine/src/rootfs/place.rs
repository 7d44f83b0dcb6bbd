//! From a container to a view of its files.

use super::views::Pass;
use crate::containers::{Handle, Kit, Record};
use crate::error::{Result, io, no_such_container, system};
use crate::launch;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use shoal_node_core_host::binds;
use shoal_node_core_host::ocispec::{Mount, ReadOnly};
use shoal_node_core_host::subids::{Extent, IdMap};
use shoal_node_drivers_archive::{Base, Shift, Tree, View, within};
use shoal_node_drivers_runtime as runtime;
use shoal_node_drivers_shim::Rootfs;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A container's files, for as long as this lives.
pub struct Place {
    // Dropped in this order: a start may go on when the view is gone.
    view: Arc<View>,
    pass: Pass,
    pub record: Arc<Record>,
    shift: Shift,
}

/// Whether the volumes are to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    All,
    RootOnly,
}

impl Place {
    pub async fn open(kit: &Arc<Kit>, handle: &Handle, show: Show) -> Result<Place> {
        let pass = kit.views.enter(handle.id()).await;
        let (kit, handle) = (kit.clone(), handle.clone());
        launch::blocking(move || {
            let seen = handle.view();
            if seen.gone {
                return Err(no_such_container(handle.id()));
            }
            let record = seen.record.clone();
            let process = match seen.phase().is_live() {
                true => process(seen.state.pid, &record.id)?,
                false => None,
            };
            let read_only = record.host.readonly_rootfs;
            let fail = |e: shoal_node_drivers_archive::Error| system(e.to_string());
            // Only through a process does a user namespace show: on the disk there is none.
            let ids = process.as_ref().and(kit.ids_of(&record)?);
            let view = match process {
                Some(process) => {
                    let trees = match show {
                        Show::All => trees(&kit, &handle, &record)?,
                        Show::RootOnly => Vec::new(),
                    };
                    Arc::new(View::open(Base::Process(process), read_only, trees).map_err(fail)?)
                }
                None => {
                    let shared = pass.slot.share(|| {
                        let base = overlay(launch::with_mount_points(&kit, kit.rootfs(&record.id)?)?);
                        let trees = trees(&kit, &handle, &record)?;
                        View::open(base, read_only, trees).map_err(fail)
                    })?;
                    match show {
                        Show::All => shared,
                        Show::RootOnly => {
                            Arc::new(View::open(Base::Bare(shared), read_only, Vec::new()).map_err(fail)?)
                        }
                    }
                }
            };
            Ok(Place {
                view,
                pass,
                record,
                shift: ids.as_ref().map(shift).unwrap_or_default(),
            })
        })
        .await
    }

    pub fn root(&self) -> BorrowedFd<'_> {
        self.view.root()
    }

    /// What the container's ids are in this view.
    pub fn shift(&self) -> &Shift {
        &self.shift
    }

    /// Fires when whoever looks has to end.
    pub fn ending(&self) -> CancellationToken {
        self.pass.ending.clone()
    }

    /// Docker's answer to a write at a resolved path.
    pub fn writable(&self, path: &str) -> Result<(), &'static str> {
        let mounts = self.record.mounts.iter().map(|m| &m.point);
        let mount = mounts
            .filter(|m| within(path, &binds::clean(&m.destination)))
            .max_by_key(|m| m.destination.len());
        match mount {
            Some(mount) if !mount.rw => Err("mounted volume is marked read-only"),
            Some(_) => Ok(()),
            None if self.record.host.readonly_rootfs => Err("container rootfs is marked read-only"),
            None => Ok(()),
        }
    }
}

fn shift(ids: &IdMap) -> Shift {
    let extents = |all: &[Extent]| all.iter().map(|e| (e.inside, e.outside, e.size)).collect();
    Shift {
        uids: extents(&ids.uids),
        gids: extents(&ids.gids),
    }
}

/// The root of a container that does not run, mounted nowhere that anybody sees.
fn overlay(rootfs: Rootfs) -> Base {
    let rootfs = match rootfs {
        Rootfs::Overlay { lower, upper, work } => runtime::Rootfs::Overlay { lower, upper, work },
        Rootfs::Directory(path) => runtime::Rootfs::Directory(path),
    };
    match rootfs.detached() {
        Ok(root) => Base::Detached(root),
        // Older kernels take many layers only by the older call, or say why not.
        Err(_) => Base::Attached(Box::new(move || rootfs.attached().map_err(|e| e.to_string()))),
    }
}

/// A descriptor of the container's first process; `None` if it is gone. A number that was given to another process
/// since is told by its control group.
fn process(pid: i32, id: &str) -> Result<Option<OwnedFd>> {
    let Some(number) = Pid::from_raw(pid) else {
        return Ok(None);
    };
    let process = match pidfd_open(number, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        Err(e) => return Err(system(format!("open process {pid}: {e}"))),
    };
    let groups = match std::fs::read_to_string(format!("/proc/{pid}/cgroup")) {
        Ok(groups) => groups,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io("read the control group of process", pid)(e)),
    };
    Ok(groups.contains(id).then_some(process))
}

/// What is mounted into the container and Docker shows: binds, volumes, and the files that the engine writes.
fn trees(kit: &Kit, handle: &Handle, record: &Record) -> Result<Vec<Tree>> {
    let fail = |e: shoal_node_drivers_archive::Error| system(e.to_string());
    let mut trees = Vec::new();
    // Held until each is opened below.
    let mut held = Vec::new();
    let mut mounts = launch::mounts(kit, record, &kit.volumes.places(record), &mut held)?;
    mounts.sort_by_key(|m| m.destination().split('/').count());
    for mount in &mounts {
        let Mount::Bind {
            source,
            destination,
            read_only,
            recursive,
            ..
        } = mount
        else {
            continue;
        };
        trees.push(
            Tree::open(
                source,
                Path::new(destination),
                *recursive,
                *read_only != ReadOnly::No,
            )
            .map_err(fail)?,
        );
    }
    // A shared network comes with the files of the container that it belongs to.
    let dir: PathBuf = match record.host.network_mode.strip_prefix("container:") {
        Some(other) => match kit.registry.get(other) {
            Ok(other) => other.dir().into(),
            Err(_) => return Ok(trees),
        },
        None => handle.dir().into(),
    };
    for (name, destination) in [
        (launch::RESOLV_CONF, "/etc/resolv.conf"),
        (launch::HOSTNAME, "/etc/hostname"),
        (launch::HOSTS, "/etc/hosts"),
    ] {
        let source = dir.join(name);
        // There is none before the first start; and what the user mounts there comes first.
        if source.exists()
            && !mounts
                .iter()
                .any(|m| binds::clean(m.destination()) == destination)
        {
            trees.push(Tree::open(&source, Path::new(destination), false, false).map_err(fail)?);
        }
    }
    Ok(trees)
}
