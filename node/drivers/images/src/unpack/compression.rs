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

pub(crate) fn buffered<R: Read>(source: R) -> BufReader<R> {
    BufReader::with_capacity(128 * 1024, source)
}

/// Where uncompressed bytes are read from.
pub(super) enum Plain<'a> {
    /// The source itself.
    AsItIs(Box<dyn BufRead + Send + 'a>),
    /// What uncompresses it, into the memory that it is given.
    Uncompressed(Box<dyn Read + Send + 'a>),
}

/// Reads enough to know, and gives a reader of the uncompressed bytes.
pub(crate) fn decompress<'a>(
    source: impl BufRead + Send + 'a,
) -> io::Result<(Compression, Box<dyn BufRead + Send + 'a>)> {
    let (kind, plain) = uncompressed(source)?;
    let plain = match plain {
        Plain::AsItIs(plain) => plain,
        Plain::Uncompressed(plain) => Box::new(buffered(plain)),
    };
    Ok((kind, plain))
}

/// The same for who has memory of his own.
pub(super) fn uncompressed<'a, R: BufRead + Send + 'a>(
    mut source: R,
) -> io::Result<(Compression, Plain<'a>)> {
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
    let plain = match kind {
        Compression::None => Plain::AsItIs(Box::new(rest)),
        Compression::Gzip => Plain::Uncompressed(Box::new(flate2::bufread::MultiGzDecoder::new(rest))),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(rest)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Plain::Uncompressed(Box::new(decoder))
        }
    };
    Ok((kind, plain))
}
