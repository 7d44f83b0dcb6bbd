//! Reading a tar archive entry by entry, with a bound on everything that is kept in memory: what clients upload, and the
//! layers of images.
//!
//! Understands ustar, GNU (long names, base-256 numbers, sparse) and PAX (path, linkpath, size, uid, gid, mtime,
//! xattrs, sparse 1.0). The header's fields are read by the `tar` crate; its iterator is not used, as it reads
//! names of any length and unpacks by path.

mod pax;
mod sparse;

use std::io::{self, BufRead, ErrorKind, Read};

use tar::{EntryType, Header};

use pax::{narrow, number};
use sparse::{PIECES_MAX, Pax1};

const BLOCK: u64 = 512;
/// Where a header has mode, uid, gid, size, mtime, and the device's numbers.
const NUMBERS: [std::ops::Range<usize>; 7] = [
    100..108,
    108..116,
    116..124,
    124..136,
    136..148,
    329..337,
    337..345,
];
/// Bytes of one long name or of one PAX header.
const EXTENSION_MAX: u64 = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    Symlink,
    HardLink,
    Fifo,
    CharDevice,
    BlockDevice,
}

/// One entry. Names are bytes as they stand in the archive, not checked in any way.
#[derive(Debug)]
pub struct Member {
    pub kind: Kind,
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// Device number.
    pub device: (u32, u32),
    /// Bytes of the file, holes included.
    pub size: u64,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the data goes, if the file has holes: offset and length.
    pub sparse: Option<Vec<(u64, u64)>>,
}

/// An archive being read. The data of an entry is read through it until the next entry is asked for.
pub struct Tar<R> {
    source: R,
    /// Bytes of the current entry's data, and of the padding behind it, still to come.
    data: u64,
    padding: u64,
    ended: bool,
}

/// What extension headers say about the entry that follows them.
#[derive(Debug, Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Vec<(Vec<u8>, Vec<u8>)>,
}

pub fn damaged(why: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("archive/tar: {}", why.into()))
}

impl<R: BufRead> Tar<R> {
    pub fn new(source: R) -> Tar<R> {
        Tar {
            source,
            data: 0,
            padding: 0,
            ended: false,
        }
    }

    /// The next entry that is something in a file system, or `None` at the end.
    pub fn next_member(&mut self) -> io::Result<Option<Member>> {
        let mut extensions = Extensions::default();
        loop {
            self.skip()?;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let size = header.entry_size().map_err(|_| damaged("invalid tar header"))?;
            match header.entry_type() {
                EntryType::GNULongName => extensions.path = Some(self.long_name(size)?),
                EntryType::GNULongLink => extensions.link = Some(self.long_name(size)?),
                EntryType::XHeader => {
                    let bytes = self.extension(size)?;
                    extensions.pax = pax::records(&bytes)?;
                }
                // Global headers carry nothing that layers use; git writes one into its archives.
                EntryType::XGlobalHeader => self.enter(size)?,
                _ => match self.member(&header, size, std::mem::take(&mut extensions))? {
                    Some(member) => return Ok(Some(member)),
                    None => continue,
                },
            }
        }
    }

    fn member(&mut self, header: &Header, size: u64, extensions: Extensions) -> io::Result<Option<Member>> {
        let invalid = |_| damaged("invalid tar header");
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symlink,
            EntryType::Link => Kind::HardLink,
            EntryType::Fifo => Kind::Fifo,
            EntryType::Char => Kind::CharDevice,
            EntryType::Block => Kind::BlockDevice,
            // Multi-volume labels and other vendors' types.
            _ => {
                self.enter(size)?;
                return Ok(None);
            }
        };
        let (path, link) = (header.path_bytes().into_owned(), header.link_name_bytes());
        let mut member = Member {
            kind,
            path: extensions.path.unwrap_or(path),
            link: extensions
                .link
                .or(link.map(|l| l.into_owned()))
                .unwrap_or_default(),
            mode: header.mode().map_err(invalid)? & 0o7777,
            uid: narrow(header.uid().map_err(invalid)?)?,
            gid: narrow(header.gid().map_err(invalid)?)?,
            mtime: (header.mtime().map_err(invalid)? as i64, 0),
            device: (0, 0),
            size,
            xattrs: Vec::new(),
            sparse: None,
        };
        if matches!(kind, Kind::CharDevice | Kind::BlockDevice) {
            let major = header.device_major().map_err(invalid)?.unwrap_or(0);
            member.device = (major, header.device_minor().map_err(invalid)?.unwrap_or(0));
        }
        let mut holes = Pax1::default();
        let mut stored = size;
        for (key, value) in extensions.pax {
            match &key[..] {
                b"path" => member.path = value,
                b"linkpath" => member.link = value,
                // The PAX size is the one to believe.
                b"size" => {
                    stored = number(&value)?;
                    member.size = stored;
                }
                b"uid" => member.uid = narrow(number(&value)?)?,
                b"gid" => member.gid = narrow(number(&value)?)?,
                b"mtime" => member.mtime = pax::time(&value)?,
                b"GNU.sparse.major" => holes.version.0 = value,
                b"GNU.sparse.minor" => holes.version.1 = value,
                b"GNU.sparse.name" => holes.name = Some(value),
                b"GNU.sparse.realsize" => holes.size = Some(number(&value)?),
                b"GNU.sparse.map" | b"GNU.sparse.numblocks" => {
                    return Err(damaged("unsupported sparse format"));
                }
                _ => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        member.xattrs.push((name.to_vec(), value));
                    }
                }
            }
        }
        if kind != Kind::File {
            // Links and directories have no data, whatever their size says; Go's reader agrees.
            stored = if kind == Kind::HardLink || kind == Kind::Directory {
                stored
            } else {
                0
            };
            member.size = 0;
        }
        // A very old archive's file with a slash at its end is a directory.
        if header.as_bytes()[156] == 0 && member.path.ends_with(b"/") {
            member.kind = Kind::Directory;
        }
        let old_sparse = match header.entry_type() == EntryType::GNUSparse {
            true => Some(self.gnu_sparse(header)?),
            false => None,
        };
        self.enter(stored)?;
        if let Some((pieces, real)) = old_sparse {
            (member.sparse, member.size) = (Some(pieces), real);
        } else if !holes.version.0.is_empty() {
            if holes.version != (b"1".to_vec(), b"0".to_vec()) {
                return Err(damaged("unsupported sparse format"));
            }
            member.size = holes.size.ok_or_else(|| damaged("invalid tar header"))?;
            member.path = holes.name.unwrap_or(member.path);
            member.sparse = Some(self.pax_sparse()?);
        }
        if let Some(pieces) = &member.sparse {
            sparse::check(pieces, member.size, self.data)?;
        }
        Ok(Some(member))
    }

    /// The next bytes of the current entry's data, nothing at its end. Those that are done with are to be consumed.
    pub fn data(&mut self) -> io::Result<&[u8]> {
        if self.data == 0 {
            return Ok(&[]);
        }
        let there = self.source.fill_buf()?;
        if there.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let count = there.len().min(usize::try_from(self.data).unwrap_or(usize::MAX));
        Ok(&there[..count])
    }

    /// Reads the current entry's data.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let there = self.data()?;
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        self.consume(count);
        Ok(count)
    }

    pub fn consume(&mut self, count: usize) {
        self.data -= count as u64;
        self.source.consume(count);
    }

    /// Bytes of the current entry that have not been read yet, and what pads them.
    pub fn left(&self) -> u64 {
        self.data.saturating_add(self.padding)
    }

    /// Reads what follows the end mark.
    pub fn drain(&mut self) -> io::Result<()> {
        drain(&mut self.source)
    }

    fn enter(&mut self, size: u64) -> io::Result<()> {
        self.data = size;
        self.padding = (BLOCK - size % BLOCK) % BLOCK;
        Ok(())
    }

    /// Passes over what is left of the current entry.
    fn skip(&mut self) -> io::Result<()> {
        let left = self
            .data
            .checked_add(self.padding)
            .ok_or_else(|| damaged("invalid tar header"))?;
        let (mut left, data) = (left, self.data);
        let mut skipped = 0;
        while left > 0 {
            let there = self.source.fill_buf()?.len();
            if there == 0 && skipped >= data {
                // Only padding is missing: the end, as in Go.
                self.ended = true;
                break;
            }
            if there == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let count = there.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.source.consume(count);
            left -= count as u64;
            skipped += count as u64;
        }
        (self.data, self.padding) = (0, 0);
        Ok(())
    }

    /// The next header; `None` at the end mark (two blocks of zeros, of which one will do) or the end.
    fn header(&mut self) -> io::Result<Option<Header>> {
        if self.ended {
            return Ok(None);
        }
        let mut block = [0; BLOCK as usize];
        let got = fill(&mut self.source, &mut block)?;
        if got == 0 || (got == block.len() && block.iter().all(|&b| b == 0)) {
            self.ended = true;
            return Ok(None);
        }
        if got < block.len() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut header = Header::from_byte_slice(&block).clone();

        let sum = |signed: bool| {
            block.iter().enumerate().fold(0i64, |sum, (at, &byte)| {
                let byte = if (148..156).contains(&at) { b' ' } else { byte };
                sum + if signed {
                    i64::from(byte as i8)
                } else {
                    i64::from(byte)
                }
            })
        };
        let said = i64::from(header.cksum().map_err(|_| damaged("invalid tar header"))?);
        if said != sum(false) && said != sum(true) {
            return Err(damaged("invalid tar header"));
        }
        // A number left blank is zero, as other readers have it.
        for field in NUMBERS {
            let digits = &mut header.as_mut_bytes()[field];
            if digits.iter().all(|b| matches!(b, 0 | b' ')) {
                digits[0] = b'0';
            }
        }
        Ok(Some(header))
    }

    fn extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > EXTENSION_MAX {
            return Err(damaged(format!("an extension header of {size} bytes")));
        }
        self.enter(size)?;
        let mut bytes = vec![0; size as usize];
        self.source.read_exact(&mut bytes)?;
        self.data = 0;
        Ok(bytes)
    }

    fn long_name(&mut self, size: u64) -> io::Result<Vec<u8>> {
        let mut name = self.extension(size)?;
        name.truncate(name.iter().position(|&b| b == 0).unwrap_or(name.len()));
        Ok(name)
    }

    /// The map in an old GNU sparse header and the blocks that continue it.
    fn gnu_sparse(&mut self, header: &Header) -> io::Result<(Vec<(u64, u64)>, u64)> {
        let invalid = |_| damaged("invalid tar header");
        let gnu = header.as_gnu().ok_or_else(|| damaged("invalid tar header"))?;
        let mut pieces = Vec::new();
        let mut take = |blocks: &[tar::GnuSparseHeader]| -> io::Result<()> {
            for block in blocks.iter().filter(|block| !block.is_empty()) {
                pieces.push((block.offset().map_err(invalid)?, block.length().map_err(invalid)?));
            }
            if pieces.len() > PIECES_MAX {
                Err(damaged("too many holes in a sparse file"))
            } else {
                Ok(())
            }
        };
        take(&gnu.sparse)?;
        let mut more = gnu.is_extended();
        while more {
            let mut extension = tar::GnuExtSparseHeader::new();
            self.source.read_exact(extension.as_mut_bytes())?;
            take(extension.sparse())?;
            more = extension.is_extended();
        }
        Ok((pieces, gnu.real_size().map_err(invalid)?))
    }

    /// The map at the start of a PAX 1.0 sparse file's data: decimal numbers, one a line, padded to a block.
    fn pax_sparse(&mut self) -> io::Result<Vec<(u64, u64)>> {
        let mut block = [0; BLOCK as usize];
        let mut at = block.len();
        let mut next = |tar: &mut Self| -> io::Result<u64> {
            let mut digits = Vec::new();
            loop {
                if at == block.len() {
                    if tar.data < BLOCK {
                        return Err(damaged("invalid sparse map"));
                    }
                    tar.source.read_exact(&mut block)?;
                    tar.data -= BLOCK;
                    at = 0;
                }
                let byte = block[at];
                at += 1;
                match byte {
                    b'\n' => return number(&digits),
                    _ if digits.len() < 20 => digits.push(byte),
                    _ => return Err(damaged("invalid sparse map")),
                }
            }
        };
        let count = next(self)?;
        if count > PIECES_MAX as u64 {
            return Err(damaged("too many holes in a sparse file"));
        }
        (0..count).map(|_| Ok((next(self)?, next(self)?))).collect()
    }
}

/// Reads to the end.
pub fn drain(source: &mut impl BufRead) -> io::Result<()> {
    loop {
        let count = source.fill_buf()?.len();
        if count == 0 {
            return Ok(());
        }
        source.consume(count);
    }
}

fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match source.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(count) => got += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}
