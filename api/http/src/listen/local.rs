//! A unix socket of which the runtime can be told to take no notice for a while: another thread reads it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// What requests come on.
pub(crate) trait Quiet {
    /// The runtime is not woken by what comes, until there is something to be read or written here again.
    fn quiet(&mut self) {}
}

impl Quiet for tokio::net::TcpStream {}
impl Quiet for tokio::io::DuplexStream {}
impl<IO> Quiet for tokio_rustls::server::TlsStream<IO> {}

pub(crate) struct Local {
    /// None after the runtime has refused it.
    socket: Option<Socket>,
}

enum Socket {
    Watched(UnixStream),
    Quiet(std::os::unix::net::UnixStream),
}

impl Local {
    pub fn new(socket: UnixStream) -> Local {
        Local {
            socket: Some(Socket::Watched(socket)),
        }
    }

    fn watched(&mut self) -> io::Result<&mut UnixStream> {
        if let Some(Socket::Quiet(_)) = self.socket
            && let Some(Socket::Quiet(socket)) = self.socket.take()
        {
            self.socket = Some(Socket::Watched(UnixStream::from_std(socket)?));
        }
        match &mut self.socket {
            Some(Socket::Watched(socket)) => Ok(socket),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn is_quiet(&self) -> bool {
        matches!(self.socket, Some(Socket::Quiet(_)))
    }
}

impl Quiet for Local {
    fn quiet(&mut self) {
        self.socket = match self.socket.take() {
            Some(Socket::Watched(socket)) => socket.into_std().ok().map(Socket::Quiet),
            other => other,
        };
    }
}

impl AsyncRead for Local {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(self.watched()?).poll_read(cx, buf)
    }
}

impl AsyncWrite for Local {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.watched()?).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_quiet() {
            // Nothing is held back by a socket.
            return Poll::Ready(Ok(()));
        }
        Pin::new(self.watched()?).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.watched()?).poll_shutdown(cx)
    }
}
