//! The way of large bodies: past hyper, in large pieces of memory that is used again and again.
//!
//! ```text
//! socket ─> Connection ─┬─> hyper ─> handler    heads, words, and all that is small
//!                       └─> Lane ──> handler    a chunked body that a handler takes as it comes
//! ```
//!
//! hyper stands before the first chunk meanwhile. It is shown the last one and what follows, or whatever of the framing is
//! out of the ordinary, and judges that.

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes of one piece of memory: what was read stays in a core's cache until it is used.
const BLOCK_BYTES: usize = 128 << 10;
/// A read that could bring less than this waits for the next block.
const ROOM_BYTES_MIN: usize = 16 << 10;
/// Bytes that may wait for the handler.
const WAITING_BYTES_MAX: usize = 512 << 10;
/// Blocks kept for the rest of the body.
const SPARE_MAX: usize = 16;
/// Chunks smaller than this are put together.
const SMALL_BYTES: usize = 1 << 10;
/// The longest size line that is understood here.
const LINE_BYTES_MAX: usize = 18;

/// Between a connection and who handles its requests.
#[derive(Clone, Default)]
pub(crate) struct Lane(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// Which request of the connection.
    request: u64,
    /// Its body is taken this way.
    wanted: bool,
    waiting: VecDeque<Bytes>,
    bytes: usize,
    taker: Option<Waker>,
    giver: Option<Waker>,
}

impl Inner {
    fn next(&mut self) -> Option<Bytes> {
        let piece = self.waiting.pop_front()?;
        self.bytes -= piece.len();
        if let Some(giver) = self.giver.take() {
            giver.wake();
        }
        Some(piece)
    }
}

impl Lane {
    /// A request has come.
    pub fn begin(&self) {
        let mut inner = self.lock();
        inner.request += 1;
        inner.wanted = false;
        inner.waiting.clear();
        inner.bytes = 0;
    }

    pub fn is_wanted(&self) -> bool {
        self.lock().wanted
    }

    /// The bytes of the present request's body, whichever way they come.
    pub fn take(&self, body: Body) -> Pieces {
        let mut inner = self.lock();
        inner.wanted = true;
        Pieces {
            lane: self.clone(),
            request: inner.request,
            body: Some(body.into_data_stream()),
        }
    }

    fn give(&self, piece: Bytes) {
        let mut inner = self.lock();
        inner.bytes += piece.len();
        inner.waiting.push_back(piece);
        if let Some(taker) = inner.taker.take() {
            taker.wake();
        }
    }

    /// Ready when more may be given. Never when nobody takes it any more: the connection is closed then.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if inner.wanted && inner.bytes < WAITING_BYTES_MAX {
            return Poll::Ready(());
        }
        inner.giver = Some(cx.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a handler reads.
pub(crate) struct Pieces {
    lane: Lane,
    request: u64,
    /// None at its end.
    body: Option<BodyDataStream>,
}

impl Stream for Pieces {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let waiting = |waker: Option<&Waker>| {
            let mut inner = this.lane.lock();
            if inner.request != this.request {
                return None;
            }
            inner.taker = waker.cloned();
            inner.next()
        };
        if let Some(piece) = waiting(Some(cx.waker())) {
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
                Poll::Ready(waiting(None).map(Ok))
            }
        }
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        let mut inner = self.lane.lock();
        if inner.request == self.request {
            inner.wanted = false;
            inner.waiting.clear();
            inner.bytes = 0;
        }
    }
}

/// Where in a chunked body we are.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// In a size line.
    Line,
    /// So many bytes of a chunk are left.
    Chunk(u64),
    /// So many bytes of the line end behind a chunk are left.
    End(u8),
}

/// A body on its way from the socket to a handler.
pub(crate) struct Giver {
    lane: Lane,
    place: Place,
    /// What of the present size line came before.
    line: Vec<u8>,
    block: Box<[u8]>,
    filled: usize,
    /// Where in the block there is something for the handler.
    runs: Vec<Range<usize>>,
    spare: Arc<Spare>,
}

impl Giver {
    /// Begins before the first chunk, with bytes that were read already. With what hyper is to see if that is all.
    pub fn begin(lane: Lane, read: &[u8]) -> (Giver, Option<Vec<u8>>) {
        let mut giver = Giver {
            lane,
            place: Place::Line,
            line: Vec::new(),
            block: vec![0; BLOCK_BYTES.max(read.len())].into(),
            filled: 0,
            runs: Vec::new(),
            spare: Arc::default(),
        };
        giver.block[..read.len()].copy_from_slice(read);
        let rest = giver.look_at(read.len());
        if rest.is_some() || giver.is_full() {
            giver.hand_over();
        }
        (giver, rest)
    }

    /// Passes on what comes, until there is something that hyper is to see: `None` if that is the end of the connection.
    pub fn poll<IO: AsyncRead + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<std::io::Result<Option<Vec<u8>>>> {
        loop {
            ready!(self.lane.poll_room(cx));
            let mut space = ReadBuf::new(&mut self.block[self.filled..]);
            ready!(Pin::new(&mut *io).poll_read(cx, &mut space))?;
            let count = space.filled().len();
            let rest = self.look_at(count);
            if count == 0 || rest.is_some() || self.is_full() {
                self.hand_over();
            }
            if count == 0 || rest.is_some() {
                return Poll::Ready(Ok(rest));
            }
        }
    }

    fn is_full(&self) -> bool {
        self.block.len() - self.filled < ROOM_BYTES_MIN
    }

    /// Follows so many new bytes where they lie; what hyper is to see, if there is something.
    fn look_at(&mut self, count: usize) -> Option<Vec<u8>> {
        let (mut at, end) = (self.filled, self.filled + count);
        self.filled = end;
        while at < end {
            match self.place {
                Place::Chunk(left) => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(end - at);
                    self.add(at..at + count);
                    at += count;
                    self.place = match left - count as u64 {
                        0 => Place::End(2),
                        left => Place::Chunk(left),
                    };
                }
                Place::End(left) => {
                    let due = if left == 2 { b'\r' } else { b'\n' };
                    if self.block[at] != due {
                        // Nothing that hyper would take for a chunk.
                        return Some(b"?\r\n".to_vec());
                    }
                    at += 1;
                    self.place = match left {
                        2 => Place::End(1),
                        _ => Place::Line,
                    };
                }
                Place::Line => {
                    let rest = &self.block[at..end];
                    let ended = rest.iter().position(|byte| *byte == b'\n');
                    let line = &rest[..ended.map_or(rest.len(), |last| last + 1)];
                    at += line.len();
                    self.line.extend_from_slice(line);
                    let size = match ended {
                        Some(_) => size_of_chunk(&self.line),
                        None if self.line.len() <= LINE_BYTES_MAX => return None,
                        None => None,
                    };
                    let Some(size) = size else {
                        let mut shown = std::mem::take(&mut self.line);
                        shown.extend_from_slice(&self.block[at..end]);
                        return Some(shown);
                    };
                    self.line.clear();
                    self.place = Place::Chunk(size);
                }
            }
        }
        None
    }

    fn add(&mut self, run: Range<usize>) {
        match self.runs.last_mut() {
            Some(last) if last.end == run.start => last.end = run.end,
            Some(last) if run.len() < SMALL_BYTES => {
                self.block.copy_within(run.clone(), last.end);
                last.end += run.len();
            }
            _ => self.runs.push(run),
        }
    }

    fn hand_over(&mut self) {
        self.filled = 0;
        if self.runs.is_empty() {
            return;
        }
        let next = self.spare.lock().pop();
        let next = next.unwrap_or_else(|| vec![0; BLOCK_BYTES].into());
        let block = Bytes::from_owner(Block {
            memory: std::mem::replace(&mut self.block, next),
            spare: self.spare.clone(),
        });
        for run in self.runs.drain(..) {
            self.lane.give(block.slice(run));
        }
    }
}

/// The size in a line that holds nothing else; `None` of the last chunk, too.
fn size_of_chunk(line: &[u8]) -> Option<u64> {
    let digits = line.strip_suffix(b"\r\n")?;
    let plain = digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| plain)?;
    u64::from_str_radix(text, 16).ok().filter(|size| *size > 0)
}

/// Memory that is not in use.
#[derive(Default)]
struct Spare(Mutex<Vec<Box<[u8]>>>);

impl Spare {
    fn lock(&self) -> MutexGuard<'_, Vec<Box<[u8]>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory in use, which goes back.
struct Block {
    memory: Box<[u8]>,
    spare: Arc<Spare>,
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.memory
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let mut spare = self.spare.lock();
        if spare.len() < SPARE_MAX {
            spare.push(std::mem::take(&mut self.memory));
        }
    }
}
