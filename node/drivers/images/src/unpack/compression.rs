//! How an archive is packed, seen from its first bytes.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

type Rest<R> = Chain<Cursor<Vec<u8>>, R>;

/// A window larger than this is refused: it is memory that a hostile frame asks for.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

pub(super) fn buffered<R: Read>(source: R) -> BufReader<R> {
    BufReader::with_capacity(128 * 1024, source)
}

/// Reads enough to know, and gives a reader of the uncompressed bytes.
pub(crate) fn decompress<'a, R: BufRead + Send + 'a>(
    mut source: R,
) -> io::Result<(Compression, Box<dyn BufRead + Send + 'a>)> {
    let mut start = Vec::with_capacity(4);
    source.by_ref().take(4).read_to_end(&mut start)?;
    let kind = match start[..] {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Compression::Zstd,
        [b'B', b'Z', b'h', ..] | [0xfd, b'7', b'z', b'X'] => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "unsupported compression (bzip2 or xz)",
            ));
        }
        _ => Compression::None,
    };
    let rest: Rest<R> = Cursor::new(start).chain(source);
    let plain: Box<dyn BufRead + Send + 'a> = match kind {
        Compression::None => Box::new(rest),
        Compression::Gzip => Box::new(buffered(flate2::bufread::MultiGzDecoder::new(rest))),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(rest)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(buffered(decoder))
        }
    };
    Ok((kind, plain))
}
