//! The reading side: gives the records of a log and of the files it was rotated into.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::compress;
use crate::error::{Error, Result};
use crate::follow::{Stop, Watch, Woken};
use crate::options::Format;
use crate::record::{Entry, Line};
use crate::rotation::{nth, nth_packed};
use crate::tail;
use crate::window::Window;
use crate::{json, local};

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
pub fn read(path: &Path, format: Format, options: ReadOptions) -> Result<Reader> {
    let stop = Stop::new().map_err(|e| Error::new("follow", path, e))?;
    let watch = match options.follow {
        // Before the files are opened, so that nothing written in between goes unnoticed.
        true => Some(Watch::new(directory(path)).map_err(|e| Error::new("follow", path, e))?),
        false => None,
    };
    let mut files = open_all(path).map_err(|e| Error::new("open", path, e))?;
    if let Some(want) = options.tail {
        last(&mut files, path, format, want).map_err(|e| Error::new("read", path, e))?;
    }
    Ok(Reader {
        path: path.to_owned(),
        format,
        options,
        files,
        window: Window::new(format),
        scratch: Vec::new(),
        watch,
        stop,
        over: false,
        ended: false,
        entries: VecDeque::new(),
    })
}

/// Gives the records in order, blocking between them when it follows. An error ends it.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    format: Format,
    options: ReadOptions,
    /// Files still to be read, the oldest first; the first is being read.
    files: VecDeque<Place>,
    window: Window,
    scratch: Vec<u8>,
    watch: Option<Watch>,
    stop: Stop,
    /// No more waiting: what the files hold now is the rest.
    over: bool,
    ended: bool,
    /// For the iterator: read and not yet given.
    entries: VecDeque<Entry>,
}

#[derive(Debug)]
struct Place {
    file: File,
    /// Of the file as it was written.
    inode: u64,
    offset: u64,
    /// Compressed, and not unpacked yet.
    packed: bool,
}

impl Place {
    fn unpack(&mut self, path: &Path) -> io::Result<()> {
        if std::mem::take(&mut self.packed) {
            self.file = compress::unpack(self.file.try_clone()?, directory(path))?.0;
        }
        Ok(())
    }
}

impl Reader {
    /// A handle that ends the following from elsewhere.
    pub fn stopper(&self) -> Stop {
        self.stop.clone()
    }

    /// Gives `take` the records of one stretch of the log, waiting for it if there is none yet and the reader follows. False
    /// when the log is over and all of it was given.
    pub fn step(&mut self, mut take: impl FnMut(&Line<'_>)) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let step = self.advance(&mut take);
        self.ended = !matches!(step, Ok(true));
        step.map_err(|e| Error::new("read", &self.path, e))
    }

    fn advance(&mut self, take: &mut impl FnMut(&Line<'_>)) -> io::Result<bool> {
        loop {
            let mut given = false;
            while let Some(record) = self.window.record() {
                let decoded = match self.format {
                    Format::Json => json::decode(record, &mut self.scratch),
                    Format::Local => local::decode(record, &mut self.scratch),
                };
                let Some(line) = decoded else { continue };
                if self.options.until.is_some() || self.options.since.is_some() {
                    let Some(time) = line.time.system() else { continue };
                    if self.options.until.is_some_and(|until| time > until) {
                        return Ok(false);
                    }
                    if self.options.since.is_some_and(|since| time < since) {
                        continue;
                    }
                }
                take(&line);
                given = true;
            }
            if given {
                return Ok(true);
            }
            if !self.fill()? && !self.next_file()? {
                if self.over || self.watch.is_none() {
                    // A record whose newline has not been written yet may still be whole.
                    if !self.window.close() {
                        return Ok(false);
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
        place.unpack(&self.path)?;
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
                self.window = Window::new(self.format);
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
        loop {
            if let Some(entry) = self.entries.pop_front() {
                return Some(Ok(entry));
            }
            let mut entries = std::mem::take(&mut self.entries);
            let step = self.step(|line| entries.extend(line.to_entry()));
            self.entries = entries;
            match step {
                Err(error) => return Some(Err(error)),
                Ok(false) if self.entries.is_empty() => return None,
                Ok(_) => {}
            }
        }
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// Leaves of the files what holds the last `want` records.
fn last(files: &mut VecDeque<Place>, path: &Path, format: Format, want: u64) -> io::Result<()> {
    let mut left = want;
    let mut needed = 0;
    for place in files.iter_mut().rev() {
        needed += 1;
        place.unpack(path)?;
        let (offset, found) = tail::start(&place.file, format, left)?;
        place.offset = offset;
        left -= found.min(left);
        if left == 0 {
            break;
        }
    }
    files.drain(..files.len() - needed);
    Ok(())
}

/// Opens the log and its older files, the oldest first. A rotation that happens meanwhile can show a file twice
/// (left out), leave one name free for a moment (looked past), or change the newest one (tried again).
fn open_all(path: &Path) -> io::Result<VecDeque<Place>> {
    for _ in 0..10 {
        let mut files: VecDeque<Place> = VecDeque::new();
        let (mut newest, mut missing) = (None, 0);
        for n in 0..FILES_MAX {
            let Some(place) = open_one(path, n)? else {
                missing += 1;
                if missing > 2 {
                    break;
                }
                continue;
            };
            if n == 0 {
                newest = Some(place.inode);
            }
            if !files.iter().any(|other| other.inode == place.inode) {
                files.push_front(place);
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

/// The `n`th file, plain or compressed. The plain one goes only after its compressed twin is there.
fn open_one(path: &Path, n: u32) -> io::Result<Option<Place>> {
    let open = |path: PathBuf| match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    if let Some(file) = open(nth(path, n))? {
        return Ok(Some(Place {
            inode: file.metadata()?.ino(),
            file,
            offset: 0,
            packed: false,
        }));
    }
    if n == 0 {
        return Ok(None);
    }
    let Some(file) = open(nth_packed(path, n))? else {
        return Ok(None);
    };
    let own = file.metadata()?.ino();
    Ok(Some(Place {
        inode: compress::inode_of(&file)?.unwrap_or(own),
        file,
        offset: 0,
        packed: true,
    }))
}
