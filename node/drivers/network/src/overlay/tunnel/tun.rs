//! A TUN interface: packets as a file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use crate::error::{Error, Result};

const DEVICE: &str = "/dev/net/tun";
const SET_INTERFACE: libc::Ioctl = 0x4004_54ca_u32 as libc::Ioctl;
const TUN: u16 = 1;
const NO_HEADER: u16 = 0x1000;
/// One that is there already is not taken over.
const EXCLUSIVE: u16 = 0x8000;

/// `struct ifreq`, as far as this call reads it.
#[repr(C)]
struct Interface {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

pub(super) fn is_there() -> bool {
    OpenOptions::new().read(true).write(true).open(DEVICE).is_ok()
}

/// The interface is there as long as the file is open.
pub(super) fn create(name: &str) -> Result<File> {
    let what = || format!("create TUN interface {name}");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(DEVICE)
        .map_err(|e| Error::io(what(), e))?;
    let mut interface = Interface {
        name: [0; 16],
        flags: TUN | NO_HEADER | EXCLUSIVE,
        rest: [0; 22],
    };
    for (to, from) in interface.name.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    // SAFETY: the structure is as large as the kernel's `struct ifreq` and outlives the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), SET_INTERFACE, &raw mut interface) };
    if result != 0 {
        return Err(Error::io(what(), io::Error::last_os_error()));
    }
    Ok(file)
}
