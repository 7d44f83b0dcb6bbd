//! A stream that ends only when its end may be known.
//!
//! Clients ask for an exec's exit code as soon as its output has ended, and take none for success. The shim tells of the
//! end on another connection than the output's, so the two may come in any order.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub struct Ending<S> {
    stream: S,
    /// To be awaited between the last byte and the end.
    before: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<S> Ending<S> {
    pub fn new(stream: S, before: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            stream,
            before: Some(Box::pin(before)),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Ending<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        let over = read.is_err() || (buf.filled().len() == before && buf.remaining() > 0);
        if over && let Some(wait) = &mut self.before {
            ready!(wait.as_mut().poll(cx));
            self.before = None;
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Ending<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn bytes_come_at_once_and_the_end_waits() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let (noted, told) = tokio::sync::oneshot::channel::<()>();
        let mut stream = Ending::new(ours, async move {
            let _ = told.await;
        });
        theirs.write_all(b"out").await.unwrap();
        drop(theirs);
        let mut out = [0; 3];
        stream.read_exact(&mut out).await.unwrap();
        let end = stream.read_u8();
        tokio::pin!(end);
        assert!(futures_util::poll!(end.as_mut()).is_pending());
        noted.send(()).unwrap();
        assert!(end.await.is_err());
    }
}
