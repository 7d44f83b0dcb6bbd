//! The writing side: cuts a container's output into lines and appends them, rotating when asked to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::encode;
use crate::error::{Error, Result};
use crate::options::Rotation;
use crate::record::Stream;
use crate::rotation;
use crate::stamp::rfc3339_nano;

/// A longer line is written in pieces of this size, as Docker's own copier does.
const LINE_MAX: usize = 16 * 1024;
/// Kept between batches; a larger buffer is given back, so that an idle shim stays small.
const BUFFER_KEPT: usize = 64 * 1024;

/// Appends to one container's log. What `write` was given is in the kernel when it returns, but for the last
/// line of a stream while its newline has not come.
#[derive(Debug)]
pub struct JsonFileWriter {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    size: u64,
    /// The end of a line that was not complete yet, per stream.
    open_line: [Vec<u8>; 2],
    batch: Vec<u8>,
    /// A write stopped half way (full disk): the next one must begin on a new line.
    torn: bool,
    /// Why the last rotation failed. Lines go on into the old file, and the caller hears of it once.
    not_rotated: Option<Error>,
}

impl JsonFileWriter {
    /// Opens or creates the log (mode 0640) and goes on at its end.
    pub fn open(path: &Path, rotation: Rotation) -> Result<JsonFileWriter> {
        let mut file = options()
            .create(true)
            .open(path)
            .map_err(|e| Error::new("open", path, e))?;
        let (size, torn) = ending(&mut file).map_err(|e| Error::new("read the end of", path, e))?;
        Ok(JsonFileWriter {
            path: path.to_owned(),
            rotation,
            file,
            size,
            open_line: [Vec::new(), Vec::new()],
            batch: Vec::new(),
            torn,
            not_rotated: None,
        })
    }

    /// Appends what one `read` of the container's output gave. `time` stamps every line in it.
    /// After an error the batch is lost and the writer can be used again.
    pub fn write(&mut self, stream: Stream, mut data: &[u8], time: SystemTime) -> Result<()> {
        let stamp = rfc3339_nano(time);
        let open = stream as usize;
        while !data.is_empty() {
            let room = LINE_MAX - self.open_line[open].len();
            let window = &data[..data.len().min(room)];
            let end = match window.iter().position(|&b| b == b'\n') {
                Some(newline) => newline + 1,
                None if window.len() == room => room,
                None => {
                    self.open_line[open].extend_from_slice(window);
                    break;
                }
            };
            if self.open_line[open].is_empty() {
                self.append(&data[..end], stream, &stamp)?;
            } else {
                let mut line = std::mem::take(&mut self.open_line[open]);
                line.extend_from_slice(&data[..end]);
                self.append(&line, stream, &stamp)?;
                line.clear();
                self.open_line[open] = line;
            }
            data = &data[end..];
        }
        self.flush()?;
        self.not_rotated.take().map_or(Ok(()), Err)
    }

    /// Writes the last line of a stream that ended without a newline.
    pub fn finish(&mut self, stream: Stream, time: SystemTime) -> Result<()> {
        let line = std::mem::take(&mut self.open_line[stream as usize]);
        if line.is_empty() {
            return Ok(());
        }
        self.append(&line, stream, &rfc3339_nano(time))?;
        self.flush()?;
        self.not_rotated.take().map_or(Ok(()), Err)
    }

    /// Makes everything written so far survive a power cut.
    pub fn sync(&self) -> Result<()> {
        self.file
            .sync_data()
            .map_err(|e| Error::new("sync", &self.path, e))
    }

    fn append(&mut self, line: &[u8], stream: Stream, stamp: &str) -> Result<()> {
        if self
            .rotation
            .max_size
            .is_some_and(|max| self.size + self.batch.len() as u64 >= max)
        {
            self.flush()?;
            if let Err(error) = self.rotate() {
                self.not_rotated = Some(error);
            }
        }
        encode::line(&mut self.batch, line, stream, stamp);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let mut batch = std::mem::take(&mut self.batch);
        if self.torn {
            batch.insert(0, b'\n');
        }
        let written = self.file.write_all(&batch);
        self.torn = written.is_err();
        self.size += batch.len() as u64;
        if batch.capacity() <= BUFFER_KEPT {
            batch.clear();
            self.batch = batch;
        }
        written.map_err(|e| Error::new("append to", &self.path, e))
    }

    fn rotate(&mut self) -> Result<()> {
        self.file =
            rotate(&self.path, self.rotation.max_file).map_err(|e| Error::new("rotate", &self.path, e))?;
        self.size = 0;
        self.torn = false;
        Ok(())
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o640);
    options
}

/// Makes the new file first, so that a full disk moves nothing, and gives it its name last and in one step: a
/// follower reads the old file to its end.
fn rotate(path: &Path, max_file: u32) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let _ = fs::remove_file(&new);
    let file = options().create_new(true).open(&new)?;
    rotation::shift(path, max_file)?;
    fs::rename(&new, path)?;
    Ok(file)
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
