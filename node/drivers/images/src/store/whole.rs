//! A blob that is whole, piece by piece for another node.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::blobs::LARGE;
use crate::store::block::{Block, set_direct};
use crate::store::growing::read_block;

/// Blocks that go round: one is read while pieces of others are on their way. More are made for who holds more.
const ROUND: usize = 3;

/// A large one is read past the page cache, as it was written.
#[derive(Debug)]
pub(crate) struct Whole {
    file: File,
    past: bool,
    size: u64,
    at: u64,
    block: Option<Arc<Block>>,
    round: Vec<Arc<Block>>,
}

impl Store {
    /// From an offset on. Whoever reads it keeps it from the collector.
    pub fn whole(&self, digest: &Digest, at: u64) -> Result<Whole> {
        let file = self.open_blob(digest)?;
        let size = file.metadata();
        let size = size.map_err(|e| Error::storage("read blob", &self.paths.blob(digest), e))?;
        let size = size.len();
        Ok(Whole {
            past: size >= LARGE && set_direct(&file, true),
            file,
            size,
            at,
            block: None,
            round: Vec::new(),
        })
    }
}

impl Whole {
    /// The next bytes, so many at most; none at the end. Blocks.
    pub fn next(&mut self, max: usize) -> io::Result<Bytes> {
        if self.at >= self.size {
            return Ok(Bytes::new());
        }
        loop {
            if let Some(piece) = self.block.as_ref().and_then(|block| block.piece(self.at, max)) {
                self.at += piece.len() as u64;
                return Ok(piece);
            }
            if let Some(done) = self.block.take().filter(|_| self.round.len() < ROUND) {
                self.round.push(done);
            }
            let free = self.round.iter().position(|block| Arc::strong_count(block) == 1);
            let spare = free.and_then(|free| Arc::into_inner(self.round.swap_remove(free)));
            let block = read_block(spare, &self.file, self.at, self.size, self.past)?;
            self.block = Some(Arc::new(block));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    use crate::store::BlobWriter;
    use crate::store::growing::Growing;

    /// As it came: a large one past the page cache.
    fn stored(store: &Store, bytes: &[u8]) -> Digest {
        let growing = Growing::new(bytes.len() as u64);
        let mut writer = BlobWriter::new(store)
            .expect("writer")
            .coming(&growing)
            .expect("begun");
        writer.write_all(bytes).expect("write");
        writer.store(store, None).expect("store").0
    }

    #[test]
    fn all_of_it_comes_from_any_offset() {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("dir");
        let store = Store::open(folder.path(), None).expect("store");
        let large: Vec<u8> = (0..LARGE as usize + 777).map(|n| (n / 7) as u8).collect();
        let small = large[..900_000].to_vec();
        for bytes in [&large, &small, &Vec::new()] {
            let digest = stored(&store, bytes);
            for from in [0, 5, 700_001, bytes.len(), bytes.len() + 1] {
                let mut whole = store.whole(&digest, from as u64).expect("open");
                assert!(!whole.past || bytes.len() as u64 >= LARGE);
                // Some are held on to, as by a slow reader.
                let (mut got, mut held) = (Vec::new(), Vec::new());
                loop {
                    let piece = whole.next(200_000).expect("read");
                    if piece.is_empty() {
                        break;
                    }
                    got.extend_from_slice(&piece);
                    held.push(piece);
                    if held.len() > 20 {
                        held.clear();
                    }
                }
                assert!(
                    got == bytes[from.min(bytes.len())..],
                    "{} from {from}",
                    bytes.len()
                );
                assert!(whole.round.len() <= ROUND);
            }
        }
    }
}
