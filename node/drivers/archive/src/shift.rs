//! Ids of a container with a user namespace of its own, whose root shows them as the host's.

use std::os::fd::BorrowedFd;

use rustix::fs::fstat;

/// (inside, outside, how many).
pub type Extent = (u32, u32, u32);

/// What a running container's ids are to us. Nothing in it: they are the same.
#[derive(Clone, Debug, Default)]
pub struct Shift {
    pub uids: Vec<Extent>,
    pub gids: Vec<Extent>,
}

/// A shift where it counts: on the root's own file system. What is mounted below shows ids as they lie on the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shifted {
    shift: Shift,
    device: Option<u64>,
}

impl Shifted {
    pub fn new(shift: &Shift, root: BorrowedFd<'_>) -> Shifted {
        Shifted {
            shift: shift.clone(),
            device: fstat(root).ok().map(|s| s.st_dev),
        }
    }

    fn counts(&self, device: u64) -> bool {
        self.device == Some(device)
    }

    /// As the container sees the owner of something on `device`.
    pub fn inside(&self, device: u64, uid: u32, gid: u32) -> (u32, u32) {
        match self.counts(device) {
            true => (inside(&self.shift.uids, uid), inside(&self.shift.gids, gid)),
            false => (uid, gid),
        }
    }

    /// The other way round.
    pub fn outside(&self, device: u64, uid: u32, gid: u32) -> (u32, u32) {
        match self.counts(device) {
            true => (outside(&self.shift.uids, uid), outside(&self.shift.gids, gid)),
            false => (uid, gid),
        }
    }
}

fn inside(extents: &[Extent], id: u32) -> u32 {
    let found = extents.iter().find_map(|&(inside, outside, size)| {
        let offset = id.checked_sub(outside).filter(|offset| *offset < size)?;
        inside.checked_add(offset)
    });
    found.unwrap_or(id)
}

fn outside(extents: &[Extent], id: u32) -> u32 {
    let found = extents.iter().find_map(|&(inside, outside, size)| {
        let offset = id.checked_sub(inside).filter(|offset| *offset < size)?;
        outside.checked_add(offset)
    });
    found.unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_there_and_back() {
        let extents = [(0, 100_000, 1000), (1000, 5, 1)];
        for id in [0, 1, 999, 1000] {
            assert_eq!(inside(&extents, outside(&extents, id)), id);
        }
        assert_eq!(outside(&extents, 7), 100_007);
        assert_eq!(outside(&extents, 1001), 1001, "what has no id outside stays");
        assert_eq!(inside(&[], 3), 3);
    }
}
