//! Decompressing and hashing on the thread that writes, and when that is better than three threads.

use std::io::{self, BufRead, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sha2::{Digest as _, Sha256};

use super::pipe::{Chunk, too_large};
use crate::bridge::read_filled;
use crate::digest::Digest;

/// Layers that are being decompressed in this process, whose processors they share.
static TURNS: AtomicUsize = AtomicUsize::new(0);

/// One of them.
pub(super) struct Turn {
    others: usize,
}

impl Turn {
    pub fn take() -> Turn {
        Turn {
            others: TURNS.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Whether each processor has a layer with this one.
    pub fn is_last(&self) -> bool {
        self.others + 1 >= thread::available_parallelism().map_or(1, usize::from)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        TURNS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Decompresses and hashes for the thread that reads it.
pub(super) struct Alone<R> {
    plain: R,
    left: u64,
    hash: Sha256,
    chunk: Chunk,
    at: usize,
    /// What kept the chunk from being full.
    failed: Option<io::Error>,
}

impl<R: Read> Alone<R> {
    pub fn new(plain: R, left: u64) -> Alone<R> {
        Alone {
            plain,
            left,
            hash: Sha256::new(),
            chunk: Chunk::new(),
            at: 0,
            failed: None,
        }
    }

    /// Of what was read, which must be all.
    pub fn digest(self) -> Digest {
        Digest::finish(self.hash)
    }

    /// What came before something failed is read before that is told.
    fn next(&mut self) -> io::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.failed = self.chunk.fill(&mut self.plain);
        self.at = 0;
        let len = self.chunk.bytes().len();
        if let Some(error) = self.failed.take_if(|_| len == 0) {
            return Err(error);
        }
        let Some(left) = self.left.checked_sub(len as u64) else {
            self.at = len;
            return Err(too_large());
        };
        self.left = left;
        self.hash.update(self.chunk.bytes());
        Ok(())
    }
}

impl<R: Read> Read for Alone<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_filled(self, buffer)
    }
}

impl<R: Read> BufRead for Alone<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.chunk.bytes().len() {
            self.next()?;
        }
        Ok(&self.chunk.bytes()[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives what it has, and then fails.
    struct Broken<'a>(&'a [u8]);

    impl Read for Broken<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::ErrorKind::InvalidData.into()),
                count => Ok(count),
            }
        }
    }

    #[test]
    fn all_is_read_and_hashed_and_no_more_than_was_said() {
        let bytes: Vec<u8> = (0..300_000).map(|n| (n / 3) as u8).collect();
        for len in [0, 1, 128 * 1024, 128 * 1024 + 1, bytes.len()] {
            let (source, mut got) = (&bytes[..len], Vec::new());
            let mut alone = Alone::new(source, len as u64);
            alone.read_to_end(&mut got).expect("read");
            assert!(got == source);
            assert_eq!(alone.digest(), Digest::of(source));
            if let Some(fewer) = len.checked_sub(1) {
                let mut alone = Alone::new(source, fewer as u64);
                let refused = alone.read_to_end(&mut Vec::new());
                assert_eq!(refused.expect_err("too much").kind(), io::ErrorKind::InvalidData);
            }
            let mut got = Vec::new();
            let broken = Alone::new(Broken(source), u64::MAX).read_to_end(&mut got);
            assert_eq!(broken.expect_err("broken").kind(), io::ErrorKind::InvalidData);
            assert!(got == source, "what came before is read");
        }
    }
}
