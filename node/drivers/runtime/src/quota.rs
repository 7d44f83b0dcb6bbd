//! Project quotas: a directory held to a size, where its file system was mounted with them (xfs `pquota`, ext4
//! `prjquota`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{Mode, OFlags};

/// Ids below are other people's, as in `/etc/projid`.
const FIRST: u32 = 1 << 20;

const GET_STATE: u32 = command(5);
const SET_LIMIT: u32 = command(4);
/// Project quotas are enforced.
const ENFORCED: u16 = 1 << 5;

/// What `quotactl` takes for one of xfs's commands on projects.
const fn command(number: u32) -> u32 {
    ((b'X' as u32) << 8 | number) << 8 | 2
}

const GET_ATTRIBUTES: libc::c_ulong = 0x801c_581f;
const SET_ATTRIBUTES: libc::c_ulong = 0x401c_5820;
/// What is made below belongs to the project too.
const INHERIT: u32 = 0x200;

#[repr(C)]
#[derive(Default)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    padding: [u8; 8],
}

/// `fs_disk_quota`; what is not named here is left alone.
#[repr(C)]
struct Limit {
    version: i8,
    flags: i8,
    fields: u16,
    id: u32,
    hard_blocks: u64,
    soft_blocks: u64,
    rest: [u64; 11],
}

/// The quotas of one file system.
pub struct Quotas {
    dir: OwnedFd,
    next: AtomicU32,
}

impl Quotas {
    /// Of the file system that `dir` lies on; `None` where it has none. Directories that have been limited lie in the
    /// directories of `homes`.
    pub fn open(dir: &Path, homes: &[PathBuf]) -> Option<Quotas> {
        let dir = open(dir).ok()?;
        let mut state = [0u64; 32];
        quotactl(&dir, GET_STATE, 0, state.as_mut_ptr().cast()).ok()?;
        // A byte of version, one of padding, then the flags.
        let flags = (state[0] >> 16) as u16;
        if flags & ENFORCED == 0 {
            return None;
        }
        let below = |dir: &Path| {
            std::fs::read_dir(dir)
                .into_iter()
                .flatten()
                .flatten()
                .map(|e| e.path())
        };
        let all = homes
            .iter()
            .flat_map(|home| below(home))
            .flat_map(|one| below(&one).collect::<Vec<_>>());
        let used = all.filter_map(|path| Some(attributes(&open(&path).ok()?).ok()?.project));
        let next = used.max().unwrap_or(0).max(FIRST).saturating_add(1);
        Some(Quotas {
            dir,
            next: AtomicU32::new(next),
        })
    }

    /// From now on what lies in these directories, empty so far, takes `bytes` together at most.
    pub fn limit(&self, dirs: &[&Path], bytes: u64) -> io::Result<()> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        for dir in dirs {
            let fd = open(dir)?;
            let mut now = attributes(&fd)?;
            now.project = id;
            now.flags |= INHERIT;
            // SAFETY: the structure has the layout that the call reads, and lives through it.
            check(unsafe { libc::ioctl(fd.as_raw_fd(), SET_ATTRIBUTES, &now) }.into())?;
        }
        let blocks = bytes.div_ceil(512);
        let mut limit = Limit {
            version: 1,
            flags: 2,
            // Both limits of blocks.
            fields: 1 << 2 | 1 << 3,
            id,
            hard_blocks: blocks,
            soft_blocks: blocks,
            rest: [0; 11],
        };
        quotactl(&self.dir, SET_LIMIT, id, (&raw mut limit).cast())
    }
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn attributes(fd: &OwnedFd) -> io::Result<Attributes> {
    let mut attributes = Attributes::default();
    // SAFETY: the structure has the layout that the call fills, and lives through it.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), GET_ATTRIBUTES, &mut attributes) }.into())?;
    Ok(attributes)
}

fn quotactl(dir: &OwnedFd, command: u32, id: u32, data: *mut libc::c_void) -> io::Result<()> {
    let dir: BorrowedFd<'_> = std::os::fd::AsFd::as_fd(dir);
    // SAFETY: both callers pass a live structure of the command's layout, the one for answers larger than any of them.
    check(unsafe { libc::syscall(libc::SYS_quotactl_fd, dir.as_raw_fd(), command, id, data) })
}

fn check(value: libc::c_long) -> io::Result<()> {
    match value {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_the_kernels() {
        assert_eq!(size_of::<Attributes>(), 28);
        assert_eq!(size_of::<Limit>(), 112);
        assert_eq!(SET_LIMIT, 0x0058_0402);
    }

    #[test]
    fn a_file_system_without_quotas_has_none() {
        assert!(Quotas::open(Path::new("/proc"), &[]).is_none());
    }
}
