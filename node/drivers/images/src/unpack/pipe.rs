//! Three threads for one layer: one decompresses, one hashes, and the caller's writes.
//!
//! ```text
//! source ─> decompress ─┬─> hash ─────> DiffID
//!                       └─> caller ───> files
//! ```

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use sha2::{Digest as _, Sha256};

use super::decompress;
use crate::digest::Digest;

const CHUNK: usize = 128 * 1024;
/// Chunks between two threads: bounds what a layer costs in memory.
const CHUNKS: usize = 8;

type Chunk = Arc<Vec<u8>>;

/// Has `write` read everything in `source`, decompressed; at most `bytes_max` of it. Returns what it returns, and the
/// digest of what it read, which must be all.
pub(super) fn run<T>(
    source: impl Read + Send,
    bytes_max: u64,
    write: impl FnOnce(&mut Chunks) -> io::Result<T>,
) -> io::Result<(T, Digest)> {
    let (to_write, chunks) = sync_channel(CHUNKS);
    let (to_hash, hashed) = sync_channel::<Chunk>(CHUNKS);
    thread::scope(|scope| {
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        let feed = move || feed(source, bytes_max, &to_write, &to_hash);
        named("layer-unpack").spawn_scoped(scope, feed)?;
        let hash = named("layer-hash").spawn_scoped(scope, move || {
            let mut hash = Sha256::new();
            while let Ok(chunk) = hashed.recv() {
                hash.update(&*chunk);
            }
            Digest::finish(hash)
        })?;
        let mut chunks = Chunks {
            chunks,
            current: Chunk::default(),
            at: 0,
        };
        let written = write(&mut chunks);
        // Who decompresses stops when nobody reads.
        drop(chunks);
        let digest = hash
            .join()
            .map_err(|_| io::Error::other("a hashing thread died"))?;
        Ok((written?, digest))
    })
}

/// An end of the channel without an error is the end of the layer.
fn feed(
    source: impl Read + Send,
    bytes_max: u64,
    to_write: &SyncSender<io::Result<Chunk>>,
    to_hash: &SyncSender<Chunk>,
) {
    let mut left = bytes_max;
    let mut plain = match decompress(source) {
        Ok((_, plain)) => plain,
        Err(error) => {
            let _ = to_write.send(Err(error));
            return;
        }
    };
    loop {
        let (bytes, failed) = chunk(&mut plain);
        let end = bytes.is_empty() && failed.is_none();
        let fits = left.checked_sub(bytes.len() as u64);
        if let Some(rest) = fits {
            left = rest;
            let bytes = Arc::new(bytes);
            if to_hash.send(bytes.clone()).is_err() || to_write.send(Ok(bytes)).is_err() {
                return;
            }
        }
        let too_large = || io::Error::new(io::ErrorKind::InvalidData, "the uncompressed layer is too large");
        let failed = failed.or_else(|| fits.is_none().then(too_large));
        if let Some(error) = failed {
            let _ = to_write.send(Err(error));
            return;
        }
        if end {
            return;
        }
    }
}

/// A full one, unless it is the last; and what kept it from being full, if that was not the end.
fn chunk(source: &mut impl Read) -> (Vec<u8>, Option<io::Error>) {
    let mut bytes = vec![0; CHUNK];
    let mut have = 0;
    let mut failed = None;
    while have < CHUNK && failed.is_none() {
        match source.read(&mut bytes[have..]) {
            Ok(0) => break,
            Ok(count) => have += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => failed = Some(error),
        }
    }
    bytes.truncate(have);
    (bytes, failed)
}

/// The decompressed bytes.
pub(super) struct Chunks {
    chunks: Receiver<io::Result<Chunk>>,
    current: Chunk,
    at: usize,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.current.len() {
            match self.chunks.recv() {
                Ok(chunk) => (self.current, self.at) = (chunk?, 0),
                Err(_) => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len() - self.at);
        buffer[..count].copy_from_slice(&self.current[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
