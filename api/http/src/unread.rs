//! Whether the reader of a unix socket has taken what was written to it.

use nix::libc;
use std::os::fd::{AsRawFd, OwnedFd};

/// The kernel counts the memory that written and not yet read bytes occupy: hundreds of bytes for a single one. It holds
/// one more byte for a moment while it tells of the last that was read.
const EMPTY_MAX: libc::c_int = 1;

nix::ioctl_read_bad!(
    /// SIOCOUTQ, which has the same number.
    outq,
    libc::TIOCOUTQ,
    libc::c_int
);

/// True also where it cannot be known.
pub(crate) fn is_empty(socket: &OwnedFd) -> bool {
    let mut bytes = 0;
    // SAFETY: the descriptor is open and `bytes` is the int that this call fills.
    match unsafe { outq(socket.as_raw_fd(), &mut bytes) } {
        Ok(_) => bytes <= EMPTY_MAX,
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn empty_once_the_reader_has_taken_all() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let fd = ours.try_clone().unwrap().into();
        assert!(super::is_empty(&fd));
        ours.write_all(b"ab").unwrap();
        assert!(!super::is_empty(&fd));
        let mut one = [0];
        theirs.read_exact(&mut one).unwrap();
        assert!(!super::is_empty(&fd));
        theirs.read_exact(&mut one).unwrap();
        assert!(super::is_empty(&fd));
        ours.write_all(b"c").unwrap();
        drop(theirs);
        assert!(super::is_empty(&fd));
    }
}
