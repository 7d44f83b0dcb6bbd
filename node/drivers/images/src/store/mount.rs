//! Whether a file system has been mounted all the time since something was written to it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, StatxFlags, statx};
use serde::{Deserialize, Serialize};

/// `STATX_MNT_ID_UNIQUE` of statx(2), since Linux 6.8: an id that no other mount of this boot gets.
const UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// A mount, unlike any other that ever was. What was written through it and is read through it is whole, on the disk or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mount {
    /// `/proc/sys/kernel/random/boot_id`, random(4).
    boot: String,
    id: u64,
}

impl Mount {
    /// The one that a directory is in; `None` where the kernel does not tell.
    pub fn of(directory: &Path) -> Option<Mount> {
        let id = unique(directory).ok()??;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let boot = boot.trim().to_owned();
        Some(Mount { boot, id }).filter(|mount| !mount.boot.is_empty())
    }
}

fn unique(directory: &Path) -> io::Result<Option<u64>> {
    let told = statx(File::open(directory)?, "", AtFlags::EMPTY_PATH, UNIQUE)?;
    let known = told.stx_mask & UNIQUE.bits() != 0;
    Ok(known.then_some(told.stx_mnt_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_told_from_the_next_in_its_place() {
        let folder = tempfile::tempdir().expect("dir");
        let Some(before) = Mount::of(folder.path()) else {
            let release = rustix::system::uname().release().to_string_lossy().into_owned();
            let mut numbers = release.split('.').map_while(|part| part.parse::<u32>().ok());
            let number = (numbers.next(), numbers.next());
            assert!(number < (Some(6), Some(8)), "{release} tells");
            return;
        };
        let here = || Mount::of(folder.path()).expect("it was told before");
        assert_eq!(here(), before);
        let mount = || {
            let done = std::process::Command::new("mount")
                .args(["-t", "tmpfs", "none"])
                .arg(folder.path())
                .status();
            assert!(done.expect("mount").success());
            let mounted = here();
            let done = std::process::Command::new("umount").arg(folder.path()).status();
            assert!(done.expect("umount").success());
            mounted
        };
        let (first, second) = (mount(), mount());
        assert!(first != before && second != before && first != second);
        assert_eq!(here(), before);
        let read: Mount = serde_json::from_str(&serde_json::to_string(&first).expect("text")).expect("mount");
        assert_eq!(read, first);
    }
}
