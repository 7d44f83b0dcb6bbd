//! How an archive is packed, seen from its first bytes.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

type Rest<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

/// A window larger than this is refused: it is memory that a hostile stream asks for.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
const XZ_KIB_MAX: u32 = 128 << 10;

/// The uncompressed bytes of a stream that is plain, gzip, bzip2, xz or zstd.
pub fn decompress<'a, R: Read + 'a>(mut source: R) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut start = Vec::with_capacity(6);
    source.by_ref().take(6).read_to_end(&mut start)?;
    let kind = start.clone();
    let rest: Rest<R> = BufReader::with_capacity(128 * 1024, Cursor::new(start).chain(source));
    Ok(match kind[..] {
        [0x1f, 0x8b, 0x08, ..] => buffered(flate2::bufread::MultiGzDecoder::new(rest)),
        [b'B', b'Z', b'h', ..] => buffered(bzip2::bufread::MultiBzDecoder::new(rest)),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            buffered(lzma_rust2::XzReader::new_mem_limit(rest, true, XZ_KIB_MAX))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(rest)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            buffered(decoder)
        }
        _ => Box::new(rest),
    })
}

fn buffered<'a>(plain: impl Read + 'a) -> Box<dyn BufRead + 'a> {
    Box::new(BufReader::with_capacity(64 * 1024, plain))
}
