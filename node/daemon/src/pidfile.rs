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
/// A recycled pid is told apart by its program: only another shoald counts as running, and not one that has ended and that
/// its parent has not looked after yet.
pub fn take(path: &Path) -> Result<Pidfile> {
    if let Some(pid) = fs::read_to_string(path)
        .ok()
        .and_then(|t| t.trim().parse::<u32>().ok())
        && pid != std::process::id()
        && runs(pid)
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

/// Whether it is a daemon with a thread that lives: the first may have ended before others (proc_pid_stat(5)).
fn runs(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // The name stands in brackets, and may have some itself.
    let Some((before, after)) = stat.rsplit_once(')') else {
        return false;
    };
    let is_daemon = before.split_once('(').is_some_and(|(_, name)| name == "shoald");
    let ended = after.trim_start().starts_with(['Z', 'X']);
    let threads = || fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    is_daemon && !(ended && threads() <= 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::time::{Duration, Instant};

    #[test]
    fn a_daemon_that_lives_is_refused_and_one_that_was_killed_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (path, program) = (dir.path().join("x.pid"), dir.path().join("shoald"));
        symlink("/bin/sleep", &program).unwrap();
        let mut other = Command::new(&program).arg0("sleep").arg("100").spawn().unwrap();
        fs::write(&path, other.id().to_string()).unwrap();
        let refused = take(&path).map(drop).unwrap_err().to_string();
        assert!(refused.ends_with("is still running"), "{refused}");
        // Nobody waits for it before the end.
        other.kill().unwrap();
        let begun = Instant::now();
        while runs(other.id()) {
            assert!(begun.elapsed() < Duration::from_secs(5));
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(Path::new(&format!("/proc/{}", other.id())).exists());
        drop(take(&path).unwrap());
        other.wait().unwrap();
    }

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
