//! What lies in /dev: nodes, links, the console.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};
use rustix::fs::{FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use crate::error::{Error, Result, on};
use crate::{mounts, resolve};

/// One device node to make.
pub struct Node {
    path: PathBuf,
    kind: FileType,
    device: u64,
    mode: u32,
    uid: u32,
    gid: u32,
}

/// Every container has these, whether the specification names them or not.
const ALWAYS: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

pub fn plan(devices: &[LinuxDevice]) -> Result<Vec<Node>> {
    let mut nodes: Vec<Node> = ALWAYS
        .iter()
        .filter(|(path, ..)| !devices.iter().any(|d| d.path() == Path::new(path)))
        .map(|&(path, major, minor)| Node {
            path: path.into(),
            kind: FileType::CharacterDevice,
            device: rustix::fs::makedev(major, minor),
            mode: 0o666,
            uid: 0,
            gid: 0,
        })
        .collect();
    for device in devices {
        let kind = match device.typ() {
            LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
            LinuxDeviceType::B => FileType::BlockDevice,
            LinuxDeviceType::P => FileType::Fifo,
            LinuxDeviceType::A => {
                return Err(Error::new(format!(
                    "device {} has no type",
                    device.path().display()
                )));
            }
        };
        let number = |n: i64| {
            u32::try_from(n)
                .map_err(|_| Error::new(format!("device {}: bad number {n}", device.path().display())))
        };
        nodes.push(Node {
            path: device.path().clone(),
            kind,
            device: rustix::fs::makedev(number(device.major())?, number(device.minor())?),
            mode: device.file_mode().unwrap_or(0o666) & 0o7777,
            uid: device.uid().unwrap_or(0),
            gid: device.gid().unwrap_or(0),
        });
    }
    Ok(nodes)
}

/// Make the nodes below `root`. In a user namespace nobody may make nodes: the host's are bound instead.
pub fn make(root: BorrowedFd<'_>, nodes: &[Node], bind: bool) -> Result<()> {
    // Almost all lie in /dev itself, which is resolved once.
    let dev = resolve::make_dir(root, Path::new("/dev"), 0o755).map_err(on("make", Path::new("/dev")))?;
    for node in nodes {
        let made = if bind {
            bind_node(root, node)
        } else {
            match (node.path.parent(), node.path.file_name()) {
                (Some(parent), Some(name)) if parent == Path::new("/dev") => {
                    make_node(dev.as_fd(), Path::new(name), node)
                }
                (Some(parent), Some(name)) => resolve::make_dir(root, parent, 0o755)
                    .and_then(|dir| make_node(dir.as_fd(), Path::new(name), node)),
                _ => Err(Errno::INVAL),
            }
        };
        made.map_err(on("make device", &node.path))?;
    }
    for (target, name) in LINKS {
        if name == "ptmx" {
            // An image may bring its own, which could be anything.
            match rustix::fs::unlinkat(&dev, name, rustix::fs::AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(e) => return Err(on("remove", Path::new("/dev/ptmx"))(e)),
            }
        }
        match rustix::fs::symlinkat(target, &dev, name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(on("make link", Path::new(name))(e)),
        }
    }
    Ok(())
}

fn make_node(dir: BorrowedFd<'_>, name: &Path, node: &Node) -> Result<(), Errno> {
    match rustix::fs::mknodat(dir, name, node.kind, Mode::from_raw_mode(node.mode), node.device) {
        Ok(()) => {}
        Err(Errno::EXIST) => {
            // It may be there already (a bound directory), but then it has to be this very device.
            let stat = rustix::fs::statat(dir, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
            let same = FileType::from_raw_mode(stat.st_mode) == node.kind && stat.st_rdev == node.device;
            return if same { Ok(()) } else { Err(Errno::EXIST) };
        }
        Err(e) => return Err(e),
    }
    if (node.uid, node.gid) != (0, 0) {
        let (uid, gid) = (Uid::from_raw(node.uid), Gid::from_raw(node.gid));
        rustix::fs::chownat(
            dir,
            name,
            Some(uid),
            Some(gid),
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )?;
    }
    Ok(())
}

fn bind_node(root: BorrowedFd<'_>, node: &Node) -> Result<(), Errno> {
    let host = rustix::fs::open(
        &node.path,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    if rustix::fs::fstat(&host)?.st_rdev != node.device {
        return Err(Errno::NODEV);
    }
    let flags = rustix::mount::OpenTreeFlags::OPEN_TREE_CLONE
        | rustix::mount::OpenTreeFlags::OPEN_TREE_CLOEXEC
        | rustix::mount::OpenTreeFlags::AT_EMPTY_PATH;
    let tree = rustix::mount::open_tree(&host, "", flags)?;
    let target = resolve::make_file(root, &node.path)?;
    mounts::attach(tree.as_fd(), target.as_fd())
}
