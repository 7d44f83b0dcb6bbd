//! The one socket between parent and child while the child prepares itself. Both ends close on exec, so the parent
//! reads "end of file" when the exec has happened.
//!
//! ```text
//! child → parent: console (with a descriptor) · ready · failed(code, text)      parent → child: one byte per step
//! ```

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use crate::error::{Error, Result, doing};

/// What the parent tells the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// User and group ids are mapped.
    Mapped = b'M' as isize,
    /// Exec now.
    Go = b'G' as isize,
}

/// What the child tells the parent.
#[derive(Debug)]
pub enum Report {
    Console(OwnedFd),
    Ready,
    Failed(Error),
    /// The socket closed: the exec has happened, or the child is dead.
    Closed,
}

const CONSOLE: u8 = b'T';
const READY: u8 = b'R';
const FAILED: u8 = b'E';
/// A report is one packet; longer texts are cut.
const REPORT_MAX: usize = 4096;

pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(doing("make a socket pair"))
}

/// The child: wait for the parent to say `step`. If the parent is gone there is nobody to run for.
pub fn wait(socket: BorrowedFd<'_>, step: Step) -> Result<()> {
    let mut byte = [0u8];
    loop {
        match rustix::io::read(socket, &mut byte) {
            Ok(1) if byte[0] == step as u8 => return Ok(()),
            Err(Errno::INTR) => {}
            Err(e) => return Err(doing("wait for the shim")(e)),
            Ok(_) => return Err(Error::new("the shim went away while the container was prepared")),
        }
    }
}

pub fn tell(socket: BorrowedFd<'_>, step: Step) -> Result<(), Errno> {
    // A child that has already failed is heard of by its report.
    match rustix::net::send(socket, &[step as u8], SendFlags::NOSIGNAL) {
        Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Only `write` from here on: a filter may already be in force.
pub fn report_ready(socket: BorrowedFd<'_>) -> Result<()> {
    rustix::io::write(socket, &[READY])
        .map(drop)
        .map_err(doing("report to the shim"))
}

pub fn report_failure(socket: BorrowedFd<'_>, error: &Error) {
    let mut packet = vec![FAILED];
    packet.extend(error.code.to_le_bytes());
    packet.extend(error.message.bytes().take(REPORT_MAX - 5));
    let _ = rustix::io::write(socket, &packet);
}

pub fn report_console(socket: BorrowedFd<'_>, master: BorrowedFd<'_>) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [master];
    control.push(SendAncillaryMessage::ScmRights(&fds));
    rustix::net::sendmsg(
        socket,
        &[IoSlice::new(&[CONSOLE])],
        &mut control,
        SendFlags::NOSIGNAL,
    )
    .map(drop)
    .map_err(doing("hand the terminal to the shim"))
}

/// The parent: the child's next report.
pub fn next(socket: BorrowedFd<'_>) -> Result<Report> {
    let mut packet = [0u8; REPORT_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let length = loop {
        let mut buffers = [IoSliceMut::new(&mut packet)];
        match rustix::net::recvmsg(
            socket.as_fd(),
            &mut buffers,
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        ) {
            Ok(received) => break received.bytes,
            // A child that ended with something unread resets the connection; that is told once, before what it
            // had said itself.
            Err(Errno::INTR | Errno::CONNRESET) => {}
            Err(e) => return Err(doing("hear from the container's process")(e)),
        }
    };
    let console = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    Ok(match (&packet[..length], console) {
        ([], _) => Report::Closed,
        ([CONSOLE], Some(fd)) => Report::Console(fd),
        ([READY], _) => Report::Ready,
        ([FAILED, a, b, c, d, text @ ..], _) => Report::Failed(Error::with_code(
            i32::from_le_bytes([*a, *b, *c, *d]),
            String::from_utf8_lossy(text).into_owned(),
        )),
        _ => {
            return Err(Error::new(
                "the container's process sent a report that makes no sense",
            ));
        }
    })
}
