//! From a layer as it came to a directory: decompressing, hashing and applying in one pass.

mod apply;
mod at;
mod compression;
mod pax;
mod sparse;
pub(crate) mod tar;
mod xattrs;

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::error::{Error, Result};

pub(crate) use compression::{Compression, decompress};
pub(crate) use tar::{Kind, Tar};

/// Bounds on what one archive may unpack to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the uncompressed archive, padding included.
    pub bytes: u64,
    pub entries: u64,
}

impl Default for Limits {
    /// Far beyond any real layer; a full disk stops a bomb of data before, these stop one of nothing.
    fn default() -> Limits {
        Limits {
            bytes: 1 << 40,
            entries: 50_000_000,
        }
    }
}

/// What a layer turned out to be.
#[derive(Debug)]
pub(crate) struct Applied {
    pub diff_id: Digest,
    /// Bytes of its files.
    pub size: u64,
}

/// Unpacks `source`, plain, gzip or zstd, into the empty directory `target`. `report` hears how much of the
/// source has been read.
pub(crate) fn layer(
    source: impl Read + Send,
    target: &Path,
    limits: Limits,
    report: impl FnMut(u64) + Send,
) -> Result<Applied> {
    let (_, plain) = decompress(Reported {
        source,
        count: 0,
        report,
    })
    .map_err(|e| refused(e, target))?;
    let mut hashed = Hashed {
        source: plain,
        hash: Sha256::new(),
        left: limits.bytes,
    };
    let size = apply::archive(&mut hashed, target, limits).map_err(|e| refused(e, target))?;
    // The DiffID covers what follows the archive's end mark too.
    io::copy(&mut hashed, &mut io::sink()).map_err(|e| refused(e, target))?;
    Ok(Applied {
        diff_id: Digest::finish(hashed.hash),
        size,
    })
}

/// Tells a damaged archive from a disk that refuses.
fn refused(error: io::Error, target: &Path) -> Error {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error.kind() {
        UnexpectedEof => Error::Corrupt("failed to register layer: unexpected EOF".to_owned()),
        InvalidData | InvalidInput => Error::Corrupt(format!("failed to register layer: {error}")),
        _ => Error::storage("unpack layer to", target, error),
    }
}

/// Hashes what passes, and stops when there is too much of it.
struct Hashed<R> {
    source: R,
    hash: Sha256,
    left: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the uncompressed layer is too large")
        })?;
        Ok(count)
    }
}

struct Reported<R, F> {
    source: R,
    count: u64,
    report: F,
}

impl<R: Read, F: FnMut(u64)> Read for Reported<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.count += count as u64;
        (self.report)(self.count);
        Ok(count)
    }
}
