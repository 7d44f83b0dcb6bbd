//! The pid file: says which process is the daemon, and refuses a second one.

use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file, removed when the daemon ends in order.
pub struct Pidfile(PathBuf);

impl Drop for Pidfile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Writes our pid. A file that names a process which lives is refused; one that a killed daemon left is taken over.
/// A recycled pid is told apart by its program: only another shoald counts as running.
pub fn take(path: &Path) -> Result<Pidfile> {
    if let Some(pid) = fs::read_to_string(path)
        .ok()
        .and_then(|t| t.trim().parse::<u32>().ok())
        && pid != std::process::id()
        && fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "shoald")
    {
        // Docker's words, which supervisors look for.
        bail!(
            "failed to start daemon, ensure docker is not running or delete {}: process with PID {pid} is still running",
            path.display()
        );
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    }
    let fresh = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o644)
            .open(&fresh)?;
        std::io::Write::write_all(&mut file, std::process::id().to_string().as_bytes())?;
        fs::rename(&fresh, path)
    };
    write().with_context(|| format!("writing pid file {}", path.display()))?;
    Ok(Pidfile(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_file_is_taken_over_and_removed_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pid");
        fs::write(&path, "4194304").unwrap();
        let held = take(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), std::process::id().to_string());
        drop(held);
        assert!(!path.exists());
    }
}
