//! Between async streams and blocking readers and writers, with a few buffers in flight.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Bytes that are written at a time.
const CHUNK: usize = 256 * 1024;
const CHUNKS: usize = 8;
/// Bytes, or pieces, that are read at a time; and such batches under way.
const BATCH: usize = 1024 * 1024;
const PIECES_MAX: usize = 128;
const BATCHES: usize = 2;

/// Gives a blocking thread something to read, and a future that feeds it and must be driven meanwhile.
pub(crate) fn reader(
    mut from: impl Stream<Item = io::Result<Bytes>> + Unpin,
) -> (BridgeReader, impl Future<Output = ()>) {
    let (to, source) = channel(BATCHES);
    let feed = async move {
        // Clients send in small pieces, and to wake a thread for each takes longer than to use it.
        let (mut batch, mut bytes) = (VecDeque::new(), 0);
        loop {
            let item = from.next().await;
            let failed = match item {
                Some(Ok(chunk)) => {
                    bytes += chunk.len();
                    batch.push_back(chunk);
                    if bytes < BATCH && batch.len() < PIECES_MAX {
                        continue;
                    }
                    None
                }
                other => Some(other.and_then(Result::err)),
            };
            bytes = 0;
            if to.send(Ok(std::mem::take(&mut batch))).await.is_err() {
                return;
            }
            if let Some(end) = failed {
                if let Some(error) = end {
                    let _ = to.send(Err(error)).await;
                }
                return;
            }
        }
    };
    (
        BridgeReader {
            source,
            batch: VecDeque::new(),
            current: Bytes::new(),
            place: Arc::default(),
        },
        feed,
    )
}

#[derive(Debug)]
pub(crate) struct BridgeReader {
    source: Receiver<io::Result<VecDeque<Bytes>>>,
    batch: VecDeque<Bytes>,
    current: Bytes,
    place: Arc<AtomicU64>,
}

impl BridgeReader {
    /// For who reads it by way of others: raises `wanted_from` to the offset before which no bytes are of use.
    pub fn passing(&self, wanted_from: Arc<AtomicU64>) -> Passing {
        Passing {
            place: self.place.clone(),
            wanted_from,
        }
    }
}

/// Tells who brings the bytes of a [`BridgeReader`] which of them it need not carry.
#[derive(Debug)]
pub(crate) struct Passing {
    /// How many were read.
    place: Arc<AtomicU64>,
    wanted_from: Arc<AtomicU64>,
}

impl Passing {
    /// So many that come next are only read to be passed over.
    pub fn over(&self, bytes: u64) {
        let from = self.place.load(Ordering::Relaxed).saturating_add(bytes);
        self.wanted_from.fetch_max(from, Ordering::Relaxed);
    }
}

/// `read` for whoever has a buffer of its own: copies from that.
pub(crate) fn read_filled(reader: &mut impl BufRead, buffer: &mut [u8]) -> io::Result<usize> {
    let there = reader.fill_buf()?;
    let count = buffer.len().min(there.len());
    buffer[..count].copy_from_slice(&there[..count]);
    reader.consume(count);
    Ok(count)
}

impl Read for BridgeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_filled(self, buffer)
    }
}

impl BufRead for BridgeReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() {
            match self.batch.pop_front() {
                Some(chunk) => self.current = chunk,
                None => match self.source.blocking_recv() {
                    Some(batch) => self.batch = batch?,
                    None => break,
                },
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, count: usize) {
        self.current.advance(count);
        self.place.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// Gives a blocking thread something to write to, and what it writes as a stream.
pub(crate) fn writer() -> (
    BridgeWriter,
    impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
) {
    let (to, mut from) = channel(CHUNKS);
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
