//! Writing tar entries as Go's `archive/tar` does: ustar where that can say it, PAX records where not.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

const BLOCK: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    File = b'0' as isize,
    HardLink = b'1' as isize,
    Symlink = b'2' as isize,
    CharDevice = b'3' as isize,
    BlockDevice = b'4' as isize,
    Directory = b'5' as isize,
    Fifo = b'6' as isize,
}

#[derive(Debug)]
pub struct Entry<'a> {
    pub kind: Type,
    pub name: &'a [u8],
    pub link: &'a [u8],
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds.
    pub mtime: i64,
    pub device: (u32, u32),
    /// Bytes of a file's data; 0 for everything else.
    pub size: u64,
    pub xattrs: &'a [(Vec<u8>, Vec<u8>)],
}

/// An archive being written.
pub struct Writer<W> {
    out: W,
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    pub fn new(out: W) -> Writer<W> {
        Writer {
            out,
            buffer: vec![0; 256 * 1024],
        }
    }

    /// Writes an entry's header. A file's data must follow.
    pub fn header(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let mut records: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut block = [0u8; BLOCK];
        match short_name(entry.name) {
            Some((prefix, name)) => {
                put(&mut block[0..100], name);
                put(&mut block[345..500], prefix);
            }
            None => {
                records.insert(b"path".to_vec(), entry.name.to_vec());
                put(&mut block[0..100], &ascii(entry.name));
            }
        }
        if entry.link.len() > 100 || !entry.link.is_ascii() {
            records.insert(b"linkpath".to_vec(), entry.link.to_vec());
        }
        put(&mut block[157..257], &ascii(entry.link));
        for (key, at, value) in [
            (&b""[..], 100..108, u64::from(entry.mode)),
            (b"uid", 108..116, entry.uid.into()),
            (b"gid", 116..124, entry.gid.into()),
            (b"size", 124..136, entry.size),
            (b"", 329..337, entry.device.0.into()),
            (b"", 337..345, entry.device.1.into()),
        ] {
            if !octal(&mut block[at], value) && !key.is_empty() {
                records.insert(key.to_vec(), value.to_string().into_bytes());
            }
        }
        match u64::try_from(entry.mtime).is_ok_and(|time| octal(&mut block[136..148], time)) {
            true => {}
            false => {
                octal(&mut block[136..148], 0);
                records.insert(b"mtime".to_vec(), entry.mtime.to_string().into_bytes());
            }
        }
        for (name, value) in entry.xattrs {
            records.insert([b"SCHILY.xattr.", &name[..]].concat(), value.clone());
        }
        if !records.is_empty() {
            self.extension(entry.name, &records)?;
        }
        block[156] = entry.kind as u8;
        self.block(block)
    }

    /// A file's data, exactly `size` bytes: a file that shrinks meanwhile is filled up with zeros, one that grows is cut.
    pub fn data(&mut self, source: impl Read, size: u64) -> io::Result<()> {
        let mut source = source.take(size);
        let mut left = size;
        while left > 0 {
            let count = match source.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.out.write_all(&self.buffer[..count])?;
            left -= count as u64;
        }
        let padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
        io::copy(&mut io::repeat(0).take(left + padding), &mut self.out).map(drop)
    }

    /// The end mark.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn extension(&mut self, name: &[u8], records: &BTreeMap<Vec<u8>, Vec<u8>>) -> io::Result<()> {
        let mut text = Vec::new();
        for (key, value) in records {
            let bare = key.len() + value.len() + 3;
            // The length counts its own digits.
            let mut length = bare + bare.to_string().len();
            if length.to_string().len() + bare != length {
                length = bare + length.to_string().len();
            }
            text.extend_from_slice(format!("{length} ").as_bytes());
            text.extend_from_slice(key);
            text.push(b'=');
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        let base = name.split(|&b| b == b'/').rfind(|part| !part.is_empty());
        let mut block = [0u8; BLOCK];
        put(
            &mut block[0..100],
            &[b"PaxHeaders.0/", &ascii(base.unwrap_or_default())[..]].concat(),
        );
        for at in [100..108, 108..116, 116..124, 136..148] {
            octal(&mut block[at], 0);
        }
        octal(&mut block[124..136], text.len() as u64);
        block[156] = b'x';
        self.block(block)?;
        self.data(&text[..], text.len() as u64)
    }

    fn block(&mut self, mut block: [u8; BLOCK]) -> io::Result<()> {
        block[257..265].copy_from_slice(b"ustar\x0000");
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
        octal(&mut block[148..155], sum.into());
        self.out.write_all(&block)
    }
}

/// A name as ustar can hold it, in prefix and name.
fn short_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if !name.is_ascii() {
        return None;
    }
    if name.len() <= 100 {
        return Some((b"", name));
    }
    // The slash between the two is not written; a slash at the end belongs to the name.
    let last = name.len() - usize::from(name.ends_with(b"/"));
    let at = name[..last.min(156)].iter().rposition(|&b| b == b'/')?;
    let (prefix, rest) = (&name[..at], &name[at + 1..]);
    (at > 0 && rest.len() <= 100).then_some((prefix, rest))
}

/// What an old reader sees of a name.
fn ascii(name: &[u8]) -> Vec<u8> {
    name.iter().copied().filter(u8::is_ascii).collect()
}

fn put(field: &mut [u8], value: &[u8]) {
    let count = field.len().min(value.len());
    field[..count].copy_from_slice(&value[..count]);
}

/// Digits up to a zero byte; zero, and false, if they do not fit.
fn octal(field: &mut [u8], value: u64) -> bool {
    let width = field.len() - 1;
    let digits = format!("{value:0width$o}");
    let fits = digits.len() <= width;
    match fits {
        true => field[..width].copy_from_slice(digits.as_bytes()),
        false => field[..width].fill(b'0'),
    }
    field[width] = 0;
    fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::Tar;

    #[test]
    fn what_is_written_is_read_back() {
        let long = [&b"d/"[..], &[b'x'; 200], b"/", &[b'y'; 300]].concat();
        let split = [&[b'p'; 120][..], b"/", &[b'n'; 90]].concat();
        let names: [&[u8]; 5] = [b"short", &long, &split, "ümlaut".as_bytes(), &[b'q'; 100]];
        let xattrs = vec![(b"user.k".to_vec(), b"v\0\n".to_vec())];
        let mut out = Writer::new(Vec::new());
        for (at, name) in names.iter().enumerate() {
            let entry = Entry {
                kind: Type::File,
                name,
                link: b"",
                mode: 0o4755,
                uid: 3_000_000_000,
                gid: 7,
                mtime: -5 + at as i64 * 5,
                device: (0, 0),
                size: 3,
                xattrs: &xattrs,
            };
            out.header(&entry).unwrap();
            out.data(&b"abcdef"[..at.min(6)], 3).unwrap();
        }
        let bytes = out.finish().unwrap();
        let mut tar = Tar::new(&bytes[..]);
        for (at, name) in names.iter().enumerate() {
            let member = tar.next_member().unwrap().unwrap();
            assert_eq!(member.path, *name);
            assert_eq!((member.mode, member.uid, member.gid), (0o4755, 3_000_000_000, 7));
            assert_eq!(member.mtime.0, -5 + at as i64 * 5);
            assert_eq!((member.size, &member.xattrs), (3, &xattrs));
        }
        assert!(tar.next_member().unwrap().is_none());
    }

    #[test]
    fn record_lengths_count_themselves() {
        for size in 80..110 {
            let value = vec![b'z'; size];
            let xattrs = vec![(b"user.k".to_vec(), value)];
            let mut out = Writer::new(Vec::new());
            let entry = Entry {
                kind: Type::Directory,
                name: b"d/",
                link: b"",
                mode: 0o755,
                uid: 0,
                gid: 0,
                mtime: 0,
                device: (0, 0),
                size: 0,
                xattrs: &xattrs,
            };
            out.header(&entry).unwrap();
            let bytes = out.finish().unwrap();
            assert_eq!(
                Tar::new(&bytes[..]).next_member().unwrap().unwrap().xattrs,
                xattrs,
                "{size}"
            );
        }
    }
}
