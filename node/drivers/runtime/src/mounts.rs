//! The mounts of a specification: planned by the parent (sources on the host opened as detached trees), attached by the
//! child inside the new root.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Mount;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};

use crate::error::{Error, Result, doing, text};
use crate::idmap::Mapping;
use crate::mount_options::Options;
use crate::{copy_up, resolve, root, sys};

/// A place of the host's that is there everywhere, for a moment's mount in the container's namespace.
const PLACE: &str = "/proc";

/// One mount, ready to be attached.
pub struct Planned {
    destination: PathBuf,
    /// For messages and the mount table.
    source: String,
    options: Options,
    kind: Kind,
}

enum Kind {
    /// A copy of part of the host's tree, attached nowhere yet.
    Tree { tree: OwnedFd, is_dir: bool },
    /// The same of an overlay that was made for this mount: what lies at `subpath` in it.
    Overlay { tree: OwnedFd, subpath: PathBuf },
    /// A new file system, which has to be made inside the namespaces that it shows.
    New { fs: String },
    /// The container's own version 1 groups, one tree below the other, and links for joined controllers.
    Groups {
        trees: Vec<(String, OwnedFd)>,
        links: Vec<(String, String)>,
    },
}

/// Directories of the container's version 1 control groups by the name of their tree (`cpu,cpuacct`).
pub type GroupDirs<'a> = &'a [(String, PathBuf)];

/// Open everything that lies on the host. `groups` is empty on version 2. A mount with id mappings gets those of the
/// container's user namespace.
pub fn plan(mounts: &[Mount], groups: GroupDirs<'_>, mapping: Option<&Mapping>) -> Result<Vec<Planned>> {
    mounts
        .iter()
        .map(|mount| plan_one(mount, groups, mapping))
        .collect()
}

fn plan_one(mount: &Mount, groups: GroupDirs<'_>, mapping: Option<&Mapping>) -> Result<Planned> {
    let options = Options::of(mount);
    let destination = mount.destination().clone();
    let mapping = match (is_mapped(mount), mapping) {
        (false, _) => None,
        (true, Some(mapping)) => Some(mapping),
        (true, None) => {
            let text = format!(
                "the mount at {} has id mappings, but there is no user namespace",
                destination.display()
            );
            return Err(Error::new(text));
        }
    };
    let fs = mount.typ().clone().unwrap_or_default();
    let given = mount.source().as_deref();
    let source = given.map_or_else(|| fs.clone(), |s| s.display().to_string());
    let kind = if let Some(recursive) = options.bind {
        let from = given.ok_or_else(|| {
            Error::new(format!(
                "a bind mount at {} needs a source",
                destination.display()
            ))
        })?;
        let (tree, is_dir) = tree_of(from, recursive).map_err(|e| failed(&source, &destination, e))?;
        if let Some(mapping) = mapping {
            // File systems without such mounts are shown as they are: their files belong to nobody then.
            match mapping.apply(tree.as_fd()) {
                Ok(()) | Err(Errno::INVAL) => {}
                Err(e) => return Err(failed(&source, &destination, e)),
            }
        }
        Kind::Tree { tree, is_dir }
    } else if fs == "overlay" {
        overlay(&options, mapping).map_err(|e| failed(&source, &destination, e))?
    } else if fs == "cgroup" && !groups.is_empty() {
        let trees = groups
            .iter()
            .map(|(name, dir)| {
                let (tree, _) = tree_of(dir, false).map_err(|e| failed(name, &destination, e))?;
                Ok((name.clone(), tree))
            })
            .collect::<Result<Vec<_>>>()?;
        let links = groups
            .iter()
            .filter(|(name, _)| name.contains(','))
            .flat_map(|(name, _)| name.split(',').map(move |one| (one.to_owned(), name.clone())))
            .collect();
        Kind::Groups { trees, links }
    } else if fs == "cgroup" {
        Kind::New { fs: "cgroup2".into() }
    } else {
        Kind::New { fs }
    };
    Ok(Planned {
        destination,
        source,
        options,
        kind,
    })
}

/// Layers, one `lowerdir+` each and top first, made into a file system on the host's side, where their paths mean something.
fn overlay(options: &Options, mapping: Option<&Mapping>) -> Result<Kind, Errno> {
    let all = |key: &'static str| {
        let given = options.data.iter().filter(move |(k, _)| k == key);
        given.filter_map(|(_, value)| value.as_ref().map(PathBuf::from))
    };
    let one = |key| all(key).next().ok_or(Errno::INVAL);
    let lower: Vec<PathBuf> = all("lowerdir+").collect();
    let (upper, work) = (one("upperdir")?, one("workdir")?);
    let tree = match mapping {
        Some(mapping) => root::mapped_overlay(&lower, &upper, &work, mapping)?,
        None => root::overlay(&lower, &upper, &work)?,
    };
    let subpath = all("subpath").next().unwrap_or_default();
    Ok(Kind::Overlay { tree, subpath })
}

pub fn is_mapped(mount: &Mount) -> bool {
    mount.uid_mappings().is_some() || mount.gid_mappings().is_some()
}

/// A detached copy of what lies at `path` in a detached mount; no link leads out of it. The mount namespace must be the
/// container's own.
pub fn below(tree: OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let inside = resolve::open(tree.as_fd(), path, OFlags::PATH)?;
    match rustix::mount::open_tree(&inside, "", flags) {
        // Kernels before 6.15 copy from what is attached only. This mount namespace is the container's, and nothing of
        // the host in it is needed any more.
        Err(Errno::INVAL) => {}
        done => return done,
    }
    let place = rustix::fs::open(PLACE, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    attach(tree.as_fd(), place.as_fd())?;
    let copy = rustix::mount::open_tree(&inside, "", flags);
    rustix::mount::unmount(PLACE, rustix::mount::UnmountFlags::DETACH)?;
    copy
}

/// The file system of a mount that is layered or a bind, attached nowhere, and what of it is meant.
pub fn detached(mount: &Mount, mapping: Option<&Mapping>) -> Result<(OwnedFd, PathBuf)> {
    match plan_one(mount, &[], mapping)?.kind {
        Kind::Tree { tree, .. } => Ok((tree, PathBuf::new())),
        Kind::Overlay { tree, subpath } => Ok((tree, subpath)),
        Kind::New { .. } | Kind::Groups { .. } => {
            let destination = mount.destination();
            Err(failed("", destination, Errno::INVAL))
        }
    }
}

/// A single read-only file of the host at `destination`.
pub fn plan_file(source: &Path, destination: &str) -> Result<Planned> {
    let (tree, is_dir) = tree_of(source, false)
        .map_err(|e| failed(&source.display().to_string(), Path::new(destination), e))?;
    let options = Options {
        bind: Some(false),
        set: libc::MOUNT_ATTR_RDONLY,
        ..Options::default()
    };
    let source = source.display().to_string();
    Ok(Planned {
        destination: destination.into(),
        source,
        options,
        kind: Kind::Tree { tree, is_dir },
    })
}

impl Planned {
    pub fn is_dev_bind(&self) -> bool {
        self.destination == Path::new("/dev") && matches!(self.kind, Kind::Tree { .. })
    }

    /// Whether events on the host's mounts must still reach the new mount namespace.
    pub fn wants_propagation(&self) -> bool {
        matches!(
            self.options.propagation,
            Some((libc::MS_SHARED | libc::MS_SLAVE, _))
        )
    }

    /// Attach it below `root`. A procfs at /proc is given back.
    pub fn attach(self, root: BorrowedFd<'_>) -> Result<Option<OwnedFd>> {
        let (source, destination) = (self.source.clone(), self.destination.clone());
        self.attach_within(root)
            .map_err(|e| failed(&source, &destination, e))
    }

    fn attach_within(self, root: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
        let Self {
            destination,
            source,
            options,
            kind,
        } = self;
        let kind = match kind {
            Kind::Overlay { tree, subpath } => {
                let tree = match subpath.as_os_str().is_empty() {
                    true => tree,
                    false => below(tree, &subpath)?,
                };
                let is_dir = is_dir(&tree)?;
                Kind::Tree { tree, is_dir }
            }
            kind => kind,
        };
        match kind {
            Kind::Overlay { .. } => Ok(None),
            Kind::Tree { tree, is_dir } => {
                // Copies of shared mounts are their peers: cut that before anything can be mounted below.
                match options.propagation.unwrap_or((libc::MS_PRIVATE, true)) {
                    (libc::MS_SHARED, _) => {}
                    (kind, recursive) => sys::mount_setattr(tree.as_fd(), recursive, 0, 0, kind)?,
                }
                attributes(tree.as_fd(), &options)?;
                let target = if is_dir {
                    resolve::make_dir(root, &destination, 0o755)?
                } else {
                    resolve::make_file(root, &destination)?
                };
                refuse_proc(target.as_fd(), &destination)?;
                attach(tree.as_fd(), target.as_fd())?;
                Ok(None)
            }
            Kind::New { fs } => {
                let set = MountAttrFlags::from_bits_retain((options.set | options.set_all) as u32);
                let target = resolve::make_dir(root, &destination, 0o755)?;
                let new = make(&fs, &source, &options.data, set)?;
                if options.copy_up {
                    // The image's files are read before the new mount hides them.
                    copy_up::copy(root, &destination, new.as_fd())?;
                }
                attach(new.as_fd(), target.as_fd())?;
                if let Some((kind, recursive)) = options.propagation.filter(|p| p.0 != libc::MS_PRIVATE) {
                    sys::mount_setattr(new.as_fd(), recursive, 0, 0, kind)?;
                }
                Ok((fs == "proc" && destination == Path::new("/proc")).then_some(new))
            }
            Kind::Groups { trees, links } => {
                let data = [("mode".to_owned(), Some("755".to_owned()))];
                let keep = options.set & !libc::MOUNT_ATTR_RDONLY;
                let top = make(
                    "tmpfs",
                    "tmpfs",
                    &data,
                    MountAttrFlags::from_bits_retain(keep as u32),
                )?;
                let target = resolve::make_dir(root, &destination, 0o755)?;
                attach(top.as_fd(), target.as_fd())?;
                for (name, tree) in trees {
                    rustix::fs::mkdirat(&top, &name, Mode::from_raw_mode(0o755))?;
                    let place =
                        rustix::fs::openat(&top, &name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
                    sys::mount_setattr(tree.as_fd(), false, options.set, options.clear, libc::MS_PRIVATE)?;
                    attach(tree.as_fd(), place.as_fd())?;
                }
                for (link, name) in links {
                    rustix::fs::symlinkat(&name, &top, &link)?;
                }
                sys::mount_setattr(top.as_fd(), false, options.set, 0, 0)?;
                Ok(None)
            }
        }
    }
}

/// A new file system, attached nowhere.
pub fn make(
    fs: &str,
    source: &str,
    data: &[(String, Option<String>)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen(fs, FsOpenFlags::FSOPEN_CLOEXEC)?;
    if !source.is_empty() {
        rustix::mount::fsconfig_set_string(&context, "source", source)?;
    }
    for (key, value) in data {
        match value {
            Some(value) => rustix::mount::fsconfig_set_string(&context, key, value)?,
            None => rustix::mount::fsconfig_set_flag(&context, key)?,
        }
    }
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Put the detached mount `from` on `target`.
pub fn attach(from: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(from, "", target, "", flags)
}

/// A detached copy of the host's mount at `path`, and whether it is a directory. `/proc/PID/root/…` is a place inside
/// the container of that process.
pub fn tree_of(path: &Path, recursive: bool) -> Result<(OwnedFd, bool), Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    if let Some((pid, inside)) = of_process(path) {
        let tree = tree_inside(pid, inside, flags)?;
        let is_dir = is_dir(&tree)?;
        return Ok((tree, is_dir));
    }
    let tree = rustix::mount::open_tree(CWD, path, flags)?;
    let is_dir = is_dir(&tree)?;
    Ok((tree, is_dir))
}

fn of_process(path: &Path) -> Option<(u32, &Path)> {
    let (pid, inside) = path.strip_prefix("/proc").ok()?.to_str()?.split_once("/root/")?;
    Some((pid.parse().ok()?, Path::new(inside)))
}

/// Mounts of another namespace can be copied from within it only: this process, which has one thread, goes there and
/// returns.
fn tree_inside(pid: u32, inside: &Path, flags: OpenTreeFlags) -> Result<OwnedFd, Errno> {
    let namespace = |path: &str| rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let home = namespace("/proc/self/ns/mnt")?;
    let theirs = namespace(&format!("/proc/{pid}/ns/mnt"))?;
    sys::setns(theirs.as_fd(), libc::CLONE_NEWNS)?;
    let copy = || {
        let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let found = resolve::open(root.as_fd(), inside, OFlags::PATH)?;
        rustix::mount::open_tree(&found, "", flags | OpenTreeFlags::AT_EMPTY_PATH)
    };
    let tree = copy();
    sys::setns(home.as_fd(), libc::CLONE_NEWNS)?;
    tree
}

fn is_dir(tree: &OwnedFd) -> Result<bool, Errno> {
    let stat = rustix::fs::fstat(tree)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn attributes(mount: BorrowedFd<'_>, options: &Options) -> Result<(), Errno> {
    if options.set != 0 || options.clear != 0 {
        sys::mount_setattr(mount, false, options.set, options.clear, 0)?;
    }
    if options.set_all != 0 || options.clear_all != 0 {
        sys::mount_setattr(mount, true, options.set_all, options.clear_all, 0)?;
    }
    Ok(())
}

/// Files of /proc over which a bind mount is harmless (for lxcfs and its like).
const PROC_ALLOWED: &[&str] = &[
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// A bind mount inside /proc could redirect what later writes there are meant for (CVE-2019-16884): the descriptor
/// tells where the target really lies, whatever its path looked like.
fn refuse_proc(target: BorrowedFd<'_>, destination: &Path) -> Result<(), Errno> {
    const PROC_SUPER_MAGIC: i64 = 0x9fa0;
    let inside = rustix::fs::fstatfs(target)?.f_type as i64 == PROC_SUPER_MAGIC;
    if inside
        && !PROC_ALLOWED
            .iter()
            .any(|allowed| destination == Path::new(allowed))
    {
        return Err(Errno::PERM);
    }
    Ok(())
}

fn failed(source: &str, destination: &Path, errno: Errno) -> Error {
    let hint = if errno == Errno::NOTDIR || errno == Errno::ISDIR {
        ": Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists \
         and is the expected type"
    } else {
        ""
    };
    Error {
        code: if hint.is_empty() { 128 } else { 127 },
        message: format!(
            "error mounting {source:?} to rootfs at {:?}: {}{hint}",
            destination.display().to_string(),
            text(errno)
        ),
    }
}

/// Make what happens to mounts here invisible to the host (and, unless `slave`, the other way round).
pub fn isolate(slave: bool) -> Result<()> {
    let root = rustix::fs::open(
        "/",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(doing("open /"))?;
    let kind = if slave { libc::MS_SLAVE } else { libc::MS_PRIVATE };
    sys::mount_setattr(root.as_fd(), true, 0, 0, kind).map_err(doing("make the mount namespace private"))
}
