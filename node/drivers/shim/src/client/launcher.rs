//! Holds the shim's binary in a form that no container can overwrite, and starts shims from it.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mount::{MountPropagationFlags, OpenTreeFlags};
use tokio::io::AsyncWriteExt;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

use super::{Error, Shim, connection};
use crate::{Launch, Message, Netns, Reply, Running, frame};

/// Starts shims. Cheap to clone; made once.
///
/// A container can make the kernel run its runtime's binary inside it (`#!/proc/self/exe`) and then write to that
/// file (CVE-2019-5736). So the binary is only ever executed through a detached read-only mount of itself: opening
/// `/proc/<pid>/exe` for writing then fails with EROFS, and nothing is copied. Where such a mount cannot be made it
/// is one sealed copy in memory, shared by all shims.
#[derive(Clone)]
pub struct Launcher {
    program: Arc<OwnedFd>,
    path: PathBuf,
}

impl Launcher {
    pub fn open(shim_bin: &Path) -> Result<Self, Error> {
        let program = read_only_mount(shim_bin)
            .or_else(|_| sealed_copy(shim_bin))
            .map_err(Error::io("open the shim", shim_bin))?;
        Ok(Self {
            program: Arc::new(program),
            path: shim_bin.to_owned(),
        })
    }

    /// The path that this launcher was opened with (also the init for `Launch::init`).
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Start a shim and its container. With `launch.gate` the process then waits for [`Shim::start`], and errors of
    /// the exec itself come from there; without it they come from here. `netns` goes with [`Netns::Given`].
    pub async fn launch(&self, launch: &Launch, netns: Option<OwnedFd>) -> Result<(Shim, Running), Error> {
        if (launch.netns == Netns::Given) != netns.is_some() {
            return Err(Error::Refused(
                "a network namespace goes with Netns::Given and only with it".into(),
            ));
        }
        match std::fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&launch.run_dir)
        {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::io("create", &launch.run_dir)(e));
            }
            _ => {}
        }
        let frame = frame::encode(launch)?;
        let (ours, theirs) =
            UnixStream::pair().map_err(Error::io("make a socket pair for", &launch.run_dir))?;
        let theirs = theirs
            .into_std()
            .and_then(|s| s.set_nonblocking(false).map(|()| s))
            .map_err(Error::io("make a socket pair for", &launch.run_dir))?;
        let log_path = launch.run_dir.join("shim.log");
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&log_path)
            .map_err(Error::io("open", &log_path))?;
        let pid = super::spawn::spawn(
            self.program.as_fd(),
            &launch.id,
            theirs.as_fd(),
            netns.as_ref().map(AsFd::as_fd),
            log.as_fd(),
        )
        .map_err(Error::io("start", &self.path))?;
        drop((theirs, netns));
        reap_later(pid);
        // It waits for its launch: nothing has been started under the wrong limit. One that is gone says so below.
        match super::descriptors::as_before(pid) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(e) => return Err(Error::io("limit the descriptors of", &self.path)(e.into())),
        }
        let mut ours = ours;
        let answer = async {
            ours.write_all(&frame).await?;
            connection::read_message(&mut ours).await
        }
        .await;
        match answer {
            Ok(Message::Reply(Reply::Started(running))) => {
                let shim = Shim::over(
                    ours,
                    &launch.run_dir,
                    &launch.exit_file,
                    running.clone(),
                    Default::default(),
                );
                Ok((shim, running))
            }
            Ok(Message::Reply(Reply::NotStarted(error))) => Err(Error::NotStarted(error)),
            Ok(Message::Reply(Reply::Refused(why))) => Err(Error::Refused(why)),
            Ok(other) => Err(Error::Refused(format!(
                "the shim answered a launch with {other:?}"
            ))),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof || e.kind() == io::ErrorKind::BrokenPipe => {
                let log = std::fs::read_to_string(&log_path).unwrap_or_default();
                let last = log.lines().last().unwrap_or("it left no message").to_owned();
                Err(Error::Refused(format!(
                    "the container's shim died before it answered: {last}"
                )))
            }
            Err(e) => Err(Error::io("talk to the shim of", &launch.run_dir)(e)),
        }
    }
}

/// A mount of just this file, attached nowhere, read-only.
fn read_only_mount(path: &Path) -> io::Result<OwnedFd> {
    let tree = rustix::mount::open_tree(
        rustix::fs::CWD,
        path,
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
    )?;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: u64::from(MountPropagationFlags::PRIVATE.bits()),
        userns_fd: 0,
    };
    // SAFETY: the path is a nul-terminated string, the structure has the size that is passed.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(tree)
    }
}

/// A copy in memory that nobody can change any more.
fn sealed_copy(path: &Path) -> io::Result<OwnedFd> {
    let mut from = std::fs::File::open(path)?;
    let memory = rustix::fs::memfd_create("shoal-shim", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut to = std::fs::File::from(memory);
    io::copy(&mut from, &mut to)?;
    rustix::fs::fcntl_add_seals(
        &to,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )?;
    Ok(to.into())
}

/// Collect the shim when it ends, so that it leaves no zombie while this daemon lives.
fn reap_later(pid: i32) {
    // SAFETY: a plain system call; the result is checked before it becomes an owned descriptor.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, libc::PIDFD_NONBLOCK) };
    if raw < 0 {
        tracing::warn!(pid, error = %io::Error::last_os_error(), "cannot watch a shim");
        return;
    }
    // SAFETY: the kernel has just given us this descriptor.
    let pidfd = unsafe { OwnedFd::from_raw_fd(raw as i32) };
    tokio::spawn(async move {
        // SAFETY: an `OwnedFd` gives the same open descriptor every time until it is dropped.
        match unsafe { AsyncFd::register(pidfd) } {
            Ok(pidfd) => {
                let _ = pidfd.readable().await;
            }
            Err(error) => tracing::warn!(pid, %error, "cannot watch a shim"),
        }
        let mut status = 0;
        // SAFETY: waits for our own child only; `status` is live.
        unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) };
    });
}
