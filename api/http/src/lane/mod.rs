//! The way of large bodies: past hyper, in large pieces of memory that is used again and again.
//!
//! ```text
//! socket ─> Connection ─┬─> hyper ─> handler    heads, words, and all that is small
//!                       └─> Lane ──> handler    a chunked body that a handler takes as it comes
//! ```
//!
//! hyper stands before the first chunk meanwhile. It is shown the last one and what follows, or whatever of the framing is
//! out of the ordinary, and judges that. What a handler has no use for is followed, but not carried. From a unix socket a
//! thread of its own reads: waking one costs less than waking the runtime for every piece that a client writes.

mod giver;
mod past;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

pub(crate) use past::Past;

/// Bytes that may wait for the handler.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// So many wake it, or the end.
const WORTH_BYTES: usize = 1 << 20;

/// For bytes that count, but are of no use. Nobody reads them, so there is no memory behind.
static ZEROS: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(vec![0; 32 << 20]));

/// Between a connection and who handles its requests.
#[derive(Clone, Default)]
pub(crate) struct Lane(Arc<Shared>);

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    /// More may be given, or nobody wants it any more.
    room: Condvar,
}

/// Whether a handler takes more.
enum Room {
    Free,
    Full,
    /// It takes nothing any more.
    Gone,
}

#[derive(Default)]
struct Inner {
    /// Which request of the connection.
    request: u64,
    /// Its body is taken this way.
    wanted: bool,
    /// The offset before which its bytes are of no use; raised by the handler.
    wanted_from: Arc<AtomicU64>,
    waiting: VecDeque<Waiting>,
    /// Of pieces that are waiting.
    bytes: usize,
    taker: Option<Waker>,
    giver: Option<Waker>,
}

enum Waiting {
    Piece(Bytes),
    /// So many bytes that are of no use.
    Unwanted(u64),
}

impl Inner {
    fn room(&self) -> Room {
        match self.wanted {
            false => Room::Gone,
            true if self.bytes < WAITING_BYTES_MAX => Room::Free,
            true => Room::Full,
        }
    }

    /// Nobody wants what is here.
    fn clear(&mut self) {
        self.wanted = false;
        self.waiting.clear();
        self.bytes = 0;
    }
}

impl Lane {
    /// A request has come.
    pub fn begin(&self) {
        let mut inner = self.lock();
        inner.request += 1;
        inner.clear();
    }

    pub fn is_wanted(&self) -> bool {
        self.lock().wanted
    }

    /// The bytes of the present request's body, whichever way they come.
    pub fn take(&self, body: Body) -> Pieces {
        let mut inner = self.lock();
        inner.wanted = true;
        inner.wanted_from = Arc::default();
        Pieces {
            lane: self.clone(),
            request: inner.request,
            body: Some(body.into_data_stream()),
        }
    }

    fn wanted_from(&self) -> Arc<AtomicU64> {
        self.lock().wanted_from.clone()
    }

    /// So many bytes have come that are of no use.
    fn pass(&self, count: u64) {
        self.lock().waiting.push_back(Waiting::Unwanted(count));
    }

    fn give(&self, piece: Bytes) {
        let mut inner = self.lock();
        inner.bytes += piece.len();
        inner.waiting.push_back(Waiting::Piece(piece));
        if inner.bytes >= WORTH_BYTES
            && let Some(taker) = inner.taker.take()
        {
            drop(inner);
            taker.wake();
        }
    }

    /// Takes the next piece of a request's body; without one `waker` is told when it is worth coming.
    fn next(&self, request: u64, waker: Option<&Waker>) -> Option<Bytes> {
        let mut inner = self.lock();
        if inner.request != request {
            return None;
        }
        let piece = match inner.waiting.pop_front() {
            Some(Waiting::Piece(piece)) => piece,
            Some(Waiting::Unwanted(count)) => {
                let part = ZEROS.len().min(usize::try_from(count).unwrap_or(usize::MAX));
                let rest = count - part as u64;
                if rest > 0 {
                    inner.waiting.push_front(Waiting::Unwanted(rest));
                }
                return Some(ZEROS.slice(..part));
            }
            None => {
                inner.taker = waker.cloned();
                return None;
            }
        };
        let full = matches!(inner.room(), Room::Full);
        inner.bytes -= piece.len();
        if full && matches!(inner.room(), Room::Free) {
            self.0.room.notify_one();
            if let Some(giver) = inner.giver.take() {
                giver.wake();
            }
        }
        Some(piece)
    }

    /// Ready when more may be given. Never when nobody takes it any more: the connection is closed then.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if matches!(inner.room(), Room::Free) {
            return Poll::Ready(());
        }
        inner.giver = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The same for a thread, which waits so long at most.
    fn wait_room(&self, limit: Duration) -> Room {
        let full = |inner: &mut Inner| matches!(inner.room(), Room::Full);
        let waited = self.0.room.wait_timeout_while(self.lock(), limit, full);
        waited.unwrap_or_else(PoisonError::into_inner).0.room()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a handler reads.
pub(crate) struct Pieces {
    lane: Lane,
    request: u64,
    /// None at its end.
    body: Option<BodyDataStream>,
}

impl Pieces {
    /// To be raised to the offset before which no bytes are of use any more: those may come as zeros.
    pub fn wanted_from(&self) -> Arc<AtomicU64> {
        self.lane.wanted_from()
    }
}

impl Stream for Pieces {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(piece) = this.lane.next(this.request, Some(cx.waker())) {
            return Poll::Ready(Some(Ok(piece)));
        }
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        match ready!(body.poll_next_unpin(cx)) {
            Some(piece) => Poll::Ready(Some(piece)),
            None => {
                this.body = None;
                // The last pieces may have come since.
                Poll::Ready(this.lane.next(this.request, None).map(Ok))
            }
        }
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        let mut inner = self.lane.lock();
        if inner.request == self.request {
            inner.clear();
            self.lane.0.room.notify_one();
        }
    }
}
