//! Memory that the disk takes as it is: what is large goes past the page cache.
//!
//! A large image is read once and then by a few of its pages. Kept in memory as it comes it would push out what
//! containers use, and each page costs more than the copy that fills it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::MmapMut;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// Bytes of one: fewer take the disk longer, more take memory.
pub(crate) const BLOCK: usize = 512 << 10;
/// No disk asks for a coarser alignment, and memory that is mapped has it.
const PAGE: usize = 4096;

/// A stretch of a file. Its memory goes back to the kernel with it: an allocator would keep it.
#[derive(Debug)]
pub(crate) struct Block {
    memory: MmapMut,
    len: usize,
    /// Where it belongs in the file.
    offset: u64,
}

impl Block {
    pub fn new() -> io::Result<Block> {
        Ok(Block {
            memory: MmapMut::map_anon(BLOCK)?,
            len: 0,
            offset: 0,
        })
    }

    /// Empties it for what comes at `offset`.
    pub fn begin(&mut self, offset: u64) {
        (self.len, self.offset) = (0, offset);
    }

    /// Takes as much as there is room for; says how much.
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(BLOCK - self.len);
        self.memory[self.len..self.len + count].copy_from_slice(&bytes[..count]);
        self.len += count;
        count
    }

    /// Reads from a file that has `there` bytes.
    pub fn read(&mut self, file: &File, offset: u64, there: u64) -> io::Result<()> {
        self.begin(offset);
        let want = there.saturating_sub(offset).min(BLOCK as u64) as usize;
        while self.len < want {
            // Whole pages: past the page cache it is not to be had otherwise.
            let end = want.next_multiple_of(PAGE).min(BLOCK);
            let room = &mut self.memory[self.len..end];
            match file.read_at(room, offset + self.len as u64) {
                Ok(0) => break,
                Ok(count) => self.len += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // More than was said to be there is not known to be right.
        self.len = self.len.min(want);
        Ok(())
    }

    pub fn bytes(&self) -> &[u8] {
        &self.memory[..self.len]
    }

    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub fn end(&self) -> u64 {
        self.offset + self.len as u64
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn is_full(&self) -> bool {
        self.len == BLOCK
    }

    /// What of it comes at `at` and later, if it has that.
    pub fn from(&self, at: u64) -> Option<&[u8]> {
        let skip = usize::try_from(at.checked_sub(self.offset)?).ok()?;
        self.bytes().get(skip..).filter(|rest| !rest.is_empty())
    }

    /// The same for who sends it: so much at most, and without a copy. The block is not free before that is dropped.
    pub fn piece(self: &Arc<Block>, at: u64, max: usize) -> Option<Bytes> {
        let rest = self.from(at)?.len();
        let start = self.len - rest;
        let part = Part(self.clone(), start..start + rest.min(max));
        Some(Bytes::from_owner(part))
    }
}

/// A part of a block, kept as long as it is on its way.
struct Part(Arc<Block>, Range<usize>);

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes()[self.1.clone()]
    }
}

/// A file to which blocks are written past the page cache, where its file system can do that.
#[derive(Debug)]
pub(crate) struct Past {
    direct: bool,
}

impl Past {
    pub fn new(file: &File) -> Past {
        Past {
            direct: set_direct(file, true),
        }
    }

    /// Writes the block where it belongs. What does not fill whole pages, the end of a file, goes the usual way, and all
    /// that follows it. Says how many bytes did.
    pub fn write(&mut self, file: &File, block: &Block) -> io::Result<u64> {
        let bytes = block.bytes();
        let mut done = 0;
        if self.direct && block.offset().is_multiple_of(PAGE as u64) {
            let pages = bytes.len() / PAGE * PAGE;
            match file.write_all_at(&bytes[..pages], block.offset()) {
                Ok(()) => done = pages,
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                Err(error) => return Err(error),
            }
        }
        let rest = &bytes[done..];
        if rest.is_empty() {
            return Ok(0);
        }
        if self.direct {
            set_direct(file, false);
            self.direct = false;
        }
        file.write_all_at(rest, block.offset() + done as u64)?;
        Ok(rest.len() as u64)
    }
}

/// Whether it now goes past the page cache as it should.
pub(crate) fn set_direct(file: &File, direct: bool) -> bool {
    let changed = fcntl_getfl(file).and_then(|flags| {
        let flags = match direct {
            true => flags | OFlags::DIRECT,
            false => flags - OFlags::DIRECT,
        };
        fcntl_setfl(file, flags)
    });
    changed.is_ok()
}

/// The file for reading, past the page cache where that can be done.
pub(crate) fn open_past(path: &std::path::Path) -> io::Result<File> {
    let file = File::open(path)?;
    set_direct(&file, true);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_past_the_cache_is_there_to_its_last_byte() {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("dir");
        let path = folder.path().join("file");
        let file = File::create(&path).expect("file");
        let all: Vec<u8> = (0..BLOCK * 2 + 5000).map(|n| (n * 7 / 3) as u8).collect();
        let (mut past, mut block, mut left) = (Past::new(&file), Block::new().expect("memory"), &all[..]);
        let mut usual = 0;
        while !left.is_empty() {
            block.begin((all.len() - left.len()) as u64);
            left = &left[block.take(left)..];
            usual += past.write(&file, &block).expect("write");
        }
        assert_eq!(std::fs::read(&path).expect("read"), all);
        // All but the last piece of a page, unless the file system knows no other way.
        assert!(usual == 904 || usual == all.len() as u64, "{usual}");
        let file = open_past(&path).expect("open");
        block
            .read(&file, 2 * BLOCK as u64, all.len() as u64)
            .expect("read");
        assert_eq!(block.bytes(), &all[2 * BLOCK..]);
        assert_eq!(block.from(block.end() - 3), Some(&all[all.len() - 3..]));
        assert_eq!(block.from(block.end()), None);
        assert_eq!(block.from(5), None);
    }
}
