//! Streams and taken-over connections.

use futures_core::Stream;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};

/// A stream that a caller may drop at any time, which ends the work behind it.
pub type BoxStream<T> = Pin<Box<dyn Stream<Item = T> + Send>>;

/// Both directions of a byte stream. `shutdown()` closes one's own half only.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + ?Sized> Duplex for T {}

/// The far end of an attach or exec. Reading yields the bytes as the client is to get them: raw with a terminal, else in
/// Docker's 8-byte frames. Writing is stdin; `shutdown()` closes stdin and leaves the output alone. Reading ends when the
/// process has ended and everything it wrote was read.
pub struct Attached {
    pub tty: bool,
    pub stream: Box<dyn Duplex>,
}

impl std::fmt::Debug for Attached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attached")
            .field("tty", &self.tty)
            .finish_non_exhaustive()
    }
}
