//! Who reads a body that goes past hyper: the connection itself, or a thread.

use super::giver::Giver;
use super::{Lane, Room};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::oneshot;

/// Threads at a time, over all connections.
const THREADS_MAX: usize = 4;
/// How long a thread may be there still when nobody needs it.
const PAUSE: Duration = Duration::from_millis(250);
/// A client that sends goes on within this time: the thread lets others run meanwhile, but does not sleep. To be woken for
/// each piece would cost both ends more than to carry it.
const AWAKE: Duration = Duration::from_micros(50);

static THREADS: AtomicUsize = AtomicUsize::new(0);

/// What hyper is to see, `None` at the end of the connection.
type Shown = Option<Vec<u8>>;

/// A body on its way past hyper.
pub(crate) enum Past {
    Here(Giver),
    /// Hears how it ended; nothing of a body that nobody takes any more.
    Thread(oneshot::Receiver<Option<io::Result<Shown>>>),
}

impl Past {
    /// Begins before the first chunk, with bytes that were read already; or says what hyper is to see if they are all.
    /// `socket` is what a thread may read.
    pub fn begin(lane: Lane, read: &[u8], socket: Option<&Arc<OwnedFd>>) -> Result<Past, Vec<u8>> {
        let giver = match Giver::begin(lane, read) {
            (_, Some(shown)) => return Err(shown),
            (giver, None) => giver,
        };
        let (Some(socket), Some(place)) = (socket.cloned(), ThreadPlace::take()) else {
            return Ok(Past::Here(giver));
        };
        let (tell, told) = oneshot::channel();
        let read = move || {
            let ended = read_on(giver, &socket, || tell.is_closed());
            drop((socket, place));
            let _ = tell.send(ended);
        };
        // Without a thread nothing is told.
        let _ = std::thread::Builder::new().name("api-upload".into()).spawn(read);
        Ok(Past::Thread(told))
    }

    /// Ready when there is something that hyper is to see.
    pub fn poll<IO: AsyncRead + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Shown>> {
        let giver = match self {
            Past::Here(giver) => giver,
            Past::Thread(told) => {
                return match ready!(Pin::new(told).poll(cx)) {
                    Ok(Some(ended)) => Poll::Ready(ended),
                    // The connection is closed when its answer is written.
                    Ok(None) => Poll::Pending,
                    Err(_) => Poll::Ready(Err(io::Error::other("cannot start a thread to read a body"))),
                };
            }
        };
        loop {
            ready!(giver.lane.poll_room(cx));
            let mut space = ReadBuf::new(giver.space());
            ready!(Pin::new(&mut *io).poll_read(cx, &mut space))?;
            let count = space.filled().len();
            if let Some(shown) = giver.took(count) {
                return Poll::Ready(Ok(shown));
            }
        }
    }
}

/// Blocks until the body is over, nobody takes it any more, or nobody is to be told.
fn read_on(mut giver: Giver, socket: &OwnedFd, closed: impl Fn() -> bool) -> Option<io::Result<Shown>> {
    let mut idle = None;
    loop {
        match giver.lane.wait_room(PAUSE) {
            Room::Free => {}
            Room::Full if !closed() => continue,
            _ => return None,
        }
        match recv(socket, giver.space(), RecvFlags::DONTWAIT) {
            Ok((count, _)) => {
                idle = None;
                if let Some(shown) = giver.took(count) {
                    return Some(Ok(shown));
                }
            }
            Err(Errno::AGAIN) if idle.get_or_insert_with(Instant::now).elapsed() < AWAKE => {
                std::thread::yield_now();
            }
            Err(Errno::AGAIN) => {
                let limit = Timespec::try_from(PAUSE).ok();
                let mut readable = [PollFd::new(socket, PollFlags::IN)];
                match poll(&mut readable, limit.as_ref()) {
                    Ok(0) if closed() => return None,
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Some(Err(error.into())),
                }
            }
            Err(Errno::INTR) => {}
            Err(error) => return Some(Err(error.into())),
        }
    }
}

/// One of few.
struct ThreadPlace;

impl ThreadPlace {
    fn take() -> Option<ThreadPlace> {
        let taken = THREADS.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
            (count < THREADS_MAX).then_some(count + 1)
        });
        taken.ok().map(|_| ThreadPlace)
    }
}

impl Drop for ThreadPlace {
    fn drop(&mut self) {
        THREADS.fetch_sub(1, Ordering::AcqRel);
    }
}
