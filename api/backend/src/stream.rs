//! Streams and taken-over connections.

use crate::error::Result;
use bytes::Bytes;
use futures_core::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::io::{AsyncRead, AsyncWrite};

/// A stream that a caller may drop at any time, which ends the work behind it.
pub type BoxStream<T> = Pin<Box<dyn Stream<Item = T> + Send>>;

/// A body of which not every byte need be carried to who takes it.
pub struct Upload {
    pub pieces: BoxStream<Result<Bytes>>,
    /// Who takes it raises this: bytes before this offset in the body are of no use any more. They still count, and come, but
    /// may come as zeros.
    pub wanted_from: Arc<AtomicU64>,
}

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
