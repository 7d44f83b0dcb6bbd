//! Stopping and resuming every process of a group at once.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::dir::{Dir, keyed};
use crate::error::{Error, Result};

const FREEZE_MS_MAX: u64 = 10_000;

/// Version 1 freezes one task after another and can lose the race with a fork: it stays `FREEZING` then, and only
/// thawing for a moment lets it finish.
pub(crate) fn freeze_v1(dir: &Dir) -> Result<()> {
    let result = freeze_v1_within(dir, FREEZE_MS_MAX);
    if result.is_err() {
        // Never leave a container half stopped.
        let _ = dir.write("freezer.state", "THAWED");
    }
    result
}

fn freeze_v1_within(dir: &Dir, limit_ms: u64) -> Result<()> {
    let begin = Instant::now();
    let mut round = 0u32;
    loop {
        dir.write("freezer.state", "FROZEN")?;
        for _ in 0..20 {
            if dir.read("freezer.state")?.trim() == "FROZEN" {
                return Ok(());
            }
            sleep(Duration::from_micros(if round == 0 { 50 } else { 1000 }));
        }
        round += 1;
        if begin.elapsed() > Duration::from_millis(limit_ms) {
            return Err(Error::Timeout {
                what: "freeze",
                path: dir.path().to_owned(),
                waited_ms: limit_ms,
            });
        }
        if round.is_multiple_of(10) {
            dir.write("freezer.state", "THAWED")?;
            sleep(Duration::from_millis(1));
        }
    }
}

/// Freezes for a moment as far as it goes, for killing without new forks.
pub(crate) fn hold_v1(dir: &Dir) {
    let _ = freeze_v1_within(dir, 20);
}

pub(crate) fn thaw_v1(dir: &Dir) -> Result<()> {
    dir.write("freezer.state", "THAWED")
}

pub(crate) fn is_frozen_v1(dir: &Dir) -> Result<bool> {
    Ok(dir.read("freezer.state")?.trim() != "THAWED")
}

pub(crate) fn freeze_v2(dir: &Dir) -> Result<()> {
    dir.write("cgroup.freeze", "1")?;
    let begin = Instant::now();
    let mut pause_us = 50;
    while !is_frozen_v2(dir)? {
        if begin.elapsed() > Duration::from_millis(FREEZE_MS_MAX) {
            let _ = thaw_v2(dir);
            return Err(Error::Timeout {
                what: "freeze",
                path: dir.path().to_owned(),
                waited_ms: FREEZE_MS_MAX,
            });
        }
        sleep(Duration::from_micros(pause_us));
        pause_us = (pause_us * 2).min(5_000);
    }
    Ok(())
}

pub(crate) fn thaw_v2(dir: &Dir) -> Result<()> {
    dir.write("cgroup.freeze", "0")
}

pub(crate) fn is_frozen_v2(dir: &Dir) -> Result<bool> {
    Ok(keyed(&dir.read("cgroup.events")?).any(|(key, value)| key == "frozen" && value == 1))
}
