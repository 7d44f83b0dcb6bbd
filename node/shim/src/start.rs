//! From a launch description to a running container and its event loop.

use std::fmt::Display;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use shoal_node_drivers_cgroup::{Cgroup, Hierarchy, Plan};
use shoal_node_drivers_runtime as runtime;
use shoal_node_drivers_runtime::seccomp::Program;
use shoal_node_drivers_shim::{Launch, Message, Netns, Reply, StartError, frame};

use crate::begin::{begin, begin_external};
use crate::event_loop::EventLoop;
use crate::external::{External, orphans};

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

pub fn because(what: impl Display) -> impl FnOnce(&dyn Display) -> StartError {
    move |error| StartError {
        code: 128,
        message: format!("{what}: {error}"),
    }
}

pub fn not_started(error: runtime::Error) -> StartError {
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
    let external = External::new(&launch);
    let children = external.as_ref().map(|_| orphans::adopt()).transpose();
    let children = children.map_err(|e| because("become the parent of orphans")(&e))?;
    let resources = launch
        .spec
        .linux_mut()
        .as_mut()
        .and_then(|linux| linux.resources().clone())
        .unwrap_or_default();
    let plan = Plan {
        parent: launch.cgroup.parent.clone(),
        name: launch.cgroup.name.clone(),
        // Another runtime sets them itself, in the group that it finds.
        resources: match external {
            None => resources,
            Some(_) => Default::default(),
        },
    };
    let group = Hierarchy::detect()
        .and_then(|hierarchy| Cgroup::create(&hierarchy, &plan))
        .map_err(|e| because("make the control group")(&e))?;
    let begun = match external {
        None => begin(&launch, netns, &group, seccomp),
        Some(external) => begin_external(&launch, netns, external),
    };
    match begun {
        Ok(begun) => match begun.into_loop(launch, group) {
            Ok(mut event_loop) => {
                event_loop.children = children;
                Ok(event_loop)
            }
            Err((error, group)) => {
                let _ = group.delete();
                Err(error)
            }
        },
        Err(error) => {
            // The process is dead and reaped by now.
            if let Err(e) = group.delete() {
                eprintln!("shoal-shim: {e}");
            }
            Err(error)
        }
    }
}

/// A unix socket in `run_dir`, for root only, however long the path is.
pub fn listen(run_dir: &Path, name: &str) -> rustix::io::Result<OwnedFd> {
    let dir = rustix::fs::open(
        run_dir,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    match rustix::fs::unlinkat(&dir, name, rustix::fs::AtFlags::empty()) {
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
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()))?;
    let bound = rustix::net::bind(&socket, &address);
    rustix::process::umask(before);
    bound?;
    rustix::net::listen(&socket, 128)?;
    Ok(socket)
}
