//! Those who read what is still coming.

use std::io::{self, BufRead, Read};
use std::sync::Arc;

use bytes::Bytes;

use super::{Found, Growing, STEP, Who};
use crate::bridge::read_filled;
use crate::store::block::{BLOCK, Block};

/// Reads from its beginning, waiting for what has not come yet. Blocks.
#[derive(Debug)]
pub(crate) struct GrowingReader {
    from: Growing,
    /// From the first read on: before, nobody is to wait for it.
    reader: Option<u64>,
    at: u64,
    block: Option<Arc<Block>>,
}

impl GrowingReader {
    pub(super) fn new(from: Growing) -> GrowingReader {
        GrowingReader {
            from,
            reader: None,
            at: 0,
            block: None,
        }
    }
}

impl BufRead for GrowingReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let reader = *self
            .reader
            .get_or_insert_with(|| self.from.enter(self.at, Who::Unpacks));
        let has = |block: &Arc<Block>| block.from(self.at).is_some();
        while !self.block.as_ref().is_some_and(has) {
            let (found, past) = {
                let inner = &self.from.0;
                let mut state = inner.state.lock();
                loop {
                    match self.from.look(&mut state, reader, self.at)? {
                        Some(found) => break (found, state.past),
                        None => inner.grown.wait(&mut state),
                    }
                }
            };
            let block = match found {
                Found::End => return Ok(&[]),
                Found::Block(block) => block,
                Found::File(file, there) => {
                    let spare = self.block.take().and_then(|block| Arc::try_unwrap(block).ok());
                    Arc::new(read_block(spare, &file, self.at, there, past)?)
                }
            };
            self.block = Some(block);
        }
        let rest = self.block.as_ref().and_then(|block| block.from(self.at));
        Ok(rest.unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.at += count as u64;
    }
}

impl Read for GrowingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_filled(self, buffer)
    }
}

impl Drop for GrowingReader {
    fn drop(&mut self) {
        if let Some(reader) = self.reader {
            self.from.leave(reader);
        }
    }
}

/// Passes it on from an offset, piece by piece. Nothing of it is known to be right: who gets it has to see.
#[derive(Debug)]
pub(crate) struct Passing {
    from: Growing,
    reader: u64,
    at: u64,
    block: Option<Arc<Block>>,
}

impl Passing {
    pub(super) fn new(from: Growing, at: u64) -> Passing {
        let reader = from.enter(at, Who::PassesOn);
        Passing {
            from,
            reader,
            at,
            block: None,
        }
    }

    /// Bytes that have come; the number changes as long as something comes.
    pub fn seen(&self) -> u64 {
        self.from.seen()
    }

    /// The next bytes, so many at most; none at the end. May be dropped and asked again.
    pub async fn next(&mut self, max: usize) -> io::Result<Bytes> {
        loop {
            if let Some(piece) = self.block.as_ref().and_then(|block| block.piece(self.at, max)) {
                self.at += piece.len() as u64;
                return Ok(piece);
            }
            self.block = None;
            let moved = self.from.0.moved.notified();
            tokio::pin!(moved);
            // Before it is looked: what comes between is not missed.
            moved.as_mut().enable();
            let (found, past) = {
                let mut state = self.from.0.state.lock();
                (self.from.look(&mut state, self.reader, self.at)?, state.past)
            };
            match found {
                None => moved.await,
                Some(Found::End) => return Ok(Bytes::new()),
                Some(Found::Block(block)) => self.block = Some(block),
                Some(Found::File(file, there)) => {
                    let at = self.at;
                    let read = move || read_block(None, &file, at, there, past);
                    let read = tokio::task::spawn_blocking(read).await;
                    self.block = Some(Arc::new(read.map_err(io::Error::other)??));
                }
            }
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.from.leave(self.reader);
    }
}

/// A block that has the byte at `at`, from the file: a whole one where it goes `past` the page cache.
pub(in crate::store) fn read_block(
    spare: Option<Block>,
    file: &std::fs::File,
    at: u64,
    there: u64,
    past: bool,
) -> io::Result<Block> {
    let mut block = match spare {
        Some(block) => block,
        None => Block::new()?,
    };
    match past {
        true => block.read(file, at / BLOCK as u64 * BLOCK as u64, there)?,
        false => block.read(file, at, there.min(at + STEP))?,
    }
    match block.from(at) {
        Some(_) => Ok(block),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
