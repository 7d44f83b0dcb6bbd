//! Having the disk begin with a file while more of it is coming: the sync at the end finds less.

use std::fs::File;
use std::os::fd::AsRawFd;

/// Bytes after which the disk is set to work.
const AHEAD: u64 = 8 << 20;
/// What is less is brought there by the sync as fast.
const LEAST: u64 = 64 << 10;

/// How much of a file the disk has not been told of.
#[derive(Debug, Default)]
pub(super) struct Ahead(u64);

impl Ahead {
    /// So many bytes more were written.
    pub fn wrote(&mut self, file: &File, bytes: u64) {
        self.0 += bytes;
        if self.0 >= AHEAD {
            self.begin(file);
        }
    }

    /// The disk begins with all there is, if that is worth a call.
    pub fn begin(&mut self, file: &File) {
        if std::mem::take(&mut self.0) >= LEAST {
            write_out(file, libc::SYNC_FILE_RANGE_WRITE);
        }
    }
}

/// What there is of the file is on its way to the disk, or there; it need not be found there after a power cut before it is
/// synced as well. That has less to do then: of many files the first sync brings the journal forward, which the others find so.
pub(super) fn wait(file: &File) {
    let all =
        libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    write_out(file, all);
}

/// sync_file_range(2) of the whole file. Whatever goes wrong is told again by the sync that must follow.
fn write_out(file: &File, how: libc::c_uint) {
    // SAFETY: a call with numbers only, on a descriptor that is open.
    unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, how) };
}
