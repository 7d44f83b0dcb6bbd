//! The writing side: cuts a container's output into records and appends them, rotating when asked to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::cutter::{Cutter, Piece};
use crate::error::{Error, Result};
use crate::options::{Format, Rotation};
use crate::record::{Stream, nanos};
use crate::rotation::{self, Names};
use crate::stamp::rfc3339_nano;
use crate::{json, local};

/// Kept by [`Writer::relax`]; a larger buffer is given back, so that an idle shim stays small.
const BUFFER_KEPT: usize = 8 * 1024;
/// While the names cannot be changed (the compressor has them, the disk is full), this many more bytes are written before
/// the next attempt.
const ROTATE_AGAIN: u64 = 256 * 1024;

/// What was printed but could not be kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    pub records: u64,
    pub bytes: u64,
}

/// Appends to one container's log. What `write` was given is in the kernel when it returns, but for the last
/// line of a stream while its newline has not come.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    format: Format,
    rotation: Rotation,
    /// A JSON object that goes into every record, or nothing.
    attrs: Vec<u8>,
    file: File,
    size: u64,
    /// The size at which to rotate, put off when that fails.
    rotate_at: u64,
    number: u64,
    cutter: Cutter,
    batch: Batch,
    /// A write stopped half way (full disk).
    torn: bool,
    lost: Lost,
    /// Rotations so far, for whoever compresses.
    rotated: u32,
    /// Why the last rotation failed. Lines go on into the old file, and the caller hears of it once.
    not_rotated: Option<Error>,
}

/// Records that are not written yet.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    records: u64,
    text_bytes: u64,
    /// The end of every JSON record of this stream and time.
    tail: Vec<u8>,
    tail_of: Option<(Stream, u64)>,
}

impl Writer {
    /// Opens or creates the log (mode 0640) and goes on at its end.
    pub fn open(path: &Path, format: Format, rotation: Rotation, attrs: &str) -> Result<Writer> {
        let mut file = options()
            .create(true)
            .open(path)
            .map_err(|e| Error::new("open", path, e))?;
        let failed = |e| Error::new("read the end of", path, e);
        let (size, torn, number) = match format {
            Format::Json => ending(&mut file).map(|(size, torn)| (size, torn, 0)),
            Format::Local => mended(path, &file).map(|(size, number)| (size, false, number)),
        }
        .map_err(failed)?;
        Ok(Writer {
            path: path.to_owned(),
            format,
            rotation,
            attrs: attrs.as_bytes().to_vec(),
            file,
            size,
            rotate_at: rotation.max_size.unwrap_or(u64::MAX),
            number,
            cutter: Cutter::default(),
            batch: Batch::default(),
            torn,
            lost: Lost::default(),
            rotated: 0,
            not_rotated: None,
        })
    }

    /// Appends what one `read` of the container's output gave. `time` stamps every line in it.
    /// After an error the batch is lost (and counted), and the writer can be used again.
    pub fn write(&mut self, stream: Stream, data: &[u8], time: SystemTime) -> Result<()> {
        let mut cutter = std::mem::take(&mut self.cutter);
        let cut = cutter.cut(stream, data, nanos(time), |piece| self.append(stream, &piece));
        self.cutter = cutter;
        cut?;
        self.end()
    }

    /// Writes the last line of a stream that ended without a newline.
    pub fn finish(&mut self, stream: Stream, time: SystemTime) -> Result<()> {
        let mut cutter = std::mem::take(&mut self.cutter);
        let cut = cutter.finish(stream, nanos(time), |piece| self.append(stream, &piece));
        self.cutter = cutter;
        cut?;
        self.end()
    }

    /// What was lost since this was asked last.
    pub fn take_lost(&mut self) -> Lost {
        std::mem::take(&mut self.lost)
    }

    /// Whether it was rotated since this was asked last.
    pub fn take_rotated(&mut self) -> bool {
        std::mem::take(&mut self.rotated) > 0
    }

    /// Gives the memory back that only a busy log needs.
    pub fn relax(&mut self) {
        self.batch.bytes.shrink_to(BUFFER_KEPT);
        self.cutter.relax();
    }

    /// Makes everything written so far survive a power cut.
    pub fn sync(&self) -> Result<()> {
        self.file
            .sync_data()
            .map_err(|e| Error::new("sync", &self.path, e))
    }

    fn end(&mut self) -> Result<()> {
        self.flush()?;
        self.not_rotated.take().map_or(Ok(()), Err)
    }

    fn append(&mut self, stream: Stream, piece: &Piece<'_>) -> Result<()> {
        if self.size + self.batch.bytes.len() as u64 >= self.rotate_at {
            self.flush()?;
            self.rotate();
        }
        let batch = &mut self.batch;
        match self.format {
            Format::Json => {
                if batch.tail_of != Some((stream, piece.time)) {
                    batch.tail.clear();
                    let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos(piece.time);
                    json::tail(&mut batch.tail, stream, &self.attrs, &rfc3339_nano(time));
                    batch.tail_of = Some((stream, piece.time));
                }
                json::line(&mut batch.bytes, piece.text, &batch.tail);
            }
            Format::Local => {
                self.number += 1;
                local::line(&mut batch.bytes, stream, piece, self.number);
            }
        }
        batch.records += 1;
        batch.text_bytes += piece.text.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let batch = &mut self.batch;
        if batch.bytes.is_empty() {
            return Ok(());
        }
        // The next record must begin on a new line. (A torn file in the local format was cut to its last whole record.)
        if self.torn && self.format == Format::Json {
            batch.bytes.insert(0, b'\n');
        }
        let written = self.file.write_all(&batch.bytes);
        match &written {
            Ok(()) => {
                self.size += batch.bytes.len() as u64;
                self.torn = false;
            }
            Err(_) => {
                self.lost.records += batch.records;
                self.lost.bytes += batch.text_bytes;
                self.torn = true;
                match self.format {
                    Format::Json => self.size += batch.bytes.len() as u64,
                    Format::Local => drop(self.file.set_len(self.size)),
                }
            }
        }
        batch.bytes.clear();
        (batch.records, batch.text_bytes) = (0, 0);
        written.map_err(|e| Error::new("append to", &self.path, e))
    }

    fn rotate(&mut self) {
        let max = self.rotation.max_size.unwrap_or(u64::MAX);
        match rotate(&self.path, self.rotation.max_file) {
            Ok(Some(file)) => {
                self.file = file;
                self.size = 0;
                self.torn = false;
                self.rotate_at = max;
                self.rotated += 1;
            }
            // The compressor is just putting a file in its place.
            Ok(None) => self.rotate_at = self.size + ROTATE_AGAIN.min(max),
            Err(error) => {
                self.rotate_at = self.size + ROTATE_AGAIN.min(max);
                self.not_rotated = Some(Error::new("rotate", &self.path, error));
            }
        }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o640);
    options
}

/// Makes the new file first, so that a full disk moves nothing, and gives it its name last and in one step: a
/// follower reads the old file to its end. `None` if the names are being changed by another.
fn rotate(path: &Path, max_file: u32) -> io::Result<Option<File>> {
    let Some(_names) = Names::try_lock(path)? else {
        return Ok(None);
    };
    let new = rotation::with(path, ".new");
    rotation::remove(&new)?;
    let file = options().create_new(true).open(&new)?;
    rotation::shift(path, max_file)?;
    fs::rename(&new, path)?;
    Ok(Some(file))
}

/// The file's size, and whether its last line was cut short by a crash.
fn ending(file: &mut File) -> io::Result<(u64, bool)> {
    let size = file.seek(SeekFrom::End(0))?;
    if size == 0 {
        return Ok((0, false));
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok((size, last[0] != b'\n'))
}

/// Cuts a file of the local format behind its last whole record. Its size then, and the last record's number.
fn mended(path: &Path, file: &File) -> io::Result<(u64, u64)> {
    let size = file.metadata()?.len();
    if let Some(number) = last_number(file, size)? {
        return Ok((size, number));
    }
    if size == 0 {
        let before = match File::open(rotation::nth(path, 1)) {
            Ok(before) => before,
            Err(_) => return Ok((0, 0)),
        };
        let size = before.metadata()?.len();
        return Ok((0, last_number(&before, size)?.unwrap_or(0)));
    }
    // A power cut tore the end off: forward from the beginning.
    let mut good = 0;
    let mut number = 0;
    let mut field = [0; 4];
    while good + local::AROUND as u64 <= size {
        file.read_exact_at(&mut field, good)?;
        let Some(body) = local::length(&field) else { break };
        let end = good + (body + local::AROUND) as u64;
        if end > size {
            break;
        }
        match last_number(file, end)? {
            Some(found) => number = found,
            None => break,
        }
        good = end;
    }
    file.set_len(good)?;
    Ok((good, number))
}

/// The number of the record that ends at `end`; `None` if none does.
fn last_number(file: &File, end: u64) -> io::Result<Option<u64>> {
    let mut field = [0; 4];
    if end < local::AROUND as u64 {
        return Ok(None);
    }
    file.read_exact_at(&mut field, end - 4)?;
    let Some(begin) = local::length(&field).and_then(|body| end.checked_sub((body + local::AROUND) as u64))
    else {
        return Ok(None);
    };
    let mut head = vec![0; (end - begin) as usize - 4];
    file.read_exact_at(&mut head, begin)?;
    if head[..4] != field {
        return Ok(None);
    }
    let mut scratch = Vec::new();
    Ok(local::decode(&head[4..], &mut scratch).map(|line| line.number))
}
