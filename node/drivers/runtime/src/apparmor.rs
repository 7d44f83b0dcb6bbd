//! AppArmor, where the kernel has it: our default profile loaded once, and a process confined at its exec.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};

use crate::error::{Error, Result, doing, text};

/// Docker's name for what containers get.
pub const DEFAULT: &str = "docker-default";

const ENABLED: &str = "/sys/module/apparmor/parameters/enabled";
const LOADED: &str = "/sys/kernel/security/apparmor/profiles";
/// Compiles a profile for this kernel and loads it.
const PARSER: [&str; 2] = ["/sbin/apparmor_parser", "/usr/sbin/apparmor_parser"];

/// What a container may do to the host's files in /proc and /sys is for its own mounts to say; this says it again for
/// one that mounts them anew. Among themselves its processes may signal and trace each other.
const PROFILE: &str = "\
#include <tunables/global>

profile docker-default flags=(attach_disconnected,mediate_deleted) {
  #include <abstractions/base>

  file,
  capability,
  network,
  umount,

  signal (receive) peer=unconfined,
  signal (receive) peer={runc,crun},
  signal (send,receive) peer=docker-default,
  ptrace (read,readby,trace,tracedby) peer=docker-default,

  deny mount,
  deny @{PROC}/sysrq-trigger rwklx,
  deny @{PROC}/kcore rwklx,
  deny @{PROC}/mem rwklx,
  deny @{PROC}/kmem rwklx,
  deny @{PROC}/sys/kernel/{?,??,[^s][^h][^m]**} w,
  deny @{PROC}/{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9/]*}/** w,
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/fs/cg[^r]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}
";

/// Whether this kernel confines by AppArmor.
pub fn is_enabled() -> bool {
    let enabled = std::fs::read_to_string(ENABLED).is_ok_and(|text| text.starts_with('Y'));
    enabled && Path::new(LOADED).exists()
}

/// Load the default profile unless it is there. `Err` says why containers go without it.
pub fn load() -> Result<(), String> {
    let there = |text: String| text.lines().any(|line| line.split(' ').next() == Some(DEFAULT));
    if std::fs::read_to_string(LOADED).is_ok_and(there) {
        return Ok(());
    }
    let parser = PARSER.iter().find(|path| Path::new(path).exists());
    let parser = parser.ok_or("apparmor_parser is not installed")?;
    let failed = |e: std::io::Error| format!("{parser}: {e}");
    let mut child = Command::new(parser)
        .args(["--replace", "--skip-cache"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    // The whole of it fits into the pipe.
    let written = match child.stdin.take() {
        Some(mut input) => input.write_all(PROFILE.as_bytes()),
        None => Ok(()),
    };
    let output = child.wait_with_output().map_err(failed)?;
    written.map_err(failed)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{parser}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

/// The file of this process that says what confines it from its exec on. Opened while /proc is the host's.
pub(crate) fn at_exec() -> Result<OwnedFd> {
    let open = |path: &str| rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    open("/proc/self/attr/apparmor/exec")
        .or_else(|_| open("/proc/self/attr/exec"))
        .map_err(doing("open the process's AppArmor attribute"))
}

pub(crate) fn confine(file: BorrowedFd<'_>, profile: &str) -> Result<()> {
    rustix::io::write(file.as_fd(), format!("exec {profile}").as_bytes())
        .map(drop)
        .map_err(|e| {
            Error::new(format!(
                "apparmor failed to apply profile {profile:?}: {}",
                text(e)
            ))
        })
}
