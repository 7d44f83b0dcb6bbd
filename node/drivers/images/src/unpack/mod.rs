//! From a layer as it came to a directory: decompressing, hashing and applying in one pass, on a thread each.

mod alone;
mod apply;
mod at;
mod compression;
mod pipe;
mod same;
mod warm;
mod xattrs;

use std::io::{self, BufRead, Read};
use std::path::Path;

use crate::digest::Digest;
use crate::error::{Error, Result};

pub(crate) use compression::{Compression, buffered, decompress};
pub(crate) use same::same;
pub(crate) use shoal_node_core_host::tarball::{self, Kind, Tar};
pub(crate) use warm::Warm;

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
    /// `None` of a plain one that is hashed elsewhere.
    pub diff_id: Option<Digest>,
    /// Bytes of its files.
    pub size: u64,
}

/// Unpacks `source`, plain, gzip or zstd, into the empty directory `target`. `report` hears how much of the
/// source has been read. Decompressing, hashing and writing run side by side; a plain source that is hashed elsewhere
/// meanwhile (`hashed`) is not hashed twice.
pub(crate) fn layer(
    source: impl BufRead + Send,
    target: &Path,
    limits: Limits,
    warm: &Warm,
    hashed: bool,
    report: impl FnMut(u64) + Send,
) -> Result<Applied> {
    let source = Reported {
        source,
        count: 0,
        report,
    };
    let done = pipe::run(source, limits.bytes, hashed, |mut plain| {
        let size = apply::archive(&mut plain, target, limits, warm)?;
        // The DiffID covers what follows the archive's end mark too.
        tarball::drain(&mut plain)?;
        Ok(size)
    });
    let (size, diff_id) = done.map_err(|e| refused(e, target))?;
    Ok(Applied { diff_id, size })
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

struct Reported<R, F> {
    source: R,
    count: u64,
    report: F,
}

impl<R: BufRead, F: FnMut(u64)> Read for Reported<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let there = self.source.fill_buf()?;
        let count = buffer.len().min(there.len());
        buffer[..count].copy_from_slice(&there[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead, F: FnMut(u64)> BufRead for Reported<R, F> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.source.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.source.consume(count);
        self.count += count as u64;
        (self.report)(self.count);
    }
}
