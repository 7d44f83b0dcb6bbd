//! gzip on all processors: one member made of pieces that are compressed side by side.

use std::io::{self, Read, Write};
use std::thread;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// Bytes compressed in one go. Large enough that what is lost at the seams does not show.
const PIECE: usize = 1 << 20;
const LEVEL: u32 = 6;

/// Compresses `source` into `target`. The same bytes always give the same result, on however many processors.
pub(super) fn gzip(source: &mut impl Read, target: &mut impl Write, threads: usize) -> io::Result<()> {
    // No name, no time: the digest is to depend on the content alone.
    target.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])?;
    let mut crc = Crc::new();
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    let mut next = piece(source)?;
    let mut last = false;
    while !last {
        pieces.clear();
        while pieces.len() < threads.max(1) && !last {
            let following = piece(source)?;
            last = following.is_empty();
            pieces.push(std::mem::replace(&mut next, following));
        }
        let packed = thread::scope(|scope| {
            let final_at = if last { pieces.len() - 1 } else { usize::MAX };
            let jobs: Vec<_> = pieces
                .iter()
                .enumerate()
                .map(|(at, piece)| scope.spawn(move || deflate(piece, at == final_at)))
                .collect();
            pieces.iter().for_each(|piece| crc.update(piece));
            let done = jobs.into_iter().map(|job| {
                let died = || io::Error::other("a compressing thread died");
                job.join().map_err(|_| died())?
            });
            done.collect::<io::Result<Vec<_>>>()
        })?;
        for piece in packed {
            target.write_all(&piece)?;
        }
    }
    target.write_all(&crc.sum().to_le_bytes())?;
    target.write_all(&crc.amount().to_le_bytes())
}

fn piece(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(PIECE);
    source.by_ref().take(PIECE as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A piece of a deflate stream that ends on a byte, or its end.
fn deflate(bytes: &[u8], last: bool) -> io::Result<Vec<u8>> {
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    let mut out = Vec::with_capacity(bytes.len() / 2 + 1024);
    let flush = if last {
        FlushCompress::Finish
    } else {
        FlushCompress::Sync
    };
    loop {
        let read = usize::try_from(compress.total_in())
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let status = compress
            .compress_vec(&bytes[read..], &mut out, flush)
            .map_err(io::Error::other)?;
        let all = compress.total_in() == bytes.len() as u64;
        let done = if last {
            status == Status::StreamEnd
        } else {
            all && out.len() < out.capacity()
        };
        if done {
            return Ok(out);
        }
        out.reserve(out.capacity().max(1024));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;

    #[test]
    fn one_member_that_everybody_reads() {
        for size in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 17] {
            let bytes: Vec<u8> = (0..size).map(|n| (n * n % 251) as u8).collect();
            let pack = |threads| {
                let mut packed = Vec::new();
                gzip(&mut &bytes[..], &mut packed, threads).expect("packed");
                packed
            };
            let packed = pack(4);
            let mut plain = Vec::new();
            // Reads one member only.
            GzDecoder::new(&packed[..]).read_to_end(&mut plain).expect("gzip");
            assert!(plain == bytes, "{size} bytes");
            assert!(packed == pack(1), "{size} bytes on one thread");
        }
    }
}
