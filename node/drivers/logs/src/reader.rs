//! The reading side: an iterator over the records of a log and of the files it was rotated into.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::{Error, Result};
use crate::follow::{Stop, Watch, Woken};
use crate::record::Entry;
use crate::rotation::nth;
use crate::tail;

const BLOCK: usize = 64 * 1024;
/// A "line" longer than this is damage, not a record: Docker's largest is under 100 KiB.
const LINE_MAX: usize = 1024 * 1024;
/// Rotated files looked for; the writer keeps far fewer.
const FILES_MAX: u32 = 1000;

/// Which records to give.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// Records at or after this time.
    pub since: Option<SystemTime>,
    /// Records at or before this time; a follower ends when it has passed.
    pub until: Option<SystemTime>,
    /// Only this many of the last records; counted before `since` and `until`, as Docker does.
    pub tail: Option<u64>,
    /// Wait for more instead of ending.
    pub follow: bool,
}

/// Opens the log for reading. A log that was never written (no such file) has no records.
pub fn read(path: &Path, options: ReadOptions) -> Result<Reader> {
    let stop = Stop::new().map_err(|e| Error::new("follow", path, e))?;
    let watch = match options.follow {
        // Before the files are opened, so that nothing written in between goes unnoticed.
        true => Some(
            Watch::new(path.parent().unwrap_or(Path::new("."))).map_err(|e| Error::new("follow", path, e))?,
        ),
        false => None,
    };
    let mut files = open_all(path).map_err(|e| Error::new("open", path, e))?;
    if let Some(want) = options.tail {
        let mut left = want;
        for place in files.iter_mut().rev() {
            let (offset, found) = tail::start(&place.file, left).map_err(|e| Error::new("read", path, e))?;
            place.offset = offset;
            left -= found;
        }
    }
    Ok(Reader {
        path: path.to_owned(),
        options,
        files,
        window: Window::default(),
        watch,
        stop,
        over: false,
        ended: false,
    })
}

/// Gives the records in order, blocking between them when it follows. An error ends it.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    options: ReadOptions,
    /// Files still to be read, the oldest first; the first is being read.
    files: VecDeque<Place>,
    window: Window,
    watch: Option<Watch>,
    stop: Stop,
    /// No more waiting: what the files hold now is the rest.
    over: bool,
    ended: bool,
}

#[derive(Debug)]
struct Place {
    file: File,
    inode: u64,
    offset: u64,
}

impl Reader {
    /// A handle that ends the following from elsewhere.
    pub fn stopper(&self) -> Stop {
        self.stop.clone()
    }

    fn advance(&mut self) -> io::Result<Option<Entry>> {
        loop {
            while let Some(line) = self.window.line() {
                if let Some(entry) = Entry::decode(line) {
                    if self.options.until.is_some_and(|until| entry.time > until) {
                        return Ok(None);
                    }
                    if self.options.since.is_none_or(|since| entry.time >= since) {
                        return Ok(Some(entry));
                    }
                }
            }
            if !self.fill()? && !self.next_file()? {
                if self.over || self.watch.is_none() {
                    // A record whose newline has not been written yet may still be whole.
                    if !self.window.close() {
                        return Ok(None);
                    }
                    continue;
                }
                self.wait()?;
            }
        }
    }

    /// Reads on in the current file; false at its end.
    fn fill(&mut self) -> io::Result<bool> {
        let Some(place) = self.files.front_mut() else {
            return Ok(false);
        };
        let count = self.window.fill(&place.file, place.offset)?;
        place.offset += count as u64;
        Ok(count > 0)
    }

    /// Steps from a finished file to the next newer one; false if the current file is the newest.
    fn next_file(&mut self) -> io::Result<bool> {
        if self.files.len() > 1 {
            self.files.pop_front();
            self.window.close();
            return Ok(true);
        }
        if self.watch.is_none() {
            return Ok(false);
        }
        let Some(place) = self.files.front_mut() else {
            self.files = open_all(&self.path)?;
            return Ok(!self.files.is_empty());
        };
        let newest = match std::fs::metadata(&self.path) {
            Ok(newest) => newest,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if newest.ino() == place.inode {
            if newest.len() < place.offset {
                // Somebody emptied the file in place.
                place.offset = 0;
                self.window = Window::default();
                return Ok(true);
            }
            return Ok(false);
        }
        // Rotated. The writer never touches the old file again, but may have between our last read and now.
        if self.fill()? {
            return Ok(true);
        }
        let old = self.files.pop_front().map(|place| place.inode);
        self.window.close();
        self.files = open_all(&self.path)?;
        if let Some(seen) = self.files.iter().position(|place| Some(place.inode) == old) {
            self.files.drain(..=seen);
        }
        Ok(true)
    }

    fn wait(&mut self) -> io::Result<()> {
        let Some(watch) = &self.watch else { return Ok(()) };
        let longest = self.options.until.map(|until| {
            until.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO) + Duration::from_millis(1)
        });
        if self.stop.asked() || watch.wait(&self.stop, longest)? == Woken::Over {
            self.over = true;
        } else if self.removed()? {
            // Twice, because the writer's rotation leaves the name free for a moment.
            std::thread::sleep(Duration::from_millis(10));
            self.over = self.removed()?;
        }
        Ok(())
    }

    /// Whether the log was deleted. Its directory's end cannot tell: the open file keeps that alive.
    fn removed(&self) -> io::Result<bool> {
        let Some(place) = self.files.front() else {
            return Ok(false);
        };
        Ok(place.file.metadata()?.nlink() == 0 && !self.path.exists())
    }
}

impl Iterator for Reader {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        if self.ended {
            return None;
        }
        let step = self.advance();
        self.ended = !matches!(step, Ok(Some(_)));
        step.map_err(|e| Error::new("read", &self.path, e)).transpose()
    }
}

/// Opens the log and its older files, the oldest first. A rotation that happens meanwhile can show a file twice
/// (left out), leave one name free for a moment (looked past), or change the newest one (tried again).
fn open_all(path: &Path) -> io::Result<VecDeque<Place>> {
    for _ in 0..10 {
        let mut files: VecDeque<Place> = VecDeque::new();
        let (mut newest, mut missing) = (None, 0);
        for n in 0..FILES_MAX {
            let file = match File::open(nth(path, n)) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound && missing < 2 => {
                    missing += 1;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            };
            let inode = file.metadata()?.ino();
            if n == 0 {
                newest = Some(inode);
            }
            if !files.iter().any(|place| place.inode == inode) {
                files.push_front(Place {
                    file,
                    inode,
                    offset: 0,
                });
            }
        }
        if newest == std::fs::metadata(path).ok().map(|meta| meta.ino()) {
            return Ok(files);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(io::Error::other(
        "the log is rotated faster than it can be opened",
    ))
}

/// The bytes read but not yet given.
#[derive(Debug, Default)]
struct Window {
    bytes: Vec<u8>,
    /// Where the next line begins.
    begin: usize,
    /// How far was searched for its newline.
    searched: usize,
    /// The current line is damage that is longer than any record: skip to its end.
    skipping: bool,
}

impl Window {
    fn line(&mut self) -> Option<&[u8]> {
        loop {
            match self.bytes[self.searched..].iter().position(|&b| b == b'\n') {
                Some(at) => {
                    let (begin, end) = (self.begin, self.searched + at);
                    self.begin = end + 1;
                    self.searched = self.begin;
                    if !std::mem::take(&mut self.skipping) {
                        return Some(&self.bytes[begin..end]);
                    }
                }
                None => {
                    self.searched = self.bytes.len();
                    if self.searched - self.begin > LINE_MAX {
                        self.skipping = true;
                        self.begin = self.searched;
                    }
                    return None;
                }
            }
        }
    }

    fn fill(&mut self, file: &File, offset: u64) -> io::Result<usize> {
        self.bytes.drain(..self.begin);
        self.searched -= self.begin;
        self.begin = 0;
        let have = self.bytes.len();
        self.bytes.resize(have + BLOCK, 0);
        let result = file.read_at(&mut self.bytes[have..], offset);
        self.bytes.truncate(have + *result.as_ref().unwrap_or(&0));
        result
    }

    /// Ends the last line as if its newline had come; false if there is none.
    fn close(&mut self) -> bool {
        let open = self.begin < self.bytes.len();
        if open {
            self.bytes.push(b'\n');
        }
        open
    }
}
