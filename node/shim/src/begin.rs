//! The container's first process, by our own runtime or by another, and the loop that keeps it.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::time::SystemTime;

use oci_spec::runtime::LinuxNamespaceType;
use rustix::fs::{Mode, OFlags};
use shoal_node_drivers_cgroup::Cgroup;
use shoal_node_drivers_logs::{Format, Rotation, Writer};
use shoal_node_drivers_runtime as runtime;
use shoal_node_drivers_runtime::seccomp::Program;
use shoal_node_drivers_shim::{
    Launch, LogTarget, Netns, Rootfs, Running, SOCKET_NAME, STATE_NAME, StartError, start_ticks,
};

use crate::event_loop::{CONTAINER, Container, EventLoop, Gate};
use crate::external::{self, External};
use crate::log::Log;
use crate::poll::Poll;
use crate::process::{Ends, Process, streams};
use crate::start::{because, listen, not_started};

/// A container that runs or stands at its gate.
pub struct Begun {
    first: First,
    process: Process,
    log: Option<Writer>,
    listener: OwnedFd,
    running: Running,
    seccomp: Option<Program>,
}

/// Who made the first process.
enum First {
    Ours(runtime::Child),
    Theirs(External),
}

impl First {
    fn kill(&self) {
        match self {
            First::Ours(child) => child.kill(),
            First::Theirs(external) => external.delete(),
        }
    }
}

/// Where its input and output go: the container's side, and ours.
fn streams_of(launch: &Launch) -> Result<(runtime::Stdio, Ends), StartError> {
    if launch.tty {
        let size = launch.spec.process().as_ref().and_then(|p| p.console_size());
        let side = |n: u64| u16::try_from(n).unwrap_or(u16::MAX);
        let size = size.map(|s| (side(s.width()), side(s.height())));
        return Ok((runtime::Stdio::Terminal(size), Ends::default()));
    }
    streams(EventLoop::container_streams(launch.open_stdin)).map_err(|e| because("make pipes")(&e))
}

/// The log, and the socket on which clients come.
fn sinks(launch: &Launch) -> Result<(Option<Writer>, OwnedFd), StartError> {
    let log = match &launch.log {
        LogTarget::None => None,
        LogTarget::File {
            path,
            local,
            max_size,
            max_file,
            attrs,
        } => {
            let rotation = Rotation {
                max_size: Some(*max_size).filter(|&max| max > 0),
                max_file: (*max_file).max(1),
            };
            let format = if *local { Format::Local } else { Format::Json };
            let log = Writer::open(path, format, rotation, attrs);
            Some(log.map_err(|e| because("open the log")(&e))?)
        }
    };
    let listener =
        listen(&launch.run_dir, SOCKET_NAME).map_err(|e| because("listen in the run directory")(&e))?;
    Ok((log, listener))
}

fn note(launch: &Launch, pid: u32) -> Result<Running, StartError> {
    let running = Running {
        pid,
        start_ticks: start_ticks(pid).unwrap_or(0),
        started_at: SystemTime::now(),
    };
    let state = serde_json::to_vec(&running).map_err(|e| because("encode the state")(&e))?;
    std::fs::write(launch.run_dir.join(STATE_NAME), state).map_err(|e| because("write the state")(&e))?;
    Ok(running)
}

fn forget(launch: &Launch) {
    for name in [SOCKET_NAME, STATE_NAME] {
        let _ = std::fs::remove_file(launch.run_dir.join(name));
    }
}

/// By our own runtime.
pub fn begin(
    launch: &Launch,
    netns: Option<OwnedFd>,
    group: &Cgroup,
    seccomp: Option<Program>,
) -> Result<Begun, StartError> {
    let (stdio, ends) = streams_of(launch)?;
    let rootfs = rootfs(launch);
    let groups = group.directories();
    let config = runtime::container::Config {
        spec: &launch.spec,
        rootfs: &rootfs,
        netns: match (&launch.netns, &netns) {
            (Netns::Host, _) => runtime::Netns::Host,
            (Netns::Given, Some(fd)) => runtime::Netns::Given(fd.as_fd()),
            (Netns::New | Netns::Given, _) => runtime::Netns::New,
        },
        stdio,
        seccomp: seccomp.clone(),
        init: launch.init.as_deref(),
        cgroup: group.dir_fd(),
        groups: &groups,
        join: group
            .join_files()
            .map_err(|e| because("open the control group")(&e))?,
    };
    // SAFETY: the shim has one thread.
    let mut child = unsafe { runtime::container::spawn(config) }.map_err(not_started)?;
    // From here on the child prepares itself; the rest is done beside it.
    let beside = |child: &runtime::Child| -> Result<_, StartError> {
        if !launch.gate {
            child.go().map_err(not_started)?;
        }
        sinks(launch)
    };
    let begun = beside(&child).and_then(|(log, listener)| {
        child.wait_ready().map_err(not_started)?;
        if !launch.gate {
            child.wait_exec().map_err(not_started)?;
        }
        let running = note(launch, child.pid)?;
        let process = Process::new(None, &mut child, ends, launch.stdin_once)
            .map_err(|e| because("keep the container's streams")(&e))?;
        Ok((process, log, listener, running))
    });
    match begun {
        Ok((process, log, listener, running)) => Ok(Begun {
            first: First::Ours(child),
            process,
            log,
            listener,
            running,
            seccomp,
        }),
        Err(error) => {
            child.kill();
            forget(launch);
            Err(error)
        }
    }
}

/// By another runtime.
pub fn begin_external(
    launch: &Launch,
    netns: Option<OwnedFd>,
    external: External,
) -> Result<Begun, StartError> {
    let (stdio, ends) = streams_of(launch)?;
    external::furnish(launch, netns.as_ref())?;
    let begun = external.create(stdio).and_then(|made| {
        let (log, listener) = sinks(launch)?;
        let running = note(launch, made.pid)?;
        let (pid, pidfd) = (made.pid, made.pidfd);
        let process = Process::over(None, (pid, pidfd), made.console, ends, launch.stdin_once)
            .map_err(|e| because("keep the container's streams")(&e))?;
        if !launch.gate {
            external.start()?;
        }
        Ok((process, log, listener, running))
    });
    match begun {
        Ok((process, log, listener, running)) => Ok(Begun {
            first: First::Theirs(external),
            process,
            log,
            listener,
            running,
            seccomp: None,
        }),
        Err(error) => {
            external.delete();
            forget(launch);
            Err(error)
        }
    }
}

pub fn rootfs(launch: &Launch) -> runtime::Rootfs {
    match &launch.rootfs {
        Rootfs::Overlay { lower, upper, work } => runtime::Rootfs::Overlay {
            lower: lower.clone(),
            upper: upper.clone(),
            work: work.clone(),
        },
        Rootfs::Directory(path) => runtime::Rootfs::Directory(path.clone()),
    }
}

impl Begun {
    pub fn into_loop(self, launch: Launch, group: Cgroup) -> Result<EventLoop, (StartError, Cgroup)> {
        let namespaces = launch
            .spec
            .linux()
            .as_ref()
            .and_then(|linux| linux.namespaces().as_ref());
        let own_pids = namespaces
            .into_iter()
            .flatten()
            .any(|n| n.typ() == LinuxNamespaceType::Pid && n.path().is_none());
        let poll = match Poll::new() {
            Ok(poll) => poll,
            Err(e) => {
                self.first.kill();
                return Err((because("make an epoll")(&e), group));
            }
        };
        let oom = group.oom_watch().unwrap_or_else(|error| {
            eprintln!("shoal-shim: {error}");
            None
        });
        let namespace = format!("/proc/{}/ns/mnt", self.running.pid);
        let namespace = rustix::fs::open(namespace, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let mut kept: Vec<OwnedFd> = namespace.ok().into_iter().collect();
        let (gate, external) = match self.first {
            First::Ours(mut child) => {
                kept.extend(child.root.take());
                (
                    if launch.gate {
                        Gate::Ours(child)
                    } else {
                        Gate::Open
                    },
                    None,
                )
            }
            First::Theirs(external) if launch.gate => (Gate::Theirs, Some(external)),
            First::Theirs(external) => (Gate::Open, Some(external)),
        };
        let container = Container {
            run_dir: launch.run_dir,
            exit_file: launch.exit_file,
            running: self.running,
            kept,
            gate,
            external,
            cgroup: Some(group),
            oom,
            oom_kills: 0,
            seccomp: self.seccomp,
            own_pids,
            ended: VecDeque::new(),
        };
        let mut event_loop = EventLoop::new(poll, self.listener, container, Log::new(self.log));
        event_loop.processes.insert(CONTAINER, self.process);
        event_loop.watch_process(CONTAINER);
        Ok(event_loop)
    }
}
