//! Between async streams and blocking readers and writers, with a few buffers in flight.

use std::io::{self, BufRead, Read, Write};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Bytes that are written at a time.
const CHUNK: usize = 256 * 1024;
const CHUNKS_OUT: usize = 8;
/// Clients send in smaller pieces.
const CHUNKS_IN: usize = 32;

/// Gives a blocking thread something to read, and a future that feeds it and must be driven meanwhile.
pub(crate) fn reader(
    mut from: impl Stream<Item = io::Result<Bytes>> + Unpin,
) -> (BridgeReader, impl Future<Output = ()>) {
    let (to, source) = channel(CHUNKS_IN);
    let feed = async move {
        while let Some(item) = from.next().await {
            let last = item.is_err();
            if to.send(item).await.is_err() || last {
                return;
            }
        }
    };
    (
        BridgeReader {
            source,
            current: Bytes::new(),
        },
        feed,
    )
}

#[derive(Debug)]
pub(crate) struct BridgeReader {
    source: Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Read for BridgeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let there = self.fill_buf()?;
        let count = buffer.len().min(there.len());
        buffer[..count].copy_from_slice(&there[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for BridgeReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() {
            match self.source.blocking_recv() {
                Some(chunk) => self.current = chunk?,
                None => break,
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, count: usize) {
        self.current.advance(count);
    }
}

/// Gives a blocking thread something to write to, and what it writes as a stream.
pub(crate) fn writer() -> (
    BridgeWriter,
    impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
) {
    let (to, mut from) = channel(CHUNKS_OUT);
    let stream = futures_util::stream::poll_fn(move |cx| from.poll_recv(cx));
    (
        BridgeWriter {
            to,
            pending: Vec::new(),
        },
        stream,
    )
}

#[derive(Debug)]
pub(crate) struct BridgeWriter {
    to: Sender<io::Result<Bytes>>,
    pending: Vec<u8>,
}

impl BridgeWriter {
    /// Makes the reader fail instead of ending.
    pub fn fail(self, error: io::Error) {
        let _ = self.to.blocking_send(Err(error));
    }

    /// So many bytes of a source, which must have them.
    pub fn copy(&mut self, source: &mut impl Read, size: u64) -> io::Result<()> {
        let mut left = size;
        while left > 0 {
            let room = (CHUNK - self.pending.len()) as u64;
            self.pending.reserve_exact(CHUNK - self.pending.len());
            let count = source.take(room.min(left)).read_to_end(&mut self.pending)? as u64;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= count;
            if self.pending.len() >= CHUNK {
                self.flush()?;
            }
        }
        Ok(())
    }
}

impl Write for BridgeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK - self.pending.len());
        self.pending.extend_from_slice(&bytes[..count]);
        if self.pending.len() >= CHUNK {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.pending) {
            pending if pending.is_empty() => Ok(()),
            pending => {
                let sent = self.to.blocking_send(Ok(Bytes::from(pending)));
                sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads any more"))
            }
        }
    }
}
