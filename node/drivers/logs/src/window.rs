//! The bytes of a file that were read and not yet given, and where the records lie in them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::local;
use crate::options::Format;

const BLOCK: usize = 256 * 1024;
/// A "line" longer than this is damage, not a record: Docker's largest is under 100 KiB.
const LINE_MAX: usize = 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Window {
    format: Format,
    bytes: Vec<u8>,
    /// How much of `bytes` was read; the rest is room.
    filled: usize,
    /// Where the next record begins.
    begin: usize,
    /// How far was searched for its newline.
    searched: usize,
    /// Damage: what follows up to the next newline (local: up to the end of the file) is passed over.
    skipping: bool,
    /// The file is at its end: what is left ends there too.
    closed: bool,
}

impl Window {
    pub fn new(format: Format) -> Window {
        Window {
            format,
            bytes: Vec::new(),
            filled: 0,
            begin: 0,
            searched: 0,
            skipping: false,
            closed: false,
        }
    }

    /// The next whole record.
    pub fn record(&mut self) -> Option<&[u8]> {
        match self.format {
            Format::Json => self.line(),
            Format::Local => self.framed(),
        }
    }

    fn line(&mut self) -> Option<&[u8]> {
        loop {
            let bytes = &self.bytes[..self.filled];
            match memchr::memchr(b'\n', &bytes[self.searched..]) {
                Some(at) => {
                    let (begin, end) = (self.begin, self.searched + at);
                    self.begin = end + 1;
                    self.searched = self.begin;
                    if !std::mem::take(&mut self.skipping) {
                        return Some(&self.bytes[begin..end]);
                    }
                }
                None if self.closed && self.begin < self.filled => {
                    let begin = std::mem::replace(&mut self.begin, self.filled);
                    self.searched = self.filled;
                    self.closed = false;
                    if !std::mem::take(&mut self.skipping) {
                        return Some(&self.bytes[begin..self.filled]);
                    }
                }
                None => {
                    self.closed = false;
                    self.searched = self.filled;
                    if self.searched - self.begin > LINE_MAX {
                        self.skipping = true;
                        self.begin = self.searched;
                    }
                    return None;
                }
            }
        }
    }

    fn framed(&mut self) -> Option<&[u8]> {
        let bytes = &self.bytes[..self.filled];
        if std::mem::take(&mut self.closed) {
            // The next file begins with a whole record.
            self.begin = self.filled;
            self.skipping = false;
        }
        let field = bytes.get(self.begin..self.begin + 4).filter(|_| !self.skipping);
        let Some(field) = field else {
            if self.skipping {
                self.begin = self.filled;
            }
            return None;
        };
        let Some(body) = local::length(field) else {
            self.skipping = true;
            self.begin = self.filled;
            return None;
        };
        let end = self.begin + body + local::AROUND;
        if end > self.filled {
            return None;
        }
        let begin = std::mem::replace(&mut self.begin, end) + 4;
        Some(&self.bytes[begin..begin + body])
    }

    /// Reads on from `offset`; how much.
    pub fn fill(&mut self, file: &File, offset: u64) -> io::Result<usize> {
        self.bytes.copy_within(self.begin..self.filled, 0);
        self.filled -= self.begin;
        self.searched = self.searched.saturating_sub(self.begin);
        self.begin = 0;
        if self.bytes.len() < self.filled + BLOCK {
            self.bytes.resize(self.filled + BLOCK, 0);
        }
        let count = file.read_at(&mut self.bytes[self.filled..], offset)?;
        self.filled += count;
        Ok(count)
    }

    /// Ends the last record where the file ends; false if there is none.
    pub fn close(&mut self) -> bool {
        let open = self.begin < self.filled;
        self.closed = open;
        open
    }
}
