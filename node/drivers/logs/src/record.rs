//! One record of the log and how it is read back from its line of JSON.

use std::borrow::Cow;
use std::time::SystemTime;

use serde::Deserialize;

use crate::stamp::parse_rfc3339;

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

/// One record: a line, or a piece of one that was longer than 16 KiB or had no end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub time: SystemTime,
    pub stream: Stream,
    /// The bytes as the container wrote them, its newline included.
    pub line: Vec<u8>,
    /// True when the line goes on in the next record of this stream (no newline at the end of `line`).
    pub partial: bool,
}

#[derive(Deserialize)]
struct Json<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

impl Entry {
    /// Reads one line of the file (without its newline). `None` if it is not a record: a torn write, a hole
    /// left by a power cut. Other writers' extra fields (`attrs`) are passed over.
    pub(crate) fn decode(line: &[u8]) -> Option<Entry> {
        let text = String::from_utf8_lossy(line);
        let json: Json = serde_json::from_str(&text).ok()?;
        let stream = if json.stream == "stderr" {
            Stream::Stderr
        } else {
            Stream::Stdout
        };
        let line = json.log.into_owned().into_bytes();
        let partial = line.last() != Some(&b'\n');
        Some(Entry {
            time: parse_rfc3339(&json.time)?,
            stream,
            line,
            partial,
        })
    }
}
