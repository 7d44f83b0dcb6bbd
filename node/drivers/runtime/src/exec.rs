//! A further process in a running container.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::Process;
use rustix::fs::{Mode, OFlags};

use crate::channel;
use crate::container::{Child, join_groups, set_size};
use crate::error::{Error, Result, doing};
use crate::process::{self, Stdio};
use crate::seccomp::Program;
use crate::{console, sys};

/// What an exec is made from.
pub struct Config<'a> {
    /// The container's first process.
    pub target: BorrowedFd<'a>,
    pub target_pid: u32,
    pub process: &'a Process,
    pub stdio: Stdio,
    pub seccomp: Option<Program>,
    /// The container's version 2 group, to be born in.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Files of the container's version 1 groups, as in `container::Config`.
    pub join: Vec<OwnedFd>,
}

/// Clone a process into the container's pid namespace; it joins the others itself. Continue with
/// [`Child::wait_ready`], [`Child::go`] and [`Child::wait_exec`].
///
/// # Safety
/// The calling process must have one thread only.
pub unsafe fn spawn(config: Config<'_>) -> Result<Child> {
    let Config {
        target,
        target_pid,
        process,
        stdio,
        seccomp,
        cgroup,
        join,
    } = config;
    let plan = process::Plan::new(process, seccomp, None, false)?;
    let namespaces = foreign_namespaces(target_pid)?;
    if namespaces & libc::CLONE_NEWUSER != 0 {
        let map = std::fs::read_to_string(format!("/proc/{target_pid}/uid_map")).unwrap_or_default();
        crate::idmap::own(&stdio, &map, process.user().uid());
    }
    let (ours, theirs) = channel::pair()?;
    // Concerns the children of this process only, and all of them are execs from now on.
    if namespaces & libc::CLONE_NEWPID != 0 {
        sys::setns(target, libc::CLONE_NEWPID).map_err(doing("enter the container's pid namespace"))?;
    }
    // SAFETY: one thread, by the caller's promise.
    match unsafe { sys::clone3(0, cgroup) }.map_err(doing("clone the exec's process"))? {
        sys::Cloned::Child => {
            drop(ours);
            child(
                plan,
                stdio,
                target,
                namespaces & !libc::CLONE_NEWPID,
                &join,
                theirs,
            )
        }
        sys::Cloned::Parent { pid, pidfd } => {
            let adj = plan.oom_score_adj.unwrap_or(0);
            let child = Child::new(pid, pidfd, ours);
            if let Err(e) = std::fs::write(format!("/proc/{pid}/oom_score_adj"), adj.to_string()) {
                child.kill();
                return Err(Error::new(format!("write /proc/{pid}/oom_score_adj: {e}")));
            }
            Ok(child)
        }
    }
}

/// The kinds of namespace in which the container differs from this process: entering one's own user namespace is an
/// error, and entering the others is work for nothing.
fn foreign_namespaces(pid: u32) -> Result<i32> {
    const ALL: [(&str, i32); 7] = [
        ("user", libc::CLONE_NEWUSER),
        ("mnt", libc::CLONE_NEWNS),
        ("pid", libc::CLONE_NEWPID),
        ("net", libc::CLONE_NEWNET),
        ("ipc", libc::CLONE_NEWIPC),
        ("uts", libc::CLONE_NEWUTS),
        ("cgroup", libc::CLONE_NEWCGROUP),
    ];
    let dir = |path: &str| {
        rustix::fs::open(
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
    };
    let ours = dir("/proc/self/ns").map_err(doing("look at namespaces"))?;
    let theirs = dir(&format!("/proc/{pid}/ns")).map_err(|_| Error::new("the container is not running"))?;
    let mut differ = 0;
    for (name, flag) in ALL {
        let id = |dir: &OwnedFd| {
            let stat = rustix::fs::statat(dir, name, rustix::fs::AtFlags::empty())?;
            Ok((stat.st_dev, stat.st_ino))
        };
        let (a, b) = (id(&ours), id(&theirs));
        if a.map_err(doing("look at namespaces"))?
            != b.map_err(|_: rustix::io::Errno| Error::new("the container is not running"))?
        {
            differ |= flag;
        }
    }
    Ok(differ)
}

fn child(
    mut plan: process::Plan,
    stdio: Stdio,
    target: BorrowedFd<'_>,
    namespaces: i32,
    groups: &[OwnedFd],
    socket: OwnedFd,
) -> ! {
    let run = std::panic::AssertUnwindSafe(|| {
        let error = match join(&mut plan, stdio, target, namespaces, groups, socket.as_fd()) {
            Ok(()) => plan.become_process(socket.as_fd()),
            Err(error) => error,
        };
        channel::report_failure(socket.as_fd(), &error);
    });
    let _ = std::panic::catch_unwind(run);
    sys::exit(1)
}

fn join(
    plan: &mut process::Plan,
    stdio: Stdio,
    target: BorrowedFd<'_>,
    namespaces: i32,
    groups: &[OwnedFd],
    socket: BorrowedFd<'_>,
) -> Result<()> {
    join_groups(groups)?;
    // This process is already visible to the container's: it must hold nothing of the shim's (CVE-2016-9962).
    plan.open_attributes()?;
    let mut kept = vec![target.as_raw_fd(), socket.as_raw_fd()];
    kept.extend(plan.apparmor_file.iter().map(AsRawFd::as_raw_fd));
    if let Stdio::Files(files) = &stdio {
        kept.extend(files.iter().map(AsRawFd::as_raw_fd));
    }
    // SAFETY: everything else belongs to the shim's frames, and this process never returns to them.
    unsafe { sys::close_others(&mut kept) };
    sys::cloexec_from(3).map_err(doing("mark descriptors"))?;
    rustix::process::setsid().map_err(doing("setsid"))?;
    sys::setns(target, namespaces).map_err(doing("enter the container's namespaces"))?;
    if namespaces & libc::CLONE_NEWUSER != 0 {
        sys::setresgid(0).map_err(doing("become the namespace's root group"))?;
        sys::setresuid(0).map_err(doing("become the namespace's root"))?;
    }
    let (stdio, terminal) = match stdio {
        Stdio::Files(files) => (files, false),
        Stdio::Terminal(size) => {
            let root = rustix::fs::open(
                "/",
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .map_err(doing("open /"))?;
            let (master, peer) = console::open(root.as_fd())?;
            if let Some((width, height)) = size {
                set_size(peer.as_fd(), width, height)?;
            }
            channel::report_console(socket, master.as_fd())?;
            let again =
                |fd: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(doing("copy the terminal"));
            let (out, err) = (again(&peer)?, again(&peer)?);
            ([peer, out, err], true)
        }
    };
    plan.connect(&[stdio[0].as_fd(), stdio[1].as_fd(), stdio[2].as_fd()], terminal)
}
