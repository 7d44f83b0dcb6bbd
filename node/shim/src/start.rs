//! From a launch description to a running container and its event loop.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::SystemTime;

use oci_spec::runtime::LinuxNamespaceType;
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use shoal_node_drivers_cgroup::{Cgroup, Hierarchy, Plan};
use shoal_node_drivers_logs::{Format, Rotation, Writer};
use shoal_node_drivers_runtime as runtime;
use shoal_node_drivers_runtime::seccomp::Program;
use shoal_node_drivers_shim::{
    Launch, LogTarget, Message, Netns, Reply, Rootfs, Running, SOCKET_NAME, STATE_NAME, StartError, frame,
    start_ticks,
};

use crate::event_loop::{CONTAINER, Container, EventLoop};
use crate::log::Log;
use crate::poll::Poll;
use crate::process::{Ends, Process, streams};

/// Where the daemon puts the control connection and the network namespace.
const CONTROL: i32 = 3;
const NETNS: i32 = 4;

/// The shim is the last that the kernel should choose: with it dies the container, unrecorded.
const OOM_SCORE_ADJ: &str = "-999";

type Error = Box<dyn std::error::Error>;

pub fn run() -> Result<(), Error> {
    settle();
    // SAFETY: the daemon has put a socket here; nobody else in this process knows of it.
    let mut control = UnixStream::from(unsafe { OwnedFd::from_raw_fd(CONTROL) });
    let launch = receive(&mut control)?;
    let netns = (launch.netns == Netns::Given).then(|| {
        // SAFETY: the launch says that a namespace is here; nobody else in this process knows of it.
        unsafe { OwnedFd::from_raw_fd(NETNS) }
    });
    let mut event_loop = match start(launch, netns) {
        Ok(event_loop) => event_loop,
        Err(error) => {
            eprintln!("shoal-shim: {error}");
            let reply = frame::encode(&Message::Reply(Reply::NotStarted(error)))?;
            std::io::Write::write_all(&mut control, &reply)?;
            return Ok(());
        }
    };
    let reply = frame::encode(&Message::Reply(Reply::Started(
        event_loop.container.running.clone(),
    )))?;
    // A daemon that is gone by now will find the container by itself.
    let _ = std::io::Write::write_all(&mut control, &reply);
    control.set_nonblocking(true)?;
    event_loop.add_control(control.into(), true);
    // The launch description is the largest thing ever allocated here; it is not needed any more.
    // SAFETY: takes a number.
    unsafe { libc::malloc_trim(0) };
    event_loop.run()?;
    // Nobody waits any more.
    event_loop.container.kept.clear();
    Ok(())
}

/// What every shim does to itself first.
fn settle() {
    // SAFETY: descriptors above those two were leaked by whoever started us; nothing here owns one yet.
    unsafe { libc::syscall(libc::SYS_close_range, NETNS + 1, u32::MAX, 0) };
    for fd in [CONTROL, NETNS] {
        // SAFETY: takes numbers; a descriptor that is not open is an error that changes nothing.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    extern "C" fn nothing(_: libc::c_int) {}
    let handler = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
    for signal in [
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGPIPE,
        libc::SIGTERM,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGALRM,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
    ] {
        // A handler that does nothing, not "ignore": an exec puts handlers back to the default, ignored signals stay.
        // SAFETY: the handler touches nothing.
        unsafe { libc::signal(signal, handler) };
    }
    // Nobody without CAP_SYS_PTRACE on the host may look into this process or its not yet exec'd children.
    // SAFETY: both take numbers and a live string.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        libc::prctl(libc::PR_SET_NAME, c"shoal-shim".as_ptr(), 0, 0, 0);
    }
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ);
    let _ = std::env::set_current_dir("/");
}

fn receive(control: &mut UnixStream) -> Result<Launch, Error> {
    let mut head = [0; 4];
    control.read_exact(&mut head)?;
    let mut body = vec![0; frame::length(head)?];
    control.read_exact(&mut body)?;
    Ok(frame::decode(&body)?)
}

fn because(what: impl Display) -> impl FnOnce(&dyn Display) -> StartError {
    move |error| StartError {
        code: 128,
        message: format!("{what}: {error}"),
    }
}

fn not_started(error: runtime::Error) -> StartError {
    StartError {
        code: error.code,
        message: error.message,
    }
}

fn start(mut launch: Launch, netns: Option<OwnedFd>) -> Result<EventLoop, StartError> {
    match std::fs::remove_file(&launch.exit_file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(because("remove the last exit")(&e));
        }
        _ => {}
    }
    let seccomp = launch.seccomp.as_deref().map(Program::load).transpose();
    let seccomp = seccomp.map_err(|e| because("load the seccomp program")(&e))?;
    let resources = launch
        .spec
        .linux_mut()
        .as_mut()
        .and_then(|linux| linux.resources().clone())
        .unwrap_or_default();
    let plan = Plan {
        parent: launch.cgroup.parent.clone(),
        name: launch.cgroup.name.clone(),
        resources,
    };
    let group = Hierarchy::detect()
        .and_then(|hierarchy| Cgroup::create(&hierarchy, &plan))
        .map_err(|e| because("make the control group")(&e))?;
    match begin(&launch, netns, &group, seccomp) {
        Ok(begun) => begun.into_loop(launch, group).map_err(|(error, group)| {
            let _ = group.delete();
            error
        }),
        Err(error) => {
            // The process is dead and reaped by now.
            if let Err(e) = group.delete() {
                eprintln!("shoal-shim: {e}");
            }
            Err(error)
        }
    }
}

/// A container that runs or stands at its gate.
struct Begun {
    child: runtime::Child,
    process: Process,
    log: Option<Writer>,
    listener: OwnedFd,
    running: Running,
    seccomp: Option<Program>,
}

fn begin(
    launch: &Launch,
    netns: Option<OwnedFd>,
    group: &Cgroup,
    seccomp: Option<Program>,
) -> Result<Begun, StartError> {
    let (stdio, ends) = if launch.tty {
        let size = launch.spec.process().as_ref().and_then(|p| p.console_size());
        let side = |n: u64| u16::try_from(n).unwrap_or(u16::MAX);
        (
            runtime::Stdio::Terminal(size.map(|s| (side(s.width()), side(s.height())))),
            Ends::default(),
        )
    } else {
        streams(EventLoop::container_streams(launch.open_stdin)).map_err(|e| because("make pipes")(&e))?
    };
    let rootfs = match &launch.rootfs {
        Rootfs::Overlay { lower, upper, work } => runtime::Rootfs::Overlay {
            lower: lower.clone(),
            upper: upper.clone(),
            work: work.clone(),
        },
        Rootfs::Directory(path) => runtime::Rootfs::Directory(path.clone()),
    };
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
        let listener = listen(&launch.run_dir).map_err(|e| because("listen in the run directory")(&e))?;
        Ok((log, listener))
    };
    let begun = beside(&child).and_then(|(log, listener)| {
        child.wait_ready().map_err(not_started)?;
        if !launch.gate {
            child.wait_exec().map_err(not_started)?;
        }
        let running = Running {
            pid: child.pid,
            start_ticks: start_ticks(child.pid).unwrap_or(0),
            started_at: SystemTime::now(),
        };
        let state = serde_json::to_vec(&running).map_err(|e| because("encode the state")(&e))?;
        let state_file = launch.run_dir.join(STATE_NAME);
        std::fs::write(&state_file, state).map_err(|e| because("write the state")(&e))?;
        let process = Process::new(None, &mut child, ends, launch.stdin_once)
            .map_err(|e| because("keep the container's streams")(&e))?;
        Ok((process, log, listener, running))
    });
    match begun {
        Ok((process, log, listener, running)) => Ok(Begun {
            child,
            process,
            log,
            listener,
            running,
            seccomp,
        }),
        Err(error) => {
            child.kill();
            for name in [SOCKET_NAME, STATE_NAME] {
                let _ = std::fs::remove_file(launch.run_dir.join(name));
            }
            Err(error)
        }
    }
}

impl Begun {
    fn into_loop(mut self, launch: Launch, group: Cgroup) -> Result<EventLoop, (StartError, Cgroup)> {
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
                self.child.kill();
                return Err((because("make an epoll")(&e), group));
            }
        };
        let oom = group.oom_watch().unwrap_or_else(|error| {
            eprintln!("shoal-shim: {error}");
            None
        });
        let namespace = format!("/proc/{}/ns/mnt", self.child.pid);
        let namespace = rustix::fs::open(namespace, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let kept = namespace.ok().into_iter().chain(self.child.root.take()).collect();
        let container = Container {
            run_dir: launch.run_dir,
            exit_file: launch.exit_file,
            running: self.running,
            kept,
            gated: launch.gate.then_some(self.child),
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

/// The unix socket in `run_dir`, for root only, however long the path is.
fn listen(run_dir: &Path) -> rustix::io::Result<OwnedFd> {
    let dir = rustix::fs::open(
        run_dir,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    match rustix::fs::unlinkat(&dir, SOCKET_NAME, rustix::fs::AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(e) => return Err(e),
    }
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET_NAME}", dir.as_raw_fd()))?;
    let bound = rustix::net::bind(&socket, &address);
    rustix::process::umask(before);
    bound?;
    rustix::net::listen(&socket, 128)?;
    Ok(socket)
}
