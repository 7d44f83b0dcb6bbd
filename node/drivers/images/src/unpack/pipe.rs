//! Three threads for one layer: one decompresses, one hashes, and the caller's writes. The buffers go round. Where there is
//! nothing to do but to write, the caller reads by itself. So it does where each processor has a layer to work at: more
//! threads would only carry the bytes from one processor's cache to another's.
//!
//! ```text
//! source ─> decompress ─┬─> hash ─────> DiffID
//!                       └─> caller ───> files
//! ```

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use sha2::{Digest as _, Sha256};

use super::alone::{Alone, Turn};
use super::compression::{Plain, uncompressed};
use crate::bridge::read_filled;
use crate::digest::Digest;

const CHUNK: usize = 128 * 1024;
/// Chunks between two threads: bounds what a layer costs in memory.
const CHUNKS: usize = 8;

/// Bytes that the two readers share; the buffer goes back to whom it came from.
#[derive(Debug)]
pub(super) struct Chunk {
    bytes: Box<[u8]>,
    len: usize,
}

impl Chunk {
    pub fn new() -> Chunk {
        Chunk {
            bytes: vec![0; CHUNK].into(),
            len: 0,
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Fills it, unless the source ends; says what kept it from being full, if that was not the end.
    pub fn fill(&mut self, source: &mut impl Read) -> Option<io::Error> {
        self.len = 0;
        while self.len < self.bytes.len() {
            match source.read(&mut self.bytes[self.len..]) {
                Ok(0) => break,
                Ok(count) => self.len += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Some(error),
            }
        }
        None
    }
}

/// Has `write` read everything in `source`, decompressed; at most `bytes_max` of it. Returns what it returns, and the
/// digest of what it read, which must be all. `hashed_plain` says that the source is being hashed elsewhere: of one that is
/// not compressed that is the digest, and none is returned.
pub(super) fn run<T>(
    source: impl BufRead + Send,
    bytes_max: u64,
    hashed_plain: bool,
    write: impl FnOnce(&mut dyn BufRead) -> io::Result<T>,
) -> io::Result<(T, Option<Digest>)> {
    let plain: Box<dyn Read + Send> = match uncompressed(source)?.1 {
        Plain::AsItIs(plain) if hashed_plain => {
            let left = bytes_max;
            return Ok((write(&mut Bounded { plain, left })?, None));
        }
        Plain::AsItIs(plain) => Box::new(plain),
        Plain::Uncompressed(plain) => plain,
    };
    let turn = Turn::take();
    if turn.is_last() {
        let mut alone = Alone::new(plain, bytes_max);
        let written = write(&mut alone)?;
        return Ok((written, Some(alone.digest())));
    }
    let (to_write, chunks) = sync_channel(CHUNKS);
    let (to_hash, hashed) = sync_channel::<Arc<Chunk>>(CHUNKS);
    thread::scope(|scope| {
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        let feed = move || feed(plain, bytes_max, &to_write, &to_hash);
        named("layer-unpack").spawn_scoped(scope, feed)?;
        let hash = named("layer-hash").spawn_scoped(scope, move || {
            let mut hash = Sha256::new();
            while let Ok(chunk) = hashed.recv() {
                hash.update(chunk.bytes());
            }
            Digest::finish(hash)
        });
        let mut chunks = Chunks {
            chunks,
            current: None,
            at: 0,
        };
        let written = write(&mut chunks);
        // Who decompresses stops when nobody reads.
        drop(chunks);
        let digest = hash?.join();
        let digest = digest.map_err(|_| io::Error::other("a hashing thread died"))?;
        Ok((written?, Some(digest)))
    })
}

/// An end of the channel without an error is the end of the layer.
fn feed(
    mut plain: impl Read,
    bytes_max: u64,
    to_write: &SyncSender<io::Result<Arc<Chunk>>>,
    to_hash: &SyncSender<Arc<Chunk>>,
) {
    let mut left = bytes_max;
    let mut round: Vec<Arc<Chunk>> = Vec::new();
    loop {
        let free = round.iter_mut().position(|chunk| Arc::get_mut(chunk).is_some());
        let mut next = free.map_or_else(|| Arc::new(Chunk::new()), |free| round.swap_remove(free));
        let Some(chunk) = Arc::get_mut(&mut next) else {
            continue;
        };
        let failed = chunk.fill(&mut plain);
        let len = chunk.len;
        let fits = left.checked_sub(len as u64);
        if let Some(rest) = fits.filter(|_| len > 0) {
            left = rest;
            if to_hash.send(next.clone()).is_err() || to_write.send(Ok(next.clone())).is_err() {
                return;
            }
            round.push(next);
        }
        let failed = failed.or_else(|| fits.is_none().then(too_large));
        if let Some(error) = failed {
            let _ = to_write.send(Err(error));
            return;
        }
        if len == 0 {
            return;
        }
    }
}

pub(super) fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the uncompressed layer is too large")
}

/// A source of which no more than so many bytes are read.
struct Bounded<R> {
    plain: R,
    left: u64,
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_filled(self, buffer)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let there = self.plain.fill_buf()?;
        if self.left == 0 && !there.is_empty() {
            return Err(too_large());
        }
        let count = there.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        Ok(&there[..count])
    }

    fn consume(&mut self, count: usize) {
        self.left -= count as u64;
        self.plain.consume(count);
    }
}

/// The decompressed bytes.
struct Chunks {
    chunks: Receiver<io::Result<Arc<Chunk>>>,
    current: Option<Arc<Chunk>>,
    at: usize,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_filled(self, buffer)
    }
}

impl BufRead for Chunks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.as_ref().is_none_or(|chunk| self.at == chunk.len) {
            // Given back before the next one is waited for.
            self.current = None;
            match self.chunks.recv() {
                Ok(chunk) => (self.current, self.at) = (Some(chunk?), 0),
                Err(_) => break,
            }
        }
        Ok(self
            .current
            .as_ref()
            .map_or(&[], |chunk| &chunk.bytes()[self.at..]))
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}
