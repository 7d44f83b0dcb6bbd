//! The connection as hyper sees it, so that attach and exec can take it over.
//!
//! Clients without `Upgrade` expect attach and exec to answer `200 OK` and a raw stream without a length; hyper only hands
//! over connections that were upgraded. So this wrapper adds the header to such requests on the way in and turns the `101`
//! into that `200` on the way out. To know where requests begin it follows their framing, and never gives hyper bytes of
//! two requests at once: what is pipelined behind a takeover reaches the process, not a parser.

use crate::attention::Attention;
use crate::head::{
    Facts, Length, end_of_head, end_of_reply, with_escaped_target, with_upgrade, without_upgrade,
};
use crate::lane::{Lane, Past};
use crate::listen::local::Quiet;
use crate::listen::room::Idle;
use bytes::BytesMut;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// The most that a request's head may hold; hyper answers 431 beyond its own, smaller bound.
const HEAD_BYTES_MAX: usize = 512 << 10;
/// The most that the size line of a chunk or a trailer may hold.
const LINE_BYTES_MAX: usize = 16 << 10;
const READ_BYTES: usize = 16 << 10;
/// How long a client that still sends what nobody wants may take to read the answer, as with Go's server. A socket that is
/// closed before breaks its sending, and it says that instead of what it was told.
const LINGER: Duration = Duration::from_millis(500);

/// Set by the handler that takes the connection over, before its reply is written.
#[derive(Clone, Default, Debug)]
pub(crate) struct Taken(Arc<AtomicBool>);

impl Taken {
    pub fn take(&self) {
        self.0.store(true, Ordering::Release);
    }
    fn is_taken(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Where in the client's bytes we are.
#[derive(Debug, PartialEq)]
enum Place {
    /// Collecting a head.
    Head,
    /// This many bytes of a body are left.
    Body(u64),
    /// In a chunked body, collecting a line: the size of a chunk, or after the last one a trailer.
    ChunkLine { last: bool },
    /// This many bytes of a chunk and its line end are left.
    Chunk(u64),
    /// A request that may take over was given whole; what follows waits until it is decided.
    Undecided,
    /// Not HTTP any more, or never was: pass everything.
    Raw,
}

pub(crate) struct Connection<IO> {
    io: IO,
    taken: Taken,
    place: Place,
    /// The present request may take the connection over.
    may_take: bool,
    /// Read but not looked at yet.
    fresh: BytesMut,
    /// How much of `fresh` was searched for the end of a head.
    searched: usize,
    /// Looked at; may be given to hyper.
    cleared: BytesMut,
    ended: bool,
    /// A takeover's reply must be rewritten to what a client without `Upgrade` expects.
    rewrite: bool,
    /// What hyper has written of that reply's head.
    reply: Vec<u8>,
    /// Hears when hyper waits for a request, and when there is one.
    idle: Arc<Idle>,
    attention: Attention,
    /// Rewritten bytes on their way out.
    out: Vec<u8>,
    sent: usize,
    lane: Lane,
    /// hyper has seen nothing of the present body.
    untouched: bool,
    /// The present request's handler has had its turn to say whether it takes the body.
    asked: bool,
    /// The present body goes past hyper.
    past: Option<Past>,
    /// A handle on the socket for who reads bodies, if there is nothing between.
    socket: Option<Arc<OwnedFd>>,
    /// Our half is closed: how long the client's rest is still read.
    linger: Option<Pin<Box<Sleep>>>,
}

impl<IO> Connection<IO> {
    pub fn new(io: IO, taken: Taken, lane: Lane, idle: Arc<Idle>, attention: Attention) -> Self {
        Self {
            io,
            taken,
            place: Place::Head,
            may_take: false,
            fresh: BytesMut::new(),
            searched: 0,
            cleared: BytesMut::new(),
            ended: false,
            rewrite: false,
            reply: Vec::new(),
            idle,
            attention,
            out: Vec::new(),
            sent: 0,
            lane,
            untouched: false,
            asked: false,
            past: None,
            socket: None,
            linger: None,
        }
    }

    /// Bytes may be read from this socket as from `io`.
    pub fn on(mut self, socket: Option<Arc<OwnedFd>>) -> Self {
        self.socket = socket;
        self
    }

    /// The client has not come to the end of its request, as far as we know.
    fn is_sending(&self) -> bool {
        let within = matches!(
            self.place,
            Place::Body(_) | Place::Chunk(_) | Place::ChunkLine { .. } | Place::Raw
        );
        within && !self.ended && !self.taken.is_taken()
    }

    /// Clears bytes of the present request, as far as there are any.
    fn advance(&mut self) {
        while self.cleared.is_empty() {
            match self.place {
                Place::Raw => {
                    std::mem::swap(&mut self.cleared, &mut self.fresh);
                    return;
                }
                // hyper asks for more only when it has answered, or was told to take over.
                Place::Undecided => {
                    self.place = if self.taken.is_taken() {
                        Place::Raw
                    } else {
                        Place::Head
                    };
                    self.rewrite &= self.taken.is_taken();
                }
                Place::Head => {
                    let from = self.searched.saturating_sub(3);
                    match end_of_head(&self.fresh[from..]).map(|end| from + end) {
                        Some(end) => self.clear_head(end),
                        None if self.fresh.len() > HEAD_BYTES_MAX => self.place = Place::Raw,
                        None => {
                            self.searched = self.fresh.len();
                            return;
                        }
                    }
                }
                Place::Body(0) => self.place = self.next(),
                Place::Chunk(0) => self.place = Place::ChunkLine { last: false },
                Place::Body(left) => {
                    let Some(count) = self.clear(left) else { return };
                    self.place = if left == count {
                        self.next()
                    } else {
                        Place::Body(left - count)
                    };
                }
                Place::Chunk(left) => {
                    let Some(count) = self.clear(left) else { return };
                    self.place = Place::Chunk(left - count);
                }
                Place::ChunkLine { last } => match self.fresh.iter().position(|b| *b == b'\n') {
                    Some(end) => self.clear_chunk_line(end + 1, last),
                    None if self.fresh.len() > LINE_BYTES_MAX => self.place = Place::Raw,
                    None => return,
                },
            }
        }
    }

    /// Clears up to `limit` bytes; None when there are none.
    fn clear(&mut self, limit: u64) -> Option<u64> {
        let count = usize::try_from(limit).unwrap_or(usize::MAX).min(self.fresh.len());
        self.cleared = self.fresh.split_to(count);
        (count > 0).then_some(count as u64)
    }

    /// After a whole request.
    fn next(&mut self) -> Place {
        self.searched = 0;
        if self.may_take {
            Place::Undecided
        } else {
            Place::Head
        }
    }

    fn clear_head(&mut self, end: usize) {
        let mut head = self.fresh.split_to(end);
        if let Some(escaped) = with_escaped_target(&head) {
            head = BytesMut::from(&escaped[..]);
        }
        self.idle.works();
        self.attention.comes();
        self.lane.begin();
        self.past = None;
        self.untouched = true;
        self.asked = false;
        self.searched = 0;
        let facts = Facts::of(&head);
        self.may_take = facts.upgrade || facts.takes_over;
        self.rewrite = facts.takes_over && !facts.upgrade;
        self.place = match facts.length {
            Length::Chunked => Place::ChunkLine { last: false },
            Length::Bytes(0) => self.next(),
            Length::Bytes(count) => Place::Body(count),
        };
        self.cleared = match self.rewrite {
            true => BytesMut::from(&with_upgrade(&head)[..]),
            false => head,
        };
    }

    fn clear_chunk_line(&mut self, end: usize, last: bool) {
        let line = self.fresh.split_to(end);
        self.place = self.after_chunk_line(&line, last);
        self.cleared = line;
    }

    fn after_chunk_line(&mut self, line: &[u8], last: bool) -> Place {
        self.untouched = false;
        let text = String::from_utf8_lossy(line);
        let text = text.trim();
        if last {
            return match text.is_empty() {
                true => self.next(),
                false => Place::ChunkLine { last },
            };
        }
        match u64::from_str_radix(text.split(';').next().unwrap_or_default().trim(), 16) {
            Ok(0) => Place::ChunkLine { last: true },
            Ok(size) => Place::Chunk(size.saturating_add(2)),
            // hyper refuses it in its own words.
            Err(_) => Place::Raw,
        }
    }

    /// Looks at bytes of a body where they lie: how many of them belong to the present request, as far as they can be
    /// looked at. A line of a chunked body that is not whole yet is left.
    fn follow(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            let upto = |left: u64| usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
            match self.place {
                Place::Chunk(0) => self.place = Place::ChunkLine { last: false },
                Place::Body(left) | Place::Chunk(left) if left > 0 => {
                    let count = upto(left);
                    if count == 0 {
                        return at;
                    }
                    at += count;
                    let left = left - count as u64;
                    self.place = match self.place {
                        Place::Chunk(_) => Place::Chunk(left),
                        _ if left == 0 => self.next(),
                        _ => Place::Body(left),
                    };
                }
                Place::ChunkLine { last } => {
                    let Some(end) = rest.iter().position(|b| *b == b'\n') else {
                        return at;
                    };
                    self.place = self.after_chunk_line(&rest[..=end], last);
                    at += end + 1;
                }
                _ => return at,
            }
        }
    }

    /// Before a chunked body that nothing has been seen of.
    fn before_body(&self) -> bool {
        let before = self.place == Place::ChunkLine { last: false } && self.cleared.is_empty();
        before && self.untouched && !self.ended
    }

    /// Whether a handler takes such a body.
    fn goes_past(&self) -> bool {
        self.before_body() && self.lane.is_wanted()
    }

    fn in_body(&self) -> bool {
        matches!(
            self.place,
            Place::Body(_) | Place::Chunk(_) | Place::ChunkLine { .. }
        )
    }
}

impl<IO: AsyncRead + Quiet + Unpin> AsyncRead for Connection<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.goes_past() {
                this.untouched = false;
                match Past::begin(this.lane.clone(), &this.fresh.split(), this.socket.as_ref()) {
                    Ok(past) => {
                        if let Past::Thread(_) = past {
                            this.io.quiet();
                        }
                        this.past = Some(past);
                    }
                    Err(shown) => this.fresh.extend_from_slice(&shown),
                }
            }
            // hyper reads ahead before it asks the handler.
            if this.before_body() && !this.asked {
                this.asked = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Some(past) = &mut this.past {
                let shown = ready!(past.poll(&mut this.io, cx))?;
                this.past = None;
                match shown {
                    Some(shown) => this.fresh.extend_from_slice(&shown),
                    None => {
                        this.ended = true;
                        this.place = Place::Raw;
                    }
                }
            }
            this.advance();
            if !this.cleared.is_empty() {
                let count = this.cleared.len().min(buf.remaining());
                buf.put_slice(&this.cleared.split_to(count));
                return Poll::Ready(Ok(()));
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            if this.place == Place::Raw {
                return Pin::new(&mut this.io).poll_read(cx, buf);
            }
            if this.place == Place::Head {
                this.idle.waits();
            }
            if this.in_body() && this.fresh.is_empty() && buf.remaining() > 0 {
                // Straight to where hyper wants it: large bodies are not copied about.
                let before = buf.filled().len();
                ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
                let read = &buf.filled()[before..];
                if read.is_empty() {
                    this.ended = true;
                    this.place = Place::Raw;
                    continue;
                }
                let own = this.follow(read);
                this.fresh.extend_from_slice(&read[own..]);
                buf.set_filled(before + own);
                if own > 0 {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            // Nothing is held for a client that sends nothing.
            let read = this.poll_more(cx);
            if read.is_pending() && this.place == Place::Head && this.fresh.is_empty() {
                this.attention.waits();
            }
            if ready!(read)? == 0 {
                // Half a request: hyper says what is wrong with it.
                this.ended = true;
                this.place = Place::Raw;
            }
        }
    }
}

impl<IO: AsyncWrite + Unpin> Connection<IO> {
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        while self.sent < self.out.len() {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, &self.out[self.sent..]))?;
            if count == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.sent += count;
        }
        self.out.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + Unpin> Connection<IO> {
    /// Reads bytes behind those that are there, and says how many came.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        let mut space = [0u8; READ_BYTES];
        let mut more = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut more))?;
        self.fresh.extend_from_slice(more.filled());
        Poll::Ready(Ok(more.filled().len()))
    }

    /// Reads what nobody wants, until the client has gone or its time is over.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let over = self
            .linger
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        if over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut space = [0u8; READ_BYTES];
        loop {
            let mut rest = ReadBuf::new(&mut space);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut rest)) {
                Ok(()) if !rest.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Quiet + Unpin> AsyncWrite for Connection<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_out(cx))?;
        if !(this.rewrite && this.taken.is_taken()) {
            return Pin::new(&mut this.io).poll_write(cx, buf);
        }
        this.reply.extend_from_slice(buf);
        if let Some(end) = end_of_reply(&this.reply) {
            this.out = without_upgrade(&this.reply[..end]);
            this.out.extend_from_slice(&this.reply[end..]);
            this.reply = Vec::new();
            this.rewrite = false;
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_out(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_out(cx))?;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
        }
        if this.is_sending() {
            ready!(this.poll_rest(cx));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
