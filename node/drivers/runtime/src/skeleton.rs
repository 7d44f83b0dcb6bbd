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

const DIRS: [&str; 4] = ["dev", "proc", "sys", "etc"];
/// `.dockerenv` is how programs tell that they run in a container.
const FILES: [&str; 4] = [".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf"];

/// Make the layer at `path` unless it is there. Several may do so at once.
pub fn ensure(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
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
    // Whatever the daemon's umask is.
    let mode = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode));
    let dir = |path: &Path| std::fs::create_dir(path).and_then(|()| mode(path, 0o755));
    dir(draft)?;
    for name in DIRS {
        dir(&draft.join(name))?;
    }
    for name in FILES {
        let file = draft.join(name);
        std::fs::File::create_new(&file)?;
        mode(&file, 0o644)?;
    }
    match std::fs::rename(draft, path) {
        Err(_) if path.is_dir() => std::fs::remove_dir_all(draft),
        other => other,
    }
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
    }
}
