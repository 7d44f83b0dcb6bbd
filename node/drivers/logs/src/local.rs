//! The `local` driver's own format: records with their length on both sides, so that a file is read from either end.
//!
//! ```text
//!   length u32 │ flags u8 │ time u64 │ number u64 │ [id u64 │ ordinal u32] │ text │ length u32      (little endian)
//! ```
//! The text has no newline; a flag says whether it had one. Numbers count the records of a log, so that a reader that fell
//! behind a rotation knows how many it has missed.

use crate::cutter::Piece;
use crate::record::{Line, Partial, Stream, Time};

const STDERR: u8 = 1;
const NEWLINE: u8 = 2;
const PARTIAL: u8 = 4;
const LAST: u8 = 8;

const HEAD: usize = 1 + 8 + 8;
const PARTIAL_HEAD: usize = 8 + 4;
/// The length fields.
pub(crate) const AROUND: usize = 8;
/// A longer one is damage.
pub(crate) const BODY_MAX: usize = 64 << 10;

pub(crate) fn line(out: &mut Vec<u8>, stream: Stream, piece: &Piece<'_>, number: u64) {
    let (text, newline) = match piece.text {
        [text @ .., b'\n'] => (text, NEWLINE),
        text => (text, 0),
    };
    let mut flags = newline;
    if stream == Stream::Stderr {
        flags |= STDERR;
    }
    let mut length = HEAD + text.len();
    if let Some(partial) = piece.partial {
        flags |= PARTIAL | if partial.last { LAST } else { 0 };
        length += PARTIAL_HEAD;
    }
    let length = (length as u32).to_le_bytes();
    out.reserve(text.len() + 48);
    out.extend_from_slice(&length);
    out.push(flags);
    out.extend_from_slice(&piece.time.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    if let Some(partial) = piece.partial {
        out.extend_from_slice(&partial.id.to_le_bytes());
        out.extend_from_slice(&partial.ordinal.to_le_bytes());
    }
    out.extend_from_slice(text);
    out.extend_from_slice(&length);
}

/// The body's length, from its field; `None` is damage.
pub(crate) fn length(field: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(field.get(..4)?.try_into().ok()?) as usize;
    (HEAD..=BODY_MAX).contains(&length).then_some(length)
}

/// The body of a record, text into `scratch`.
pub(crate) fn decode<'a>(body: &[u8], scratch: &'a mut Vec<u8>) -> Option<Line<'a>> {
    let number = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
    let flags = *body.first()?;
    let (time, count) = (number(1)?, number(9)?);
    let (piece, text) = if flags & PARTIAL != 0 {
        let ordinal = body.get(HEAD + 8..HEAD + 12)?.try_into().ok()?;
        let partial = Partial {
            id: number(HEAD)?,
            ordinal: u32::from_le_bytes(ordinal),
            last: flags & LAST != 0,
        };
        (Some(partial), body.get(HEAD + PARTIAL_HEAD..)?)
    } else {
        (None, body.get(HEAD..)?)
    };
    scratch.clear();
    scratch.extend_from_slice(text);
    if flags & NEWLINE != 0 {
        scratch.push(b'\n');
    }
    Some(Line {
        stream: if flags & STDERR != 0 {
            Stream::Stderr
        } else {
            Stream::Stdout
        },
        time: Time::Nanos(time),
        text: scratch,
        attrs: &[],
        piece,
        number: count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        for (text, partial) in [
            (&b"a line\n"[..], None),
            (b"\n", None),
            (b"\xff\x00", None),
            (
                b"piece",
                Some(Partial {
                    id: 7,
                    ordinal: 3,
                    last: false,
                }),
            ),
        ] {
            let mut out = Vec::new();
            let piece = Piece {
                text,
                time: 12_345,
                partial,
            };
            line(&mut out, Stream::Stderr, &piece, 99);
            let body = length(&out).expect("a length");
            assert_eq!(out.len(), body + AROUND);
            assert_eq!(out[..4], out[out.len() - 4..]);
            let mut scratch = Vec::new();
            let read = decode(&out[4..4 + body], &mut scratch).expect("a record");
            assert_eq!((read.text, read.piece, read.number), (text, partial, 99));
            assert!(matches!(read.time, Time::Nanos(12_345)) && read.stream == Stream::Stderr);
        }
    }
}
