//! Typing the detach keys hangs up: a client's line that watches for them, for attach and exec alike.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Ctrl-P, Ctrl-Q.
const DEFAULT: [u8; 2] = [16, 17];

/// Keys being looked for in what is typed.
pub struct Keys {
    keys: Vec<u8>,
    /// How many of them were typed last; they are held back until it is clear what they are.
    matched: usize,
}

impl Keys {
    /// `ctrl-p,ctrl-q`, `a`, `ctrl-[`; nothing is Docker's own.
    pub fn parse(text: &str) -> Option<Keys> {
        let keys = match text {
            "" => DEFAULT.to_vec(),
            text => text.split(',').map(key).collect::<Option<Vec<u8>>>()?,
        };
        Some(Keys { keys, matched: 0 })
    }

    /// What a client asked for, as inspect shows it: bytes in base64, nothing where it left the choice to us.
    pub fn given(text: &str) -> String {
        let keys = Keys::parse(text).filter(|_| !text.is_empty());
        keys.map_or_else(String::new, |keys| BASE64_STANDARD.encode(keys.keys))
    }

    /// Puts what goes through into `out`; true when the keys are complete.
    pub(crate) fn feed(&mut self, typed: &[u8], out: &mut Vec<u8>) -> bool {
        for byte in typed {
            if *byte != self.keys[self.matched] {
                out.extend_from_slice(&self.keys[..self.matched]);
                self.matched = 0;
                if *byte != self.keys[0] {
                    out.push(*byte);
                    continue;
                }
            }
            self.matched += 1;
            if self.matched == self.keys.len() {
                return true;
            }
        }
        false
    }
}

fn key(word: &str) -> Option<u8> {
    match (word.strip_prefix("ctrl-"), word.as_bytes()) {
        (Some("@"), _) => Some(0),
        (Some("["), _) => Some(27),
        (Some("\\"), _) => Some(28),
        (Some("]"), _) => Some(29),
        (Some("^"), _) => Some(30),
        (Some("_"), _) => Some(31),
        (Some(letter), _) => match letter.as_bytes() {
            [c @ b'a'..=b'z'] => Some(c - b'a' + 1),
            _ => None,
        },
        (None, [one]) => Some(*one),
        _ => None,
    }
}

/// A stream whose writer may hang up by its keys. Then reading ends too, and `told` is called; what is at the far end
/// runs on.
pub struct Detachable<S> {
    /// None once hung up.
    stream: Option<S>,
    keys: Keys,
    /// Typed and not written yet.
    pending: Vec<u8>,
    reader: Option<Waker>,
    told: Option<Box<dyn FnOnce() + Send>>,
}

impl<S: AsyncWrite + Unpin> Detachable<S> {
    pub fn new(stream: S, keys: Keys, told: impl FnOnce() + Send + 'static) -> Self {
        Detachable {
            stream: Some(stream),
            keys,
            pending: Vec::new(),
            reader: None,
            told: Some(Box::new(told)),
        }
    }

    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() {
            let Some(stream) = &mut self.stream else {
                self.pending.clear();
                break;
            };
            let count = ready!(Pin::new(stream).poll_write(cx, &self.pending))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.pending.drain(..count);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Detachable<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Ok(()));
        };
        let read = Pin::new(stream).poll_read(cx, buf);
        if read.is_pending() {
            self.reader = Some(cx.waker().clone());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Detachable<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, typed: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_pending(cx))?;
        if this.stream.is_none() {
            return Poll::Ready(Ok(typed.len()));
        }
        let detached = this.keys.feed(typed, &mut this.pending);
        // What the far end does not take at once goes with the next write or flush.
        let written = this.poll_pending(cx);
        if detached {
            this.stream = None;
            if let Some(told) = this.told.take() {
                told();
            }
            if let Some(reader) = this.reader.take() {
                reader.wake();
            }
        }
        match written {
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            _ => Poll::Ready(Ok(typed.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(cx))?;
        match &mut self.stream {
            Some(stream) => Pin::new(stream).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Half of the keys and then the end: they were meant for the process.
        let matched = std::mem::take(&mut self.keys.matched);
        let held = self.keys.keys[..matched].to_vec();
        self.pending.extend(held);
        ready!(self.poll_pending(cx))?;
        match &mut self.stream {
            Some(stream) => Pin::new(stream).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn fed(keys: &mut Keys, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut out = Vec::new();
        let detached = keys.feed(typed, &mut out);
        (out, detached)
    }

    #[test]
    fn key_words() {
        let keys = |text| Keys::parse(text).map(|k| k.keys);
        assert_eq!(keys("ctrl-p,ctrl-q"), Some(vec![16, 17]));
        assert_eq!(keys(""), Some(vec![16, 17]));
        assert_eq!(keys("ctrl-[,x"), Some(vec![27, b'x']));
        assert_eq!(keys("ctrl-aa"), None);
        assert_eq!(keys("bad-x"), None);
    }

    #[test]
    fn half_of_the_keys_is_held_back_until_it_is_clear_what_it_is() {
        let mut keys = Keys::parse("ctrl-p,ctrl-q").expect("keys");
        assert_eq!(fed(&mut keys, b"ab"), (b"ab".to_vec(), false));
        assert_eq!(fed(&mut keys, &[b'x', 16]), (b"x".to_vec(), false));
        assert_eq!(fed(&mut keys, b"y"), (vec![16, b'y'], false));
        assert_eq!(fed(&mut keys, &[16, 16]), (vec![16], false));
        assert_eq!(fed(&mut keys, &[17]), (vec![], true));
        let mut one = Keys::parse("q").expect("keys");
        assert_eq!(fed(&mut one, b"abq"), (b"ab".to_vec(), true));
    }

    #[tokio::test]
    async fn hanging_up_ends_the_reading_side_and_leaves_the_far_end_alone() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let told = Arc::new(AtomicBool::new(false));
        let tell = told.clone();
        let keys = Keys::parse("").expect("keys");
        let line = Detachable::new(ours, keys, move || tell.store(true, Ordering::SeqCst));
        let (mut reader, mut writer) = tokio::io::split(line);
        let reading = tokio::spawn(async move { reader.read_u8().await.is_err() });
        tokio::task::yield_now().await;
        writer.write_all(&[b'a', 16]).await.expect("written");
        writer.write_all(&[17]).await.expect("written");
        assert!(reading.await.expect("ended"));
        assert!(told.load(Ordering::SeqCst));
        let mut seen = Vec::new();
        theirs.read_to_end(&mut seen).await.expect("read");
        assert_eq!(seen, b"a");
    }
}
