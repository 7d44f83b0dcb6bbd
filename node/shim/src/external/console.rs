//! The socket on which a runtime hands over a terminal's master side.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags};
use rustix::termios::Winsize;

/// Relative to the run directory, where the runtime is started: the whole path may be too long for a socket.
pub const NAME: &str = "console.sock";
/// The runtime has ended by then, so the terminal is on its way.
const ARRIVES_MAX: Duration = Duration::from_secs(5);

pub struct Console {
    listener: OwnedFd,
    path: PathBuf,
    size: Option<(u16, u16)>,
}

impl Console {
    pub fn listen(dir: &Path, size: Option<(u16, u16)>) -> rustix::io::Result<Self> {
        Ok(Self {
            listener: crate::start::listen(dir, NAME)?,
            path: dir.join(NAME),
            size,
        })
    }

    pub fn receive(self) -> io::Result<OwnedFd> {
        readable(&self.listener)?;
        let socket = rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC)?;
        readable(&socket)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut name = [0u8; 4096];
        let mut parts = [io::IoSliceMut::new(&mut name)];
        rustix::net::recvmsg(&socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let master = control
            .drain()
            .find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
                _ => None,
            })
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the runtime sent no terminal"))?;
        if let Some((ws_col, ws_row)) = self.size {
            let size = Winsize {
                ws_col,
                ws_row,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            rustix::termios::tcsetwinsize(&master, size)?;
        }
        Ok(master)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn readable(fd: &OwnedFd) -> io::Result<()> {
    let limit = Timespec::try_from(ARRIVES_MAX).ok();
    let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)];
    match poll(&mut fds, limit.as_ref())? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}
