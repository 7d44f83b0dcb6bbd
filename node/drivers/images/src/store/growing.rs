//! A blob that is read while it is still coming.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

/// Bytes that a reader waits for, unless it ends before: to wake it for each piece takes longer than to use that.
const STEP: u64 = 256 << 10;

/// Shared by who brings it, who reads it, and who waits for both.
#[derive(Debug, Clone)]
pub(crate) struct Growing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Bytes that it will have.
    size: u64,
    state: Mutex<State>,
    grown: Condvar,
    begun: Notify,
}

#[derive(Debug, Default)]
struct State {
    file: Option<Arc<File>>,
    /// Bytes that are there.
    len: u64,
    /// How many of them somebody waits for.
    wanted: Option<u64>,
    /// It began anew: what was read of it may not be what it is.
    spoiled: bool,
    /// Whether all of it came and was right.
    end: Option<bool>,
}

impl Growing {
    pub fn new(size: u64) -> Growing {
        Growing(Arc::new(Inner {
            size,
            state: Mutex::default(),
            grown: Condvar::new(),
            begun: Notify::new(),
        }))
    }

    /// It is being written to this file: anew, if it was to another before.
    pub fn begin(&self, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        let mut state = self.0.state.lock();
        state.spoiled |= state.file.is_some();
        state.len = 0;
        state.file = Some(Arc::new(file));
        drop(state);
        self.0.grown.notify_all();
        self.0.begun.notify_one();
        Ok(())
    }

    pub fn grow(&self, len: u64) {
        let mut state = self.0.state.lock();
        state.len = len;
        if state.wanted.is_some_and(|wanted| len >= wanted) {
            state.wanted = None;
            drop(state);
            self.0.grown.notify_all();
        }
    }

    pub fn begin_anew(&self) {
        self.0.state.lock().spoiled = true;
        self.0.grown.notify_all();
    }

    /// Nothing more comes. Only the first word counts.
    pub fn end(&self, whole: bool) {
        self.0.state.lock().end.get_or_insert(whole);
        self.0.grown.notify_all();
        self.0.begun.notify_one();
    }

    pub fn has_ended(&self) -> bool {
        self.0.state.lock().end.is_some()
    }

    /// Whether what was read of it may be something else than it is.
    pub fn is_spoiled(&self) -> bool {
        self.0.state.lock().spoiled
    }

    /// Waits until it can be read; `None` if it ended before, having been there already or for want of it. One waits.
    pub async fn begun(&self) -> Option<GrowingReader> {
        loop {
            if let Some(reader) = self.reader() {
                return Some(reader);
            }
            if self.has_ended() {
                return None;
            }
            self.0.begun.notified().await;
        }
    }

    /// From its beginning, if it has begun.
    pub fn reader(&self) -> Option<GrowingReader> {
        let file = self.0.state.lock().file.clone()?;
        Some(GrowingReader {
            from: self.clone(),
            file,
            at: 0,
        })
    }
}

/// Reads from its beginning, waiting for what has not come yet. Blocks.
#[derive(Debug)]
pub(crate) struct GrowingReader {
    from: Growing,
    file: Arc<File>,
    at: u64,
}

impl Read for GrowingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let inner = &self.from.0;
        let there = {
            let mut state = inner.state.lock();
            let enough = self.at.saturating_add(STEP).min(inner.size);
            loop {
                if state.spoiled || state.end == Some(false) {
                    return Err(io::Error::other("the layer did not come whole"));
                }
                if state.len >= enough || state.end.is_some() {
                    break state.len;
                }
                state.wanted = Some(state.wanted.map_or(enough, |other| other.min(enough)));
                inner.grown.wait(&mut state);
            }
        };
        let left = usize::try_from(there.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let want = buffer.len().min(left);
        let count = self.file.read_at(&mut buffer[..want], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Ends it when dropped: nobody waits for what nobody brings any more.
#[derive(Debug)]
pub(crate) struct Bringing(pub Growing);

impl Drop for Bringing {
    fn drop(&mut self) {
        self.0.end(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("dir");
        let path = folder.path().join("blob");
        (folder, path)
    }

    #[tokio::test]
    async fn reads_what_comes_and_stops_where_it_ends() {
        let (_folder, path) = file();
        let mut writer = File::create(&path).expect("file");
        let growing = Growing::new(10);
        growing.begin(&path).expect("begin");
        let mut reader = growing.begun().await.expect("begun");
        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map(|_| all)
        });
        for (at, piece) in [b"hello", b"there"].iter().enumerate() {
            writer.write_all(*piece).expect("write");
            growing.grow(5 * (at as u64 + 1));
        }
        // All is there: no word about the end is needed.
        assert_eq!(reading.join().expect("thread").expect("read"), b"hellothere");
        assert!(!growing.has_ended());
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let (_folder, path) = file();
        File::create(&path).expect("file");
        for spoil in [true, false] {
            let growing = Growing::new(10);
            growing.begin(&path).expect("begin");
            let mut reader = growing.begun().await.expect("begun");
            let reading = std::thread::spawn(move || reader.read(&mut [0; 4]));
            match spoil {
                true => growing.begin_anew(),
                false => drop(Bringing(growing.clone())),
            }
            assert!(reading.join().expect("thread").is_err());
            assert_eq!(growing.is_spoiled(), spoil);
        }
        let never = Growing::new(1);
        never.end(true);
        assert!(never.begun().await.is_none());
    }
}
