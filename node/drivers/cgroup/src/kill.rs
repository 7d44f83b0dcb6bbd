//! Killing every process of a group.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::dir::{Dir, keyed};
use crate::error::{Error, Result};
use crate::freezer;

const KILL_MS_MAX: u64 = 10_000;

/// Processes of the group and of all groups below it.
pub(crate) fn processes(dir: &Dir) -> Result<Vec<i32>> {
    let mut pids = dir.processes()?;
    let mut below: Vec<PathBuf> = dir.children()?.iter().map(|name| dir.path().join(name)).collect();
    while let Some(path) = below.pop() {
        // A group below may vanish while we walk.
        let Ok(dir) = Dir::open(path) else { continue };
        pids.extend(dir.processes().unwrap_or_default());
        below.extend(
            dir.children()
                .unwrap_or_default()
                .iter()
                .map(|name| dir.path().join(name)),
        );
    }
    Ok(pids)
}

/// Version 1 has no such switch: kill what is listed until nothing is. Frozen in between, so that a fork bomb cannot
/// outrun us; a frozen process dies only when thawed.
pub(crate) fn kill_v1(dir: &Dir, freezer: Option<&Dir>) -> Result<()> {
    let begin = Instant::now();
    let mut pause_us = 100;
    for round in 0.. {
        let pids = match processes(dir) {
            Ok(pids) => pids,
            Err(e) if e.is_not_found() => return Ok(()),
            Err(e) => return Err(e),
        };
        if pids.is_empty() {
            return Ok(());
        }
        let held = match freezer {
            // Most groups hold one process that forks nothing: only a second round needs to stop the world.
            Some(freezer) if round > 0 && pids.len() > 1 => {
                freezer::hold_v1(freezer);
                processes(dir).unwrap_or(pids)
            }
            _ => pids,
        };
        let alive = held.into_iter().filter(|pid| signal(*pid)).count();
        if let Some(freezer) = freezer {
            // Also wakes a group that was paused.
            let _ = freezer::thaw_v1(freezer);
        }
        if alive == 0 {
            return Ok(());
        }
        if begin.elapsed() > Duration::from_millis(KILL_MS_MAX) {
            return Err(Error::Timeout {
                what: "kill",
                path: dir.path().to_owned(),
                waited_ms: KILL_MS_MAX,
            });
        }
        sleep(Duration::from_micros(pause_us));
        pause_us = (pause_us * 2).min(10_000);
    }
    Ok(())
}

pub(crate) fn kill_v2(dir: &Dir) -> Result<()> {
    let begin = Instant::now();
    let mut pause_us = 100;
    loop {
        // Kernels before 5.14 have no cgroup.kill.
        match dir.write_if_there("cgroup.kill", "1") {
            Ok(true) => {}
            Ok(false) => {
                for pid in processes(dir)? {
                    signal(pid);
                }
            }
            Err(e) if e.is_not_found() => return Ok(()),
            Err(e) => return Err(e),
        }
        let populated = match dir.read("cgroup.events") {
            Ok(text) => keyed(&text).any(|(key, value)| key == "populated" && value == 1),
            Err(e) if e.is_not_found() => false,
            Err(e) => return Err(e),
        };
        if !populated {
            return Ok(());
        }
        if begin.elapsed() > Duration::from_millis(KILL_MS_MAX) {
            return Err(Error::Timeout {
                what: "kill",
                path: dir.path().to_owned(),
                waited_ms: KILL_MS_MAX,
            });
        }
        sleep(Duration::from_micros(pause_us));
        pause_us = (pause_us * 2).min(10_000);
    }
}

/// Sends SIGKILL; answers whether the process was there.
fn signal(pid: i32) -> bool {
    // 0 stands for a process outside our pid namespace and must never reach kill().
    match Pid::from_raw(pid) {
        Some(pid) if pid.as_raw_nonzero().get() > 0 => kill_process(pid, Signal::KILL).is_ok(),
        _ => false,
    }
}
