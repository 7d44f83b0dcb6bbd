//! The driver against hostile archives, links that change under it, and the kernel's mounts. Needs root.

mod changes;
mod hostile;
mod mutated;
mod races;
mod trees;
mod views;

use rustix::fs::{Mode, OFlags};
use std::os::fd::OwnedFd;
use std::path::Path;

fn open(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).expect("opened")
}

/// One entry of an archive, with nothing checked: the names that no writer would write.
fn entry(kind: u8, name: &str, link: &str, data: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[156] = kind;
    header.set_mode(0o755);
    header.set_mtime(5);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(data.len() as u64);
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    let mut out = header.as_bytes().to_vec();
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}
