//! Between async streams and threads that read or write archives, with a few buffers in flight. Either end may go at any
//! time; `ending` wakes a thread whose client does neither.

use crate::error::Error;
use futures_util::StreamExt;
use shoal_api_backend::{BoxStream, Bytes};
use std::io::{self, Read, Write};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;

const CHUNK: usize = 128 * 1024;
const CHUNKS: usize = 4;

/// What a thread writes, as a stream.
pub fn writer(ending: CancellationToken) -> (PipeWriter, BoxStream<Result<Bytes, Error>>) {
    let (to, from) = channel(CHUNKS);
    let writer = PipeWriter {
        to,
        ending,
        runtime: Handle::current(),
        pending: Vec::with_capacity(CHUNK),
    };
    (
        writer,
        Box::pin(tokio_stream::wrappers::ReceiverStream::new(from)),
    )
}

pub struct PipeWriter {
    to: Sender<Result<Bytes, Error>>,
    ending: CancellationToken,
    runtime: Handle,
    pending: Vec<u8>,
}

impl PipeWriter {
    fn send(&self, item: Result<Bytes, Error>) -> io::Result<()> {
        let sent = self.runtime.block_on(async {
            tokio::select! {
                sent = self.to.send(item) => sent.is_ok(),
                () = self.ending.cancelled() => false,
            }
        });
        match sent {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads any more")),
        }
    }

    /// Something that breaks the stream off, for whoever holds no writer any more.
    pub fn breaker(&self) -> impl FnOnce(Error) + Send + 'static {
        let (to, runtime, ending) = (self.to.clone(), self.runtime.clone(), self.ending.clone());
        move |error| {
            let _ = runtime.block_on(async {
                tokio::select! {
                    sent = to.send(Err(error)) => sent.is_ok(),
                    () = ending.cancelled() => false,
                }
            });
        }
    }
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK - self.pending.len());
        self.pending.extend_from_slice(&bytes[..count]);
        if self.pending.len() == CHUNK {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.pending, Vec::with_capacity(CHUNK));
        self.send(Ok(chunk.into()))
    }
}

/// A stream for a thread to read, and what feeds it and must be driven meanwhile.
pub fn reader(
    mut source: BoxStream<Result<Bytes, Error>>,
    ending: CancellationToken,
) -> (PipeReader, impl Future<Output = ()>) {
    let (to, from) = channel(CHUNKS);
    let feed = async move {
        loop {
            let item = tokio::select! {
                item = source.next() => item,
                // What is left is not wanted any more.
                () = to.closed() => return,
            };
            let Some(item) = item else { return };
            let last = item.is_err();
            if to.send(item).await.is_err() || last {
                return;
            }
        }
    };
    let reader = PipeReader {
        from,
        ending,
        runtime: Handle::current(),
        current: Bytes::new(),
    };
    (reader, feed)
}

pub struct PipeReader {
    from: Receiver<Result<Bytes, Error>>,
    ending: CancellationToken,
    runtime: Handle,
    current: Bytes,
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            let (from, ending) = (&mut self.from, &self.ending);
            let item = self.runtime.block_on(async {
                tokio::select! {
                    item = from.recv() => item,
                    () = ending.cancelled() => Some(Err(Error::system("the container is being started"))),
                }
            });
            match item {
                Some(Ok(chunk)) => self.current = chunk,
                Some(Err(error)) => return Err(io::Error::other(error.message)),
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}

/// Runs work that waits for a client on a thread of its own: the shared ones are for what ends by itself.
pub fn thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<impl Future<Output = Result<T, Error>>, Error> {
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("archive".into())
        .spawn(move || drop(done.send(work())))
        .map_err(crate::error::io("start a thread", "for an archive"))?;
    Ok(async move {
        match result.await {
            Ok(result) => result,
            Err(_) => Err(Error::system("the archive's thread ended early")),
        }
    })
}
