//! Removing the directories of a group.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, unlinkat};
use rustix::io::Errno;

use crate::dir::Dir;
use crate::error::{Error, Result};

const BUSY_MS_MAX: u64 = 2_000;

/// Removes `path` and the groups below it. A group that is not there counts as removed. A busy one is tried again until
/// the time is up: the kernel lets go of a dead process a little after its parent has seen it die.
pub(crate) fn tree(path: &Path) -> Result<()> {
    let begin = Instant::now();
    let mut pause_us = 100;
    loop {
        match unlinkat(CWD, path, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY | Errno::NOTEMPTY) => {}
            Err(Errno::INTR) => continue,
            Err(e) => return Err(Error::io("remove control group", path, e)),
        }
        match Dir::open(path.to_owned()) {
            Ok(dir) => {
                for name in dir.children()? {
                    tree(&dir.path().join(name))?;
                }
            }
            Err(e) if e.is_not_found() => return Ok(()),
            Err(e) => return Err(e),
        }
        if begin.elapsed() > Duration::from_millis(BUSY_MS_MAX) {
            return Err(Error::io("remove control group", path, Errno::BUSY));
        }
        sleep(Duration::from_micros(pause_us));
        pause_us = (pause_us * 2).min(20_000);
    }
}
