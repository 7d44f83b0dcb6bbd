//! Which namespaces a container gets: new ones, the host's, or those of somebody else by path.

use std::os::fd::{AsFd, OwnedFd};

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType as Kind, Spec};
use rustix::fs::{Mode, OFlags};

use crate::error::{Error, Result, doing, on};
use crate::sys;

/// The network namespace, which the caller decides.
pub enum Netns<'a> {
    Host,
    New,
    Given(std::os::fd::BorrowedFd<'a>),
}

/// What to do about namespaces at the clone and in the child.
#[derive(Default)]
pub struct Plan {
    /// CLONE_NEW* for the clone.
    pub new: u64,
    /// To be entered by the parent for the clone only (network), or for its children only (pid).
    pub net: Option<OwnedFd>,
    pub pid: Option<OwnedFd>,
    /// To be entered before the clone, by a process in between, since nobody comes back from there: what is made new
    /// belongs to this user namespace then.
    pub user: Option<OwnedFd>,
    /// To be entered by the child, in this order.
    pub join: Vec<(i32, OwnedFd)>,
    /// Unshare the cgroup namespace once the child is in its group.
    pub cgroup: bool,
    /// The user namespace's mappings, as the kernel reads them.
    pub uid_map: Option<String>,
    pub gid_map: Option<String>,
}

fn flag(kind: Kind) -> i32 {
    match kind {
        Kind::Mount => libc::CLONE_NEWNS,
        Kind::Cgroup => libc::CLONE_NEWCGROUP,
        Kind::Uts => libc::CLONE_NEWUTS,
        Kind::Ipc => libc::CLONE_NEWIPC,
        Kind::User => libc::CLONE_NEWUSER,
        Kind::Pid => libc::CLONE_NEWPID,
        Kind::Network => libc::CLONE_NEWNET,
        // Clocks are the host's: only a process that execs alone may enter such a namespace.
        Kind::Time => 0,
    }
}

impl Plan {
    pub fn new(spec: &Spec, netns: &Netns<'_>) -> Result<Self> {
        let linux = spec
            .linux()
            .as_ref()
            .ok_or_else(|| Error::new("the specification has no linux section"))?;
        let mut plan = Self::default();
        for namespace in linux.namespaces().iter().flatten() {
            let kind = namespace.typ();
            match namespace.path() {
                _ if kind == Kind::Network => {}
                None if kind == Kind::Cgroup => plan.cgroup = true,
                None => plan.new |= flag(kind) as u64,
                Some(path) => {
                    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                        .map_err(on("open namespace", path))?;
                    match kind {
                        Kind::Pid => plan.pid = Some(fd),
                        Kind::User => plan.user = Some(fd),
                        _ => plan.join.push((flag(kind), fd)),
                    }
                }
            }
        }
        if plan.new & libc::CLONE_NEWNS as u64 == 0 {
            return Err(Error::new("a container needs a mount namespace of its own"));
        }
        match netns {
            Netns::Host => {}
            Netns::New => plan.new |= libc::CLONE_NEWNET as u64,
            Netns::Given(fd) => {
                plan.net = Some(
                    rustix::io::fcntl_dupfd_cloexec(fd, 0).map_err(doing("keep the network namespace"))?,
                );
            }
        }
        if plan.mapped() {
            let map = |m: &Option<Vec<LinuxIdMapping>>| {
                let lines = m
                    .iter()
                    .flatten()
                    .map(|m| format!("{} {} {}\n", m.container_id(), m.host_id(), m.size()));
                Some(lines.collect::<String>()).filter(|text| !text.is_empty())
            };
            plan.uid_map = map(linux.uid_mappings());
            plan.gid_map = map(linux.gid_mappings());
            if plan.uid_map.is_none() || plan.gid_map.is_none() {
                return Err(Error::new(
                    "a user namespace needs mappings of user and group ids",
                ));
            }
        }
        Ok(plan)
    }

    /// Does the container get a new user namespace?
    pub fn new_user(&self) -> bool {
        self.new & libc::CLONE_NEWUSER as u64 != 0
    }

    /// Is it in a user namespace, its own or another's?
    pub fn mapped(&self) -> bool {
        self.new_user() || self.user.is_some()
    }

    pub fn uts(&self) -> bool {
        self.new & libc::CLONE_NEWUTS as u64 != 0
    }

    /// What the process that clones has to enter first.
    pub fn enter_for_clone(&self) -> Result<()> {
        if let Some(net) = &self.net {
            sys::setns(net.as_fd(), libc::CLONE_NEWNET).map_err(doing("enter the network namespace"))?;
        }
        if let Some(pid) = &self.pid {
            sys::setns(pid.as_fd(), libc::CLONE_NEWPID).map_err(doing("enter the pid namespace"))?;
        }
        Ok(())
    }

    /// The child: enter what belongs to somebody else.
    pub fn join(&self) -> Result<()> {
        self.join.iter().try_for_each(|(kind, fd)| {
            sys::setns(fd.as_fd(), *kind)
                .map_err(|e| Error::os(format_args!("enter a namespace ({kind:#x})"), e))
        })
    }
}
