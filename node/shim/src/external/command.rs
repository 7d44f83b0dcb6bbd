//! One call of the runtime's program, and what it says when it fails.

use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::Deserialize;
use shoal_node_drivers_shim::StartError;

use super::{External, STATE};

/// A runtime that takes longer is stuck.
const CALL_MAX: Duration = Duration::from_secs(60);
const LOG: &str = "oci.log";
/// Of what a runtime wrote, the end is looked at.
const LOG_BYTES_MAX: u64 = 64 << 10;
/// Hooks and what a runtime starts itself are found here.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub fn run(runtime: &External, call: &[&str], stdio: Option<[OwnedFd; 3]>) -> Result<(), StartError> {
    let log = runtime.dir().join(LOG);
    let _ = std::fs::remove_file(&log);
    let mut command = Command::new(&runtime.program);
    command
        .args(&runtime.args)
        .arg("--root")
        .arg(runtime.dir().join(STATE))
        .arg("--log")
        .arg(&log)
        .args(["--log-format", "json"])
        .args(call)
        .current_dir(runtime.dir())
        .env_clear()
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if let Some([input, out, err]) = stdio {
        command.stdin(input).stdout(out).stderr(err);
    }
    // SAFETY: writes a constant to a file, nothing else; the shim has one thread.
    unsafe {
        command.pre_exec(|| {
            // Not the shim's own, which is near to never being killed.
            std::fs::write("/proc/self/oom_score_adj", "0")
        });
    }
    let failed = |message: String| StartError { code: 128, message };
    let called = call.first().copied().unwrap_or_default();
    let name = runtime.program.display();
    let mut child = command.spawn().map_err(|e| {
        failed(format!(
            "failed to create shim task: OCI runtime {called} failed: unable to retrieve OCI runtime error ({name}: {e})"
        ))
    })?;
    // The container's ends of its pipes are the container's alone from here on.
    drop(command);
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let over = match pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) {
        Some(Ok(pidfd)) => ends(&pidfd),
        _ => true,
    };
    if !over {
        let _ = child.kill();
    }
    let status = child
        .wait()
        .map_err(|e| failed(format!("wait for {name} {called}: {e}")))?;
    if status.success() {
        return Ok(());
    }
    let why = match over {
        true => {
            last_error(&log).unwrap_or_else(|| format!("{name} did not terminate successfully: {status}"))
        }
        false => format!("{name} did not end within {} s", CALL_MAX.as_secs()),
    };
    let code = exit_code(&why);
    let message = match called {
        // Whoever asked for the exec says the rest.
        "exec" => why
            .strip_prefix("exec failed: unable to start container process: ")
            .unwrap_or(&why)
            .to_owned(),
        _ => format!("failed to create shim task: OCI runtime {called} failed: {why}"),
    };
    Err(StartError { code, message })
}

fn ends(pidfd: &OwnedFd) -> bool {
    let limit = Timespec::try_from(CALL_MAX).ok();
    loop {
        let mut fds = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
        match poll(&mut fds, limit.as_ref()) {
            Ok(ready) => return ready > 0,
            // Starts over: what interrupts is rare.
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return true,
        }
    }
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    level: String,
    #[serde(default)]
    msg: String,
}

/// The last error that the runtime wrote down.
fn last_error(log: &Path) -> Option<String> {
    let mut file = std::fs::File::open(log).ok()?;
    let size = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(LOG_BYTES_MAX)))
        .ok()?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().rev().filter_map(|l| serde_json::from_str(l).ok());
    let errors = lines.filter(|line: &Line| matches!(line.level.as_str(), "error" | "fatal"));
    errors.map(|line| line.msg).next()
}

/// As Docker tells it from the text.
fn exit_code(why: &str) -> i32 {
    let has = |text: &str| why.contains(text);
    if has("executable file not found")
        || has("no such file or directory")
        || has("No such file or directory")
        || has("not a directory")
    {
        127
    } else if has("permission denied") || has("Permission denied") {
        126
    } else {
        128
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_of_a_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        assert_eq!(last_error(&path), None);
        let text = "{\"level\":\"warning\",\"msg\":\"w\"}\n{\"level\":\"error\",\"msg\":\"first\"}\n\
                    {\"level\":\"error\",\"msg\":\"exec: \\\"x\\\": permission denied\"}\nnoise\n";
        std::fs::write(&path, text).unwrap();
        let why = last_error(&path).unwrap();
        assert_eq!(why, "exec: \"x\": permission denied");
        assert_eq!(exit_code(&why), 126);
        assert_eq!(
            exit_code("executable file `x` not found in $PATH: No such file or directory"),
            127
        );
        assert_eq!(exit_code("something else"), 128);
    }
}
