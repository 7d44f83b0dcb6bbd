//! Listing directories in the order of their names, with bounded memory.

use std::ffi::CString;
use std::os::fd::OwnedFd;

use rustix::fs::Dir;
use rustix::io::Errno;

/// Names sorted at a time. A directory with more comes in runs of this many, each sorted.
const RUN_MAX: usize = 1 << 16;

/// An open directory and what is still to be seen of it.
pub struct Listing {
    pub fd: OwnedFd,
    entries: Dir,
    /// Last name first.
    run: Vec<CString>,
}

impl Listing {
    pub fn open(fd: OwnedFd) -> Result<Listing, Errno> {
        Ok(Listing {
            entries: Dir::read_from(&fd)?,
            fd,
            run: Vec::new(),
        })
    }

    pub fn next(&mut self) -> Result<Option<CString>, Errno> {
        if self.run.is_empty() {
            while self.run.len() < RUN_MAX
                && let Some(entry) = self.entries.next()
            {
                let name = entry?.file_name().to_owned();
                if !matches!(name.to_bytes(), b"." | b"..") {
                    self.run.push(name);
                }
            }
            self.run.sort_unstable_by(|a, b| b.cmp(a));
        }
        Ok(self.run.pop())
    }
}
