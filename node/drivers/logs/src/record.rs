//! One record of a log, as it is given to readers whatever the file's format.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::stamp;

/// Which of the container's outputs a record came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub fn as_str(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// Says that a record is a piece of a line longer than 16 KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partial {
    /// The same in all pieces of one line.
    pub id: u64,
    /// From 1.
    pub ordinal: u32,
    /// The line ends with this piece.
    pub last: bool,
}

/// One record: a line, or a piece of one that was longer than 16 KiB or had no end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub time: SystemTime,
    pub stream: Stream,
    /// The bytes as the container wrote them, its newline included.
    pub line: Vec<u8>,
    /// True when the line goes on in the next record of this stream (no newline at the end of `line`).
    pub partial: bool,
    /// Known only in the `local` format.
    pub piece: Option<Partial>,
    /// Counts the records of this log, from 1; 0 in a format that does not count them.
    pub number: u64,
}

/// A record where it lies, not taken apart further than needed.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    pub stream: Stream,
    pub time: Time<'a>,
    /// With its newline, unless the line goes on.
    pub text: &'a [u8],
    /// The `attrs` of this record as a JSON object; empty if it has none.
    pub attrs: &'a [u8],
    pub piece: Option<Partial>,
    pub number: u64,
}

/// A moment as its file says it.
#[derive(Debug, Clone, Copy)]
pub enum Time<'a> {
    /// RFC 3339.
    Text(&'a [u8]),
    /// Nanoseconds since 1970.
    Nanos(u64),
}

impl Time<'_> {
    /// `None` if it is not a time.
    pub fn system(&self) -> Option<SystemTime> {
        match self {
            Time::Text(text) => stamp::parse_rfc3339(std::str::from_utf8(text).ok()?),
            Time::Nanos(nanos) => UNIX_EPOCH.checked_add(Duration::from_nanos(*nanos)),
        }
    }

    /// Appends it with all nine digits of the fraction.
    pub fn push_fixed(&self, out: &mut Vec<u8>) {
        match self {
            // Our own and Docker's: UTC, zeros at the end of the fraction left out.
            Time::Text(text) if text.len() >= 20 && text.last() == Some(&b'Z') && text.len() <= 30 => {
                let digits = &text[..text.len() - 1];
                out.extend_from_slice(digits);
                if digits.len() == 19 {
                    out.push(b'.');
                }
                let missing = 29 - digits.len().max(20);
                out.extend_from_slice(&b"000000000"[..missing]);
                out.push(b'Z');
            }
            _ => {
                let time = self.system().unwrap_or(UNIX_EPOCH);
                out.extend_from_slice(stamp::rfc3339_nano_fixed(time).as_bytes());
            }
        }
    }
}

impl Line<'_> {
    /// `None` if its time cannot be read.
    pub fn to_entry(&self) -> Option<Entry> {
        Some(Entry {
            time: self.time.system()?,
            stream: self.stream,
            line: self.text.to_vec(),
            partial: self.text.last() != Some(&b'\n'),
            piece: self.piece,
            number: self.number,
        })
    }
}

/// Nanoseconds since 1970; a clock before that is 0.
pub(crate) fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_with_nine_digits() {
        for (text, want) in [
            ("2024-02-29T12:34:56.12Z", "2024-02-29T12:34:56.120000000Z"),
            ("2024-02-29T12:34:56Z", "2024-02-29T12:34:56.000000000Z"),
            ("2024-02-29T12:34:56.123456789Z", "2024-02-29T12:34:56.123456789Z"),
            ("2024-02-29T14:04:56+01:30", "2024-02-29T12:34:56.000000000Z"),
        ] {
            let mut out = Vec::new();
            Time::Text(text.as_bytes()).push_fixed(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), want);
            let mut nanos_out = Vec::new();
            let at = Time::Text(text.as_bytes()).system().expect("a time");
            Time::Nanos(nanos(at)).push_fixed(&mut nanos_out);
            assert_eq!(out, nanos_out);
        }
    }
}
