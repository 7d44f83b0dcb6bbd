//! One directory of a control group tree, held by descriptor: the only place that reads and writes its files.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Longest file that is read: `memory.stat` and `io.stat` of a large host stay well below.
const FILE_BYTES_MAX: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Dir {
    path: PathBuf,
    fd: OwnedFd,
}

impl Dir {
    pub fn open(path: PathBuf) -> Result<Dir> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(fd) => Ok(Dir { path, fd }),
            Err(e) => Err(Error::io("open control group", path, e)),
        }
    }

    /// Makes the directory, and its parents when they are missing. Answers whether it is new.
    pub fn make(path: PathBuf) -> Result<(Dir, bool)> {
        let new = make_dir(&path)?;
        Ok((Dir::open(path)?, new))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub fn open_file(&self, name: &str, flags: OFlags) -> Result<OwnedFd> {
        rustix::fs::openat(&self.fd, name, flags | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| Error::io("open", self.path.join(name), e))
    }

    pub fn has(&self, name: &str) -> bool {
        rustix::fs::accessat(
            &self.fd,
            name,
            rustix::fs::Access::EXISTS,
            rustix::fs::AtFlags::empty(),
        )
        .is_ok()
    }

    /// Writes `value` with one write: these files take a whole value or refuse it.
    pub fn write(&self, name: &str, value: &str) -> Result<()> {
        let file = self.open_file(name, OFlags::WRONLY)?;
        self.write_open(&file, name, value)
    }

    /// As [`Dir::write`], but a file that this kernel does not have is no error. Answers whether it was there.
    pub fn write_if_there(&self, name: &str, value: &str) -> Result<bool> {
        match self.write(name, value) {
            Ok(()) => Ok(true),
            Err(Error::Io {
                what: "open", source, ..
            }) if source.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Writes one more value to a file that is already open (`devices.allow` takes one rule per write).
    pub fn write_open(&self, file: &OwnedFd, name: &str, value: &str) -> Result<()> {
        loop {
            match rustix::io::write(file, value.as_bytes()) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(e) => {
                    return Err(Error::Refused {
                        path: self.path.join(name),
                        value: value.to_owned(),
                        source: e.into(),
                    });
                }
            }
        }
    }

    pub fn read(&self, name: &str) -> Result<String> {
        let file = self.open_file(name, OFlags::RDONLY)?;
        let mut text = Vec::with_capacity(4096);
        loop {
            match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut text)) {
                Ok(0) => break,
                Ok(_) if text.len() >= FILE_BYTES_MAX => break,
                Ok(_) => {
                    if text.capacity() - text.len() < 1024 {
                        text.reserve(8192);
                    }
                }
                Err(Errno::INTR) => continue,
                Err(e) => return Err(Error::io("read", self.path.join(name), e)),
            }
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// A file's content, or `None` when this kernel does not have it.
    pub fn read_if_there(&self, name: &str) -> Result<Option<String>> {
        match self.read(name) {
            Ok(text) => Ok(Some(text)),
            Err(Error::Io {
                what: "open", source, ..
            }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// One number; `max` and a missing file are `None`.
    pub fn number(&self, name: &str) -> Result<Option<u64>> {
        Ok(self
            .read_if_there(name)?
            .and_then(|text| text.trim().parse().ok()))
    }

    /// Names of the groups directly inside this one.
    pub fn children(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let listing = rustix::fs::Dir::read_from(&self.fd)
            .map_err(|e| Error::io("list control group", &self.path, e))?;
        for entry in listing {
            let entry = entry.map_err(|e| Error::io("list control group", &self.path, e))?;
            if entry.file_type() == rustix::fs::FileType::Directory {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name != "." && name != ".." {
                    names.push(name);
                }
            }
        }
        Ok(names)
    }

    /// Processes in this group, not in the groups below it.
    pub fn processes(&self) -> Result<Vec<i32>> {
        Ok(self
            .read("cgroup.procs")?
            .lines()
            .filter_map(|line| line.trim().parse().ok())
            .collect())
    }
}

/// `mkdir -p`, cheap when only the last part is missing. Answers whether the last part is new.
pub(crate) fn make_dir(path: &Path) -> Result<bool> {
    let mode = Mode::from_raw_mode(0o755);
    match rustix::fs::mkdir(path, mode) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(Errno::NOENT) => {
            match path.parent() {
                Some(parent) if parent != Path::new("/") => make_dir(parent)?,
                _ => return Err(Error::io("create control group", path, Errno::NOENT)),
            };
            match rustix::fs::mkdir(path, mode) {
                Ok(()) => Ok(true),
                Err(Errno::EXIST) => Ok(false),
                Err(e) => Err(Error::io("create control group", path, e)),
            }
        }
        Err(e) => Err(Error::io("create control group", path, e)),
    }
}

/// `key value` lines, as in `memory.stat`, `cpu.stat`, `memory.events`.
pub(crate) fn keyed(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once(' ')?;
        Some((key, value.trim().parse().ok()?))
    })
}
