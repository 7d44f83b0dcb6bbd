//! A netlink socket: requests with their answers, dumps, notices.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use super::{Attributes, Message, Request};
use crate::error::{Error, Result};

const ANSWER_MS_MAX: u64 = 5_000;
/// The kernel builds dumps in parts of at most 32 KiB.
const DATAGRAM_BYTES_MAX: usize = 64 * 1024;
const SOL_NETLINK: i32 = 270;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const F_REQUEST: u16 = 1;
const F_ACK: u16 = 4;
const F_DUMP_INTERRUPTED: u16 = 0x10;
const F_DUMP: u16 = 0x300;
const F_ACK_HAS_TEXT: u16 = 0x200;
const ACK_ATTRIBUTE_TEXT: u16 = 1;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Family {
    Route,
    Netfilter,
    Generic,
}

#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// A socket of the calling thread's network namespace, for good.
    pub fn open(family: Family) -> Result<Socket> {
        // Protocol 0 is the routing family.
        let protocol: Option<Protocol> = match family {
            Family::Route => None,
            Family::Netfilter => Some(netlink::NETFILTER),
            Family::Generic => Some(netlink::GENERIC),
        };
        let what = "open netlink socket";
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )
        .map_err(|e| Error::io(what, e))?;
        let socket = Socket {
            fd,
            sequence: 1,
            buffer: Vec::new(),
        };
        // Errors with words, and without the whole request sent back. Old kernels know neither; nothing is lost.
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            let _ = socket.set(SOL_NETLINK, option, 1);
        }
        if matches!(family, Family::Netfilter) {
            // A table with thousands of ports is one write.
            let _ = socket.set(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, 16 << 20);
        }
        Ok(socket)
    }

    pub fn join_groups(&self, groups: &[i32]) -> Result<()> {
        // A socket without a number of its own is passed over by the kernel.
        rustix::net::bind(&self.fd, &netlink::SocketAddrNetlink::new(0, 0))
            .map_err(|e| Error::io("bind netlink socket", e))?;
        for group in groups {
            self.set(SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, *group)
                .map_err(|e| Error::io("join netlink group", e))?;
        }
        Ok(())
    }

    /// Messages that the program does not let through are never seen.
    pub fn accept_only(&self, program: &[libc::sock_filter]) -> Result<()> {
        let program = libc::sock_fprog {
            len: program.len() as u16,
            filter: program.as_ptr().cast_mut(),
        };
        // SAFETY: the program outlives the call, which copies it and changes nothing; its length is what we say.
        let result = unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const program).cast(),
                size_of::<libc::sock_fprog>() as libc::socklen_t,
            )
        };
        if result == 0 {
            Ok(())
        } else {
            Err(Error::io("filter netlink notices", io::Error::last_os_error()))
        }
    }

    /// The number that notices carry when this socket caused them. Known once something was sent.
    pub fn port(&self) -> u32 {
        // SAFETY: an all-zero sockaddr_nl is a valid one.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        let mut length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: address and length point to values that are ours, and length is the size of the address.
        let result =
            unsafe { libc::getsockname(self.fd.as_raw_fd(), (&raw mut address).cast(), &mut length) };
        if result == 0 { address.nl_pid } else { 0 }
    }

    /// Sends the messages and waits until every one is answered. The first refusal is the error; `name` says in it what
    /// message number n was to do. Answers carry the numbers of the messages that they belong to.
    pub fn exchange(
        &mut self,
        request: &mut Request,
        name: impl Fn(usize) -> String,
    ) -> Result<Vec<(usize, Message)>> {
        for message in 0..request.len() {
            request.add_flags(message, F_REQUEST | F_ACK);
        }
        let first = self.send(request, &name)?;
        let mut open = request.len();
        let mut answers = Vec::new();
        let mut refusal: Option<(usize, Error)> = None;
        while open > 0 {
            for message in self.receive(|| name(0))? {
                let at = message.sequence.wrapping_sub(first) as usize;
                if at >= request.len() {
                    continue;
                }
                match message.kind {
                    NLMSG_ERROR => {
                        open -= 1;
                        if let Some(error) = refused(&message, || name(at)) {
                            match &refusal {
                                Some((before, _)) if *before < at => {}
                                _ => refusal = Some((at, error)),
                            }
                        }
                    }
                    _ => answers.push((at, message)),
                }
            }
        }
        match refusal {
            Some((_, error)) => Err(error),
            None => Ok(answers),
        }
    }

    /// Sends an nftables batch: it is done as a whole or not at all. The first message begins it, the last ends it; one
    /// answer tells of all, and each refused message has its own.
    pub fn transact(&mut self, request: &mut Request, name: impl Fn(usize) -> String) -> Result<()> {
        let last = request.len().saturating_sub(2);
        for message in 0..request.len() {
            request.add_flags(message, F_REQUEST);
        }
        request.add_flags(last, F_ACK);
        let first = self.send(request, &name)?;
        let mut refusal = None;
        loop {
            for message in self.receive(|| name(last))? {
                let at = message.sequence.wrapping_sub(first) as usize;
                if message.kind != NLMSG_ERROR || at >= request.len() {
                    continue;
                }
                let error = refused(&message, || name(at));
                // An answer to the beginning speaks of the whole batch, and then no other comes.
                let ends = at == last || (at == 0 && error.is_some());
                refusal = refusal.or(error);
                if ends {
                    return refusal.map_or(Ok(()), Err);
                }
            }
        }
    }

    /// Everything of one kind that the kernel has. Asked again when it changed meanwhile.
    pub fn dump(&mut self, build: impl Fn(&mut Request), what: &str) -> Result<Vec<Message>> {
        for _ in 0..8 {
            let mut request = Request::new();
            build(&mut request);
            request.add_flags(0, F_REQUEST | F_DUMP);
            let first = self.send(&mut request, |_| what.to_owned())?;
            let mut messages = Vec::new();
            let mut interrupted = false;
            'reading: loop {
                for message in self.receive(|| what.to_owned())? {
                    if message.sequence != first {
                        continue;
                    }
                    interrupted |= message.flags & F_DUMP_INTERRUPTED != 0;
                    match message.kind {
                        NLMSG_DONE => match refused(&message, || what.to_owned()) {
                            Some(error) if error.errno() != Some(libc::EINTR) => return Err(error),
                            Some(_) => {
                                interrupted = true;
                                break 'reading;
                            }
                            None => break 'reading,
                        },
                        NLMSG_ERROR => match refused(&message, || what.to_owned()) {
                            Some(error) if error.errno() != Some(libc::EINTR) => return Err(error),
                            _ => {
                                interrupted = true;
                                break 'reading;
                            }
                        },
                        _ => messages.push(message),
                    }
                }
            }
            if !interrupted {
                return Ok(messages);
            }
        }
        Err(Error::Timeout {
            what: format!("{what}: it changes faster than it can be read"),
            waited_ms: 0,
        })
    }

    /// Notices that wait, without waiting for any. `None` when some were lost: whoever listens must look for itself.
    pub fn notices(&mut self) -> Result<Option<Vec<Message>>> {
        let mut messages = Vec::new();
        loop {
            match self.read(RecvFlags::DONTWAIT) {
                Ok(length) => messages.extend(Message::split(&self.buffer[..length])),
                Err(Errno::AGAIN) => return Ok(Some(messages)),
                Err(Errno::NOBUFS) => return Ok(None),
                Err(e) => return Err(Error::io("read netlink notices", e)),
            }
        }
    }

    fn send(&mut self, request: &mut Request, name: impl Fn(usize) -> String) -> Result<u32> {
        let first = self.sequence;
        self.sequence = self.sequence.wrapping_add(request.len() as u32);
        let bytes = request.finish(first);
        loop {
            match rustix::net::send(&self.fd, bytes, SendFlags::empty()) {
                Ok(_) => return Ok(first),
                Err(Errno::INTR) => continue,
                Err(e) => return Err(Error::io(name(0), e)),
            }
        }
    }

    fn receive(&mut self, what: impl Fn() -> String) -> Result<Vec<Message>> {
        let begin = Instant::now();
        loop {
            // Route requests are answered before the send returns: most often there is nothing to wait for.
            match self.read(RecvFlags::DONTWAIT) {
                Ok(length) => return Ok(Message::split(&self.buffer[..length])),
                Err(Errno::AGAIN) => {}
                Err(e) => return Err(Error::io(what(), e)),
            }
            let left = Duration::from_millis(ANSWER_MS_MAX).saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Err(Error::Timeout {
                    what: what(),
                    waited_ms: ANSWER_MS_MAX,
                });
            }
            let limit = Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            match poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&limit)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(Error::io(what(), e)),
            }
        }
    }

    fn read(&mut self, flags: RecvFlags) -> rustix::io::Result<usize> {
        self.buffer.resize(DATAGRAM_BYTES_MAX, 0);
        loop {
            match rustix::net::recv(&self.fd, &mut self.buffer[..], flags) {
                Ok((length, _)) => return Ok(length),
                Err(Errno::INTR) => continue,
                Err(e) => return Err(e),
            }
        }
    }

    fn set(&self, level: i32, option: i32, value: i32) -> io::Result<()> {
        // SAFETY: the value is an int that outlives the call, and its size is what we say.
        let result = unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                level,
                option,
                (&raw const value).cast(),
                size_of::<i32>() as libc::socklen_t,
            )
        };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What an answer refuses, if it does: its error number and the kernel's words for it.
fn refused(message: &Message, what: impl FnOnce() -> String) -> Option<Error> {
    let errno = message.u32(0).unwrap_or(0) as i32;
    if errno == 0 {
        return None;
    }
    // Behind the number stands the header of our request, then attributes.
    let said = (message.flags & F_ACK_HAS_TEXT != 0 && message.kind == NLMSG_ERROR)
        .then(|| {
            Attributes(message.body.get(20..).unwrap_or_default())
                .text(ACK_ATTRIBUTE_TEXT)
                .map(str::to_owned)
        })
        .flatten();
    Some(Error::Refused {
        what: what(),
        source: io::Error::from_raw_os_error(-errno),
        said,
    })
}
