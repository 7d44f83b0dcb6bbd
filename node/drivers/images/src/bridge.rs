//! Between async streams and blocking readers and writers, with a few buffers in flight.

use std::io::{self, Read, Write};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc::{Receiver, Sender, channel};

const CHUNK: usize = 128 * 1024;
const CHUNKS: usize = 8;

/// Gives a blocking thread something to read, and a future that feeds it and must be driven meanwhile.
pub(crate) fn reader(mut from: impl AsyncRead + Unpin) -> (BridgeReader, impl Future<Output = ()>) {
    let (to, source) = channel(CHUNKS);
    let feed = async move {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            let item = match from.read_buf(&mut chunk).await {
                Ok(0) => return,
                Ok(_) => Ok(Bytes::from(chunk)),
                Err(error) => Err(error),
            };
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
        while self.current.is_empty() {
            match self.source.blocking_recv() {
                Some(chunk) => self.current = chunk?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}

/// Gives a blocking thread something to write to, and what it writes as an async reader.
pub(crate) fn writer() -> (BridgeWriter, impl AsyncRead + Send + Unpin + 'static) {
    let (to, mut from) = channel(CHUNKS);
    let stream = futures_util::stream::poll_fn(move |cx| from.poll_recv(cx));
    (
        BridgeWriter {
            to,
            pending: Vec::new(),
        },
        tokio_util::io::StreamReader::new(stream),
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
}

impl Write for BridgeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
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
