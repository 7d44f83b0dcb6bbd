//! Staying awake for a client that asks again at once.
//!
//! A core that sleeps takes tens of microseconds to wake, longer than most answers take to make. So where a client has sent
//! request after request as soon as it had read an answer, a thread that is out of work looks at that client's socket for a
//! moment before it sleeps. Nobody is waited for who asked only once or asks slowly, nor when there are several at a time:
//! with them there is always something to do.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A client whose last request came within this time after the answer before it is expected to do so again. It covers the
/// waking of two cores, the client's and ours.
const SOON: Duration = Duration::from_micros(250);
/// The longest stay.
const AWAKE_MAX: Duration = Duration::from_micros(100);
/// Where two clients were expected at once, nobody is for this long.
const CROWDED: Duration = Duration::from_millis(1);

/// With one core there is nobody to wait for: the client could not run meanwhile.
static HAS_CORES: LazyLock<bool> =
    LazyLock::new(|| std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1));

/// Whether anybody is expected; looked at by every thread that is about to sleep.
static ANY: AtomicBool = AtomicBool::new(false);
static WATCH: Mutex<Watch> = Mutex::new(Watch {
    expected: None,
    crowded_until: None,
});

/// Of this process.
struct Watch {
    expected: Option<Expected>,
    crowded_until: Option<Instant>,
}

struct Expected {
    socket: Arc<OwnedFd>,
    until: Instant,
    /// A thread looks at it.
    watched: bool,
}

fn watch() -> MutexGuard<'static, Watch> {
    WATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of one connection.
#[derive(Default)]
pub(crate) struct Attention {
    /// None where there is no socket to look at.
    socket: Option<Arc<OwnedFd>>,
    /// There was a request before.
    asked: bool,
    /// When the last answer had been written and nothing had come yet.
    since: Option<Instant>,
    /// The last request came soon.
    quick: bool,
}

impl Attention {
    pub fn new(socket: Option<Arc<OwnedFd>>) -> Self {
        Self {
            socket,
            ..Self::default()
        }
    }

    /// Nothing has come yet.
    pub fn waits(&mut self) {
        let Some(socket) = self
            .socket
            .as_ref()
            .filter(|_| self.asked && self.since.is_none())
        else {
            return;
        };
        let now = Instant::now();
        self.since = Some(now);
        if !self.quick {
            return;
        }
        let mut watch = watch();
        if watch.expected.as_ref().is_some_and(|other| other.until > now) {
            watch.crowded_until = Some(now + CROWDED);
        }
        watch.expected = Some(Expected {
            socket: socket.clone(),
            until: now + AWAKE_MAX,
            watched: false,
        });
        ANY.store(true, Ordering::Relaxed);
    }

    /// A request has come.
    pub fn comes(&mut self) {
        self.quick = self.since.take().is_some_and(|since| since.elapsed() <= SOON);
        self.asked = true;
        self.forget();
    }

    fn forget(&self) {
        let Some(socket) = self.socket.as_ref().filter(|_| ANY.load(Ordering::Relaxed)) else {
            return;
        };
        let mut watch = watch();
        if watch
            .expected
            .as_ref()
            .is_some_and(|one| Arc::ptr_eq(&one.socket, socket))
        {
            watch.expected = None;
            ANY.store(false, Ordering::Relaxed);
        }
    }
}

impl Drop for Attention {
    fn drop(&mut self) {
        self.forget();
    }
}

/// To be called by each of the runtime's threads when it has nothing to do and is about to sleep: returns when the client
/// that is expected has sent something, or need not be waited for any longer.
pub fn stay_awake() {
    let _: Stay = stay();
}

#[derive(Debug, PartialEq)]
enum Stay {
    /// Nobody is expected, or not by this thread.
    None,
    UntilItCame,
    ToTheEnd,
}

fn stay() -> Stay {
    if !ANY.load(Ordering::Relaxed) || !*HAS_CORES {
        return Stay::None;
    }
    let (socket, until) = {
        let mut watch = watch();
        let crowded = watch.crowded_until.is_some_and(|until| until > Instant::now());
        match &mut watch.expected {
            Some(one) if !one.watched && !crowded => {
                one.watched = true;
                (one.socket.clone(), one.until)
            }
            _ => return Stay::None,
        }
    };
    while Instant::now() < until {
        let mut looked = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        if poll(&mut looked, PollTimeout::ZERO) != Ok(0) {
            return Stay::UntilItCame;
        }
    }
    Stay::ToTheEnd
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    fn connection() -> (UnixStream, Attention) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (theirs, Attention::new(Some(Arc::new(ours.into()))))
    }

    #[test]
    fn only_who_asks_at_once_and_alone_is_waited_for_and_not_for_long() {
        let (mut client, mut attention) = connection();
        attention.waits();
        attention.comes();
        attention.waits();
        assert_eq!(stay(), Stay::None, "it asked only once");
        std::thread::sleep(SOON * 2);
        attention.comes();
        attention.waits();
        assert_eq!(stay(), Stay::None, "it asks slowly");

        if !*HAS_CORES {
            return;
        }
        attention.quick = true;
        attention.since = None;
        attention.waits();
        assert_eq!(stay(), Stay::ToTheEnd);
        assert_eq!(stay(), Stay::None, "a second thread looks as well, or for longer");

        // Whatever else runs here, the test must not be late for its own client.
        let patient = || watch().expected.as_mut().unwrap().until += Duration::from_secs(60);
        attention.since = None;
        attention.waits();
        patient();
        client.write_all(b"x").unwrap();
        assert_eq!(stay(), Stay::UntilItCame);

        let (_other, mut second) = connection();
        (second.quick, second.asked) = (true, true);
        second.waits();
        assert!(watch().crowded_until.is_some(), "there are two");
        drop((attention, second));
        assert!(!ANY.load(Ordering::Relaxed));
    }
}
