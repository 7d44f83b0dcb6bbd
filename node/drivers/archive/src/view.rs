//! A container's root with its volumes, in a mount namespace that only descriptors hold.
//!
//! ```text
//! running:  its mount namespace, entered by pidfd ── its root mount copied, without what is mounted on it ──┐
//! stopped:  an overlay that is mounted nowhere ─────────────────────────────────────────────────────────────┤
//!           volumes: trees copied from the host ── attached below, by descriptor ── a private namespace ────┴─> View
//! ```
//! The work is done on a thread of its own, whose namespaces nobody else has; it ends, and the namespace lives on in a
//! descriptor. Nothing in it is shared with the host's or the container's mounts, so nothing propagates either way.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sched::CloneFlags;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags};
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType};

use crate::error::{Error, Result};
use crate::inside;

/// Where the root comes from.
pub enum Base {
    /// The mount namespace of a process.
    Process(OwnedFd),
    /// Another view: its root without what is mounted on it.
    Bare(Arc<View>),
    /// A mount that is attached nowhere.
    Detached(OwnedFd),
    /// To be mounted in the view's own mount namespace; gives the root.
    Attached(Box<dyn FnOnce() -> Result<OwnedFd, String> + Send>),
}

/// Part of the host's tree, to be seen at a place of the root.
#[derive(Debug)]
pub struct Tree {
    fd: OwnedFd,
    is_dir: bool,
    read_only: bool,
    destination: PathBuf,
}

impl Tree {
    /// Copies the mount at `source`, with those below it if `recursive`.
    pub fn open(source: &Path, destination: &Path, recursive: bool, read_only: bool) -> Result<Tree> {
        let failed = |errno| Error::os(format!("open the mount source {}", source.display()), errno);
        let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        if recursive {
            flags |= OpenTreeFlags::AT_RECURSIVE;
        }
        let fd = rustix::mount::open_tree(CWD, source, flags).map_err(failed)?;
        let stat = rustix::fs::fstat(&fd).map_err(failed)?;
        Ok(Tree {
            fd,
            is_dir: inside::kind(&stat) == FileType::Directory,
            read_only,
            destination: destination.to_owned(),
        })
    }
}

/// The root as a directory. Lives as long as somebody needs it; nothing is left when it goes.
#[derive(Debug)]
pub struct View {
    root: OwnedFd,
    namespace: OwnedFd,
}

impl View {
    /// `trees` in the order in which they are to be attached. Missing places for them are made in the root, as a start
    /// of the container would.
    pub fn open(base: Base, read_only: bool, trees: Vec<Tree>) -> Result<View> {
        let work = move || build(base, read_only, trees);
        let thread = std::thread::Builder::new().name("view".into()).spawn(work);
        let failed = |source| Error::Io {
            what: "start a thread".into(),
            source,
        };
        let ended = |_| failed(std::io::Error::other("it ended early"));
        thread.map_err(failed)?.join().map_err(ended)?
    }

    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// Runs on its own thread, which must not be used for anything afterwards.
fn build(base: Base, read_only: bool, trees: Vec<Tree>) -> Result<View> {
    let doing = |what: &'static str| move |errno| Error::os(what, errno);
    let unshare = |flags| nix::sched::unshare(flags).map_err(|e| Errno::from_raw_os_error(e as i32));
    unshare(CloneFlags::CLONE_FS).map_err(doing("leave the daemon's directories"))?;
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // Opened on the host: the container's own /proc may be anything.
    let this_thread = rustix::fs::open("/proc/thread-self", directory, Mode::empty())
        .map_err(doing("open /proc/thread-self"))?;
    let (detached, attach) = match base {
        Base::Detached(root) => (Some(root), None),
        Base::Attached(attach) => (None, Some(attach)),
        Base::Process(process) => {
            rustix::thread::move_into_thread_name_spaces(process.as_fd(), ThreadNameSpaceType::MOUNT)
                .map_err(doing("enter the container's mount namespace"))?;
            (Some(bare_root()?), None)
        }
        Base::Bare(view) => {
            let kind = Some(LinkNameSpaceType::Mount);
            rustix::thread::move_into_link_name_space(view.namespace.as_fd(), kind)
                .map_err(doing("enter the view's mount namespace"))?;
            (Some(bare_root()?), None)
        }
    };
    unshare(CloneFlags::CLONE_NEWNS).map_err(doing("make a mount namespace"))?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(doing("make the mount namespace private"))?;
    let to_path = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    let root = match (detached, attach) {
        (Some(root), _) => root,
        (None, Some(attach)) => attach().map_err(|why| Error::Io {
            what: "mount the root".into(),
            source: std::io::Error::other(why),
        })?,
        (None, None) => return Err(Error::os("find the root", Errno::INVAL)),
    };
    rustix::mount::move_mount(&root, "", CWD, "/", to_path).map_err(doing("attach the root"))?;
    settle(root.as_fd(), read_only).map_err(doing("make the root private"))?;
    for tree in trees {
        let failed = |errno| {
            Error::os(
                format!("attach the mount at {}", tree.destination.display()),
                errno,
            )
        };
        let place = place(root.as_fd(), &tree.destination, tree.is_dir).map_err(failed)?;
        let to_fd = to_path | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(&tree.fd, "", &place, "", to_fd).map_err(failed)?;
        settle(tree.fd.as_fd(), tree.read_only).map_err(failed)?;
    }
    let namespace = rustix::fs::openat(
        &this_thread,
        "ns/mnt",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(doing("hold the mount namespace"))?;
    // With the namespace the thread gives up its working directory in it.
    Ok(View { root, namespace })
}

/// A copy of the mount that is `/` here, without what is mounted on it.
fn bare_root() -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    rustix::mount::open_tree(CWD, "/", flags).map_err(|e| Error::os("copy the root mount", e))
}

/// Cuts a mount off from those it was copied from, before anything is attached below it.
fn settle(mount: BorrowedFd<'_>, read_only: bool) -> Result<(), Errno> {
    // A single file cannot be the working directory; the descriptor's name in the host's /proc is out of reach here.
    let name = match rustix::process::fchdir(mount) {
        Ok(()) => ".",
        Err(Errno::NOTDIR) => return Ok(()),
        Err(other) => return Err(other),
    };
    rustix::mount::mount_change(name, MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    if read_only {
        rustix::mount::mount_remount(name, MountFlags::BIND | MountFlags::RDONLY, "")?;
    }
    Ok(())
}

/// The place for a mount, made with its parents if it is missing.
fn place(root: BorrowedFd<'_>, path: &Path, is_dir: bool) -> Result<OwnedFd, Errno> {
    use std::os::unix::ffi::OsStrExt;
    let bytes = path.as_os_str().as_bytes();
    match inside::open(root, bytes, OFlags::PATH) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let parts: Vec<&[u8]> = bytes
        .split(|&b| b == b'/')
        .filter(|part| !part.is_empty())
        .collect();
    for end in 1..=parts.len() {
        let below = parts[..end].join(&b'/');
        match inside::open(root, &below, OFlags::PATH) {
            Err(Errno::NOENT) => {}
            Err(other) => return Err(other),
            Ok(_) => continue,
        }
        let parent = match end {
            1 => inside::directory(root)?,
            _ => inside::open(
                root,
                &parts[..end - 1].join(&b'/'),
                OFlags::PATH | OFlags::DIRECTORY,
            )?,
        };
        // A link that leads nowhere stays, and the open below says so.
        let made = if is_dir || end < parts.len() {
            rustix::fs::mkdirat(&parent, parts[end - 1], Mode::from_raw_mode(0o755))
        } else {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(&parent, parts[end - 1], flags, Mode::from_raw_mode(0o644)).map(drop)
        };
        match made {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(other) => return Err(other),
        }
    }
    inside::open(root, bytes, OFlags::PATH)
}
