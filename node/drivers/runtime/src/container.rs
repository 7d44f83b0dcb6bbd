//! The first process of a container: one clone, then the child builds its own world and waits at the gate.
//!
//! ```text
//! shim                                        child
//! plan mounts, devices, process
//! clone3 ───────────────────────────────────▶ join its groups, isolate mounts, overlay, mounts, devices, masks
//! write id maps, tell ──────────────────────▶ (waits only if it needs them)
//!                                             pivot_root, host name, rlimits, user, capabilities, seccomp
//! wait_ready ◀──────────────────────────────── ready
//! go ───────────────────────────────────────▶ exec
//! ```

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use rustix::fs::{Mode, OFlags};

use crate::channel::{self, Report, Step};
use crate::error::{Error, Result, doing, on};
use crate::idmap::{self, Mapping};
use crate::namespaces::{self, Netns};
use crate::process::{self, Stdio};
use crate::root::{self, Rootfs};
use crate::seccomp::Program;
use crate::{console, devices, mask, mount_options, mounts, resolve, sys};

/// Where `--init` puts its program.
pub const INIT: &str = "/sbin/docker-init";

/// What a container is made from.
pub struct Config<'a> {
    pub spec: &'a Spec,
    pub rootfs: &'a Rootfs,
    pub netns: Netns<'a>,
    pub stdio: Stdio,
    pub seccomp: Option<Program>,
    /// A static program to bind at [`INIT`] and to run before the command.
    pub init: Option<&'a Path>,
    /// Its version 2 group, to be born in.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Its version 1 groups by the names of their trees, to be shown to it.
    pub groups: mounts::GroupDirs<'a>,
    /// Files of its version 1 groups: the process joins by writing `0` to each.
    pub join: Vec<OwnedFd>,
}

/// A process that prepares itself, is at the gate, or runs.
pub struct Child {
    /// In the host's pid namespace.
    pub pid: u32,
    pub pidfd: OwnedFd,
    /// The master side of its terminal, once it is ready.
    pub console: Option<OwnedFd>,
    /// Its root. Taking down an overlay syncs the file system below it and waits for that; who keeps this decides when.
    pub root: Option<OwnedFd>,
    socket: OwnedFd,
}

/// Everything that the child needs, made before the clone.
struct Prepared {
    namespaces: namespaces::Plan,
    rootfs: Rootfs,
    /// Made by the parent where the kernel lets it.
    root: Option<OwnedFd>,
    slave: bool,
    mounts: Vec<mounts::Planned>,
    nodes: Option<Vec<devices::Node>>,
    masked: Vec<PathBuf>,
    readonly: Vec<PathBuf>,
    read_only_root: bool,
    root_propagation: Option<(u64, bool)>,
    hostname: Option<String>,
    domainname: Option<String>,
    sysctl: HashMap<String, String>,
    process: process::Plan,
    stdio: Stdio,
    join: Vec<OwnedFd>,
}

/// Clone the first process. It prepares itself while the caller puts it into its groups.
///
/// # Safety
/// The calling process must have one thread only.
pub unsafe fn spawn(config: Config<'_>) -> Result<Child> {
    let cgroup = config.cgroup;
    let mut prepared = prepare(config)?;
    let (ours, theirs) = channel::pair()?;
    let cloned = match &prepared.namespaces.user {
        // SAFETY: one thread, by the caller's promise.
        Some(_) => unsafe { crate::between::clone(&prepared.namespaces, cgroup) },
        // SAFETY: the same.
        None => unsafe { clone(&prepared.namespaces, cgroup) },
    }?;
    match cloned {
        sys::Cloned::Child => {
            drop(ours);
            child(prepared, theirs)
        }
        sys::Cloned::Parent { pid, pidfd } => {
            let mut child = Child::new(pid, pidfd, ours);
            child.root = prepared.root.take();
            match child.settle_ids(&prepared) {
                Ok(()) => Ok(child),
                Err(error) => {
                    child.kill();
                    Err(error)
                }
            }
        }
    }
}

/// The child is born inside a network namespace that was given; this process returns to its own.
///
/// # Safety
/// As [`spawn`].
unsafe fn clone(namespaces: &namespaces::Plan, cgroup: Option<BorrowedFd<'_>>) -> Result<sys::Cloned> {
    let home = match &namespaces.net {
        Some(_) => {
            let path = Path::new("/proc/self/ns/net");
            let home = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            Some(home.map_err(on("open", path))?)
        }
        None => None,
    };
    namespaces.enter_for_clone()?;
    // SAFETY: the caller's promise.
    let cloned = unsafe { sys::clone3(namespaces.new, cgroup) };
    if matches!(cloned, Ok(sys::Cloned::Child)) {
        return Ok(sys::Cloned::Child);
    }
    if let Some(home) = home {
        sys::setns(home.as_fd(), libc::CLONE_NEWNET).map_err(doing("return from the network namespace"))?;
    }
    cloned.map_err(doing("clone the container's process"))
}

impl Child {
    pub(crate) fn new(pid: u32, pidfd: OwnedFd, socket: OwnedFd) -> Self {
        Self {
            pid,
            pidfd,
            console: None,
            root: None,
            socket,
        }
    }

    /// Give up waiting for it after `limit`: something may have frozen it.
    pub fn limit_waits(&self, limit: std::time::Duration) -> Result<()> {
        let kind = rustix::net::sockopt::Timeout::Recv;
        rustix::net::sockopt::set_socket_timeout(&self.socket, kind, Some(limit))
            .map_err(doing("limit the wait for the process"))
    }

    /// Wait until it stands at the gate. If it failed on the way it is dead and reaped.
    pub fn wait_ready(&mut self) -> Result<()> {
        loop {
            match channel::next(self.socket.as_fd())? {
                Report::Console(master) => self.console = Some(master),
                Report::Ready => return Ok(()),
                Report::Failed(error) => {
                    self.kill();
                    return Err(error);
                }
                Report::Closed => {
                    self.kill();
                    return Err(Error::new("the container's process died while it was prepared"));
                }
            }
        }
    }

    /// Open the gate. May be said before the process has reached it: then it does not stop there.
    pub fn go(&self) -> Result<()> {
        channel::tell(self.socket.as_fd(), Step::Go).map_err(doing("talk to the container's process"))
    }

    /// After [`Child::wait_ready`] and [`Child::go`]: returns once the exec has happened.
    pub fn wait_exec(&self) -> Result<()> {
        match channel::next(self.socket.as_fd())? {
            Report::Closed => Ok(()),
            Report::Failed(error) => {
                self.kill();
                Err(error)
            }
            other => Err(Error::new(format!(
                "the container's process reported {other:?} instead of its exec"
            ))),
        }
    }

    /// Kill and reap it.
    pub fn kill(&self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
        let id = rustix::process::WaitId::PidFd(self.pidfd.as_fd());
        let _ = rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED);
    }

    /// What only the parent may do: id maps and the OOM score (it may be lower than the child could set).
    fn settle_ids(&self, prepared: &Prepared) -> Result<()> {
        let proc = PathBuf::from(format!("/proc/{}", self.pid));
        let write = |name: &str, text: &str| {
            let path = proc.join(name);
            std::fs::write(&path, text).map_err(|e| Error::new(format!("write {}: {e}", path.display())))
        };
        write(
            "oom_score_adj",
            &prepared.process.oom_score_adj.unwrap_or(0).to_string(),
        )?;
        if prepared.namespaces.new_user()
            && let (Some(uids), Some(gids)) = (&prepared.namespaces.uid_map, &prepared.namespaces.gid_map)
        {
            write("gid_map", gids)?;
            write("uid_map", uids)?;
            channel::tell(self.socket.as_fd(), Step::Mapped)
                .map_err(doing("talk to the container's process"))?;
        }
        Ok(())
    }
}

/// The calling process must have one thread.
fn prepare(config: Config<'_>) -> Result<Prepared> {
    let Config {
        spec,
        rootfs,
        netns,
        stdio,
        seccomp,
        init,
        cgroup: _,
        groups,
        join,
    } = config;
    let linux = spec
        .linux()
        .as_ref()
        .ok_or_else(|| Error::new("the specification has no linux section"))?;
    let process = spec
        .process()
        .as_ref()
        .ok_or_else(|| Error::new("the specification has no process"))?;
    // The specification may say all about the init already.
    let named = process
        .args()
        .as_ref()
        .and_then(|args| args.first())
        .is_some_and(|first| first == INIT);
    let init = init.filter(|_| !named);
    let namespaces = namespaces::Plan::new(spec, &netns)?;
    // SAFETY: one thread, by the promise to `spawn`.
    let mapping = unsafe { Mapping::of(spec) }?;
    let mapping = mapping.as_ref();
    if let Some(map) = &namespaces.uid_map {
        idmap::own(&stdio, map, process.user().uid());
    }
    let mut mounts = mounts::plan(spec.mounts().as_deref().unwrap_or_default(), groups, mapping)?;
    if let Some(init) = init {
        mounts.push(mounts::plan_file(init, INIT)?);
    }
    let dev_is_bound = mounts.iter().any(mounts::Planned::is_dev_bind);
    let devices = linux.devices().as_deref().unwrap_or_default();
    let root_propagation = match linux.rootfs_propagation() {
        None => None,
        Some(word) => Some(
            mount_options::propagation(word)
                .ok_or_else(|| Error::new(format!("{word:?} is no propagation of mounts")))?,
        ),
    };
    let shared = |p: &Option<(u64, bool)>| matches!(p, Some((libc::MS_SHARED | libc::MS_SLAVE, _)));
    let paths = |list: &Option<Vec<String>>| list.iter().flatten().map(PathBuf::from).collect();
    Ok(Prepared {
        slave: shared(&root_propagation) || mounts.iter().any(mounts::Planned::wants_propagation),
        root: match mapping {
            Some(mapping) => Some(rootfs.mapped(mapping)?),
            None => match rootfs.detached() {
                Ok(root) => Some(root),
                Err(error) if matches!(rootfs, Rootfs::Directory(_)) => return Err(error),
                Err(_) => None,
            },
        },
        rootfs: rootfs.clone(),
        nodes: if dev_is_bound {
            None
        } else {
            Some(devices::plan(devices)?)
        },
        mounts,
        masked: paths(linux.masked_paths()),
        readonly: paths(linux.readonly_paths()),
        read_only_root: spec
            .root()
            .as_ref()
            .is_some_and(|root| root.readonly().unwrap_or(false)),
        root_propagation,
        hostname: spec.hostname().clone().filter(|_| namespaces.uts()),
        domainname: spec.domainname().clone().filter(|_| namespaces.uts()),
        sysctl: linux.sysctl().clone().unwrap_or_default(),
        process: process::Plan::new(process, seccomp, init.map(|_| INIT), true)?,
        stdio,
        join,
        namespaces,
    })
}

/// The child's whole life up to the exec. Nothing may unwind out of it: the frames above belong to the shim.
fn child(prepared: Prepared, socket: OwnedFd) -> ! {
    let run = std::panic::AssertUnwindSafe(|| {
        let error = match build(prepared, socket.as_fd()) {
            Ok(process) => process.become_process(socket.as_fd()),
            Err(error) => error,
        };
        channel::report_failure(socket.as_fd(), &error);
    });
    let _ = std::panic::catch_unwind(run);
    sys::exit(1)
}

fn build(mut p: Prepared, socket: BorrowedFd<'_>) -> Result<process::Plan> {
    rustix::process::setsid().map_err(doing("setsid"))?;
    rustix::process::umask(Mode::empty());
    // Before any exec, so that no descriptor of the shim can get into the container.
    sys::cloexec_from(3).map_err(doing("close the shim's descriptors"))?;
    join_groups(&p.join)?;
    p.process.open_attributes()?;
    if p.namespaces.new_user() {
        channel::wait(socket, Step::Mapped)?;
    }
    if p.namespaces.mapped() {
        sys::setgroups(&[]).map_err(doing("setgroups"))?;
        sys::setresgid(0).map_err(doing("become the namespace's root group"))?;
        sys::setresuid(0).map_err(doing("become the namespace's root"))?;
    }
    p.namespaces.join()?;
    if p.namespaces.cgroup {
        sys::unshare(libc::CLONE_NEWCGROUP).map_err(doing("make a cgroup namespace"))?;
    }
    mounts::isolate(p.slave)?;
    let null = resolve::host_null(OFlags::PATH).map_err(doing("open the host's /dev/null"))?;
    let root = match p.root {
        Some(root) => root::attach_detached(root)?,
        None => p.rootfs.attached()?,
    };
    let root = root.as_fd();
    let mut proc = None;
    for mount in p.mounts {
        proc = mount.attach(root)?.or(proc);
    }
    if let Some(nodes) = &p.nodes {
        devices::make(root, nodes, p.namespaces.mapped())?;
    }
    let (stdio, terminal) = match p.stdio {
        Stdio::Files(files) => (files, false),
        Stdio::Terminal(size) => {
            let (master, peer) = console::open(root)?;
            if let Some((width, height)) = size {
                set_size(peer.as_fd(), width, height)?;
            }
            if p.nodes.is_some() {
                console::bind(root, peer.as_fd())?;
            }
            channel::report_console(socket, master.as_fd())?;
            let again =
                |fd: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(doing("copy the terminal"));
            let (out, err) = (again(&peer)?, again(&peer)?);
            ([peer, out, err], true)
        }
    };
    if let Some(cwd) = p.process.cwd_to_make() {
        // A read-only or foreign file system there: the chdir below says what is wrong.
        let _ = resolve::make_dir(root, cwd, 0o755);
    }
    if let Some(hostname) = &p.hostname {
        rustix::system::sethostname(hostname.as_bytes()).map_err(doing("set the host name"))?;
    }
    if let Some(domainname) = &p.domainname {
        rustix::system::setdomainname(domainname.as_bytes()).map_err(doing("set the domain name"))?;
    }
    if !p.sysctl.is_empty() {
        let proc = proc.ok_or_else(|| Error::new("sysctls need a procfs at /proc"))?;
        crate::sysctl::write(proc.as_fd(), &p.sysctl)?;
    }
    mask::protect(root, &p.readonly)?;
    mask::mask(root, null.as_fd(), &p.masked)?;
    if let Some((kind, recursive)) = p.root_propagation {
        sys::mount_setattr(root, recursive, 0, 0, kind).map_err(doing("set the root's propagation"))?;
    }
    if p.read_only_root {
        sys::mount_setattr(root, false, libc::MOUNT_ATTR_RDONLY, 0, 0)
            .map_err(doing("make the root read-only"))?;
    }
    root::enter(root)?;
    p.process
        .connect(&[stdio[0].as_fd(), stdio[1].as_fd(), stdio[2].as_fd()], terminal)?;
    Ok(p.process)
}

/// Move this process, which has one thread, into the groups behind these files.
pub(crate) fn join_groups(files: &[OwnedFd]) -> Result<()> {
    files
        .iter()
        .try_for_each(|file| rustix::io::write(file, b"0").map(drop))
        .map_err(doing("join the container's control groups"))
}

pub(crate) fn set_size(terminal: BorrowedFd<'_>, width: u16, height: u16) -> Result<()> {
    let size = rustix::termios::Winsize {
        ws_col: width,
        ws_row: height,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(terminal, size).map_err(doing("set the terminal's size"))
}
