//! The directories and files on which every container has something mounted, as one read-only layer for all of them.
//!
//! Put below an image's layers, it makes what the image lacks: nothing has to be created in the container's own layer
//! then, which starts faster and keeps `/dev` and `/etc/hosts` out of `docker diff` and `docker commit`. What the image
//! has keeps its owner and mode, being above.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

const DIRS: [&str; 6] = ["dev", "dev/pts", "dev/shm", "proc", "sys", "etc"];
/// `.dockerenv` is how programs tell that they run in a container.
const FILES: [&str; 5] = [
    ".dockerenv",
    "dev/console",
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
];
/// What older programs read to know what is mounted.
const MTAB: (&str, &str) = ("etc/mtab", "/proc/mounts");

/// Make the layer at `path` unless it is there. Several may do so at once.
pub fn ensure(path: &Path) -> io::Result<()> {
    // What an older daemon made has no such link.
    if path.join(MTAB.0).is_symlink() {
        return Ok(());
    }
    if path.is_dir() {
        return fill(path);
    }
    // Threads of one daemon may meet here; what a crash left of a draft has another process's number.
    static DRAFTS: AtomicU32 = AtomicU32::new(0);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(
        ".{}-{}.tmp",
        std::process::id(),
        DRAFTS.fetch_add(1, Ordering::Relaxed)
    ));
    let draft = Path::new(&name);
    if draft.exists() {
        std::fs::remove_dir_all(draft)?;
    }
    std::fs::create_dir(draft)?;
    fill(draft)?;
    match std::fs::rename(draft, path) {
        Err(_) if path.is_dir() => std::fs::remove_dir_all(draft),
        other => other,
    }
}

/// Makes what is not there yet.
fn fill(layer: &Path) -> io::Result<()> {
    let there = |done: io::Result<()>| match done {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    };
    // Whatever the daemon's umask is.
    let mode = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode));
    mode(layer, 0o755)?;
    for name in DIRS {
        let dir = layer.join(name);
        there(std::fs::create_dir(&dir))?;
        mode(&dir, 0o755)?;
    }
    for name in FILES {
        let file = layer.join(name);
        there(std::fs::File::create_new(&file).map(drop))?;
        mode(&file, 0o644)?;
    }
    there(std::os::unix::fs::symlink(MTAB.1, layer.join(MTAB.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("skeleton");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| ensure(&path).unwrap());
            }
        });
        ensure(&path).unwrap();
        assert!(path.join("etc/resolv.conf").is_file() && path.join("dev").is_dir());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        // One that an older daemon made is completed.
        std::fs::remove_file(path.join("etc/mtab")).unwrap();
        std::fs::remove_dir(path.join("dev/shm")).unwrap();
        ensure(&path).unwrap();
        assert!(path.join("dev/shm").is_dir());
        assert_eq!(
            std::fs::read_link(path.join("etc/mtab")).unwrap(),
            Path::new("/proc/mounts")
        );
    }
}
