//! A blob that is read while it is still coming: by who unpacks it, and by those who pass it on to other nodes.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::store::block::{Block, open_past};

mod reader;

pub(in crate::store) use reader::read_block;
pub(crate) use reader::{GrowingReader, Passing};

/// Bytes that a reader waits for, unless it ends before: to wake it for each piece takes longer than to use that.
const STEP: u64 = 256 << 10;
/// Blocks kept in memory of one that goes past the page cache, while somebody reads it.
const KEPT: usize = 4;
/// For so long who brings it waits for who unpacks it, before a block that he has not had is given up.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same for all that pass it on, in sum: they are not to make it slower.
const PATIENCE_WITH_OTHERS: Duration = Duration::from_secs(1);

/// Shared by who brings it, who reads it, and who waits for both.
#[derive(Debug, Clone)]
pub(crate) struct Growing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Bytes that it will have.
    size: u64,
    state: Mutex<State>,
    grown: Condvar,
    /// The same for those who do not block.
    moved: Notify,
    /// A reader went on.
    used: Condvar,
    begun: Notify,
}

#[derive(Debug)]
struct State {
    file: Option<Arc<File>>,
    /// It goes past the page cache, in blocks.
    past: bool,
    /// Bytes that can be read.
    len: u64,
    /// Bytes that have come, not all of which can be read.
    come: u64,
    /// The last of those blocks. Who is so far behind that his are not among them reads the file.
    kept: VecDeque<Arc<Block>>,
    readers: Vec<Place>,
    last_reader: u64,
    patience_with_others: Duration,
    /// How many bytes somebody waits for.
    wanted: Option<u64>,
    /// It began anew: what was read of it may not be what it is.
    spoiled: bool,
    /// Whether all of it came and was right.
    end: Option<bool>,
}

/// How far a reader is.
#[derive(Debug)]
struct Place {
    reader: u64,
    at: u64,
    who: Who,
    /// Nobody waits for it until it has caught up.
    behind: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Unpacks,
    PassesOn,
}

/// Where a reader finds what comes next.
enum Found {
    Block(Arc<Block>),
    /// In the file, of which so much can be read.
    File(Arc<File>, u64),
    End,
}

impl Growing {
    pub fn new(size: u64) -> Growing {
        Growing(Arc::new(Inner {
            size,
            state: Mutex::new(State {
                file: None,
                past: false,
                len: 0,
                come: 0,
                kept: VecDeque::new(),
                readers: Vec::new(),
                last_reader: 0,
                patience_with_others: PATIENCE_WITH_OTHERS,
                wanted: None,
                spoiled: false,
                end: None,
            }),
            grown: Condvar::new(),
            moved: Notify::new(),
            used: Condvar::new(),
            begun: Notify::new(),
        }))
    }

    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// Whether both are the same coming.
    pub fn is(&self, other: &Growing) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// It is being written to this file: anew, if it was to another before. `past` the page cache in blocks, each of
    /// which is told by [`Growing::push`], or as bytes told by [`Growing::grow`].
    pub fn begin(&self, path: &Path, past: bool) -> io::Result<()> {
        let file = match past {
            true => open_past(path)?,
            false => File::open(path)?,
        };
        let mut state = self.0.state.lock();
        state.spoiled |= state.file.is_some();
        state.kept.clear();
        (state.len, state.come, state.past) = (0, 0, past);
        state.file = Some(Arc::new(file));
        drop(state);
        self.wake();
        self.0.begun.notify_one();
        Ok(())
    }

    pub fn grow(&self, len: u64) {
        let mut state = self.0.state.lock();
        state.come = len;
        self.reached(state, len);
    }

    /// So many have come; the last of them cannot be read yet.
    pub fn come(&self, bytes: u64) {
        self.0.state.lock().come = bytes;
    }

    /// Bytes that have come.
    pub fn seen(&self) -> u64 {
        self.0.state.lock().come
    }

    /// The next block is in the file. Blocks while a reader needs one that would have to go.
    pub fn push(&self, block: &Arc<Block>) {
        let mut state = self.0.state.lock();
        if state.readers.is_empty() {
            state.kept.clear();
        } else {
            while state.kept.len() >= KEPT {
                self.make_room(&mut state);
            }
            state.kept.push_back(block.clone());
        }
        self.reached(state, block.end());
    }

    /// Lets go of the oldest block, or waits for who needs it.
    fn make_room(&self, state: &mut MutexGuard<State>) {
        let Some(end) = state.kept.front().map(|block| block.end()) else {
            return;
        };
        let needs = |place: &&Place| !place.behind && place.at < end;
        let whom = state.readers.iter().filter(needs).map(|place| place.who);
        let whom = whom.min_by_key(|who| *who != Who::Unpacks);
        let patience = match whom {
            Some(Who::Unpacks) => PATIENCE,
            Some(Who::PassesOn) => state.patience_with_others,
            None => Duration::ZERO,
        };
        if !patience.is_zero() && !state.spoiled {
            let begun = Instant::now();
            let late = self.0.used.wait_for(state, patience).timed_out();
            if whom == Some(Who::PassesOn) {
                state.patience_with_others = patience.saturating_sub(begun.elapsed());
            }
            if !late {
                return;
            }
        }
        for place in state.readers.iter_mut().filter(|place| place.at < end) {
            place.behind = true;
        }
        state.kept.pop_front();
    }

    fn reached(&self, mut state: MutexGuard<State>, len: u64) {
        state.len = len;
        if state.wanted.is_some_and(|wanted| len >= wanted) {
            state.wanted = None;
            drop(state);
            self.wake();
        }
    }

    fn wake(&self) {
        self.0.grown.notify_all();
        self.0.moved.notify_waiters();
    }

    pub fn begin_anew(&self) {
        {
            let mut state = self.0.state.lock();
            state.spoiled = true;
            state.kept.clear();
        }
        self.wake();
    }

    /// Nothing more comes. Only the first word counts.
    pub fn end(&self, whole: bool) {
        self.0.state.lock().end.get_or_insert(whole);
        self.wake();
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
        let begun = self.0.state.lock().file.is_some();
        begun.then(|| GrowingReader::new(self.clone()))
    }

    /// For other nodes, from an offset on, if it has begun and what comes is what it is.
    pub fn pass_on(&self, from: u64) -> Option<Passing> {
        let state = self.0.state.lock();
        let can = state.file.is_some() && !state.spoiled && state.end != Some(false);
        drop(state);
        can.then(|| Passing::new(self.clone(), from))
    }

    fn enter(&self, at: u64, who: Who) -> u64 {
        let mut state = self.0.state.lock();
        state.last_reader += 1;
        let reader = state.last_reader;
        let behind = state.kept.front().is_none_or(|first| at < first.offset()) && at < state.len;
        state.readers.push(Place {
            reader,
            at,
            who,
            behind,
        });
        reader
    }

    fn leave(&self, reader: u64) {
        self.0.state.lock().readers.retain(|place| place.reader != reader);
        self.0.used.notify_all();
    }

    /// What is there at `at`; `None` if it has to be waited for.
    fn look(&self, state: &mut State, reader: u64, at: u64) -> io::Result<Option<Found>> {
        if state.spoiled || state.end == Some(false) {
            return Err(io::Error::other("the layer did not come whole"));
        }
        let enough = match state.past {
            true => at.saturating_add(1),
            false => at.saturating_add(STEP).min(self.0.size).max(at),
        };
        let whole = state.len >= self.0.size || state.end.is_some();
        if whole && at >= state.len {
            return Ok(Some(Found::End));
        }
        if state.len < enough && !whole {
            state.wanted = Some(state.wanted.map_or(enough, |other| other.min(enough)));
            return Ok(None);
        }
        let kept = state.kept.iter().find(|block| block.from(at).is_some()).cloned();
        let (found, next) = match (kept, &state.file) {
            (Some(block), _) => (Found::Block(block.clone()), block.end()),
            (None, Some(file)) => (Found::File(file.clone(), state.len), at),
            (None, None) => return Ok(None),
        };
        if let Some(place) = state.readers.iter_mut().find(|place| place.reader == reader) {
            place.at = next;
            place.behind = matches!(found, Found::File(..));
        }
        self.0.used.notify_all();
        Ok(Some(found))
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
    use std::io::{Read, Write};

    use crate::store::block::{BLOCK, Past};

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
        growing.begin(&path, false).expect("begin");
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
            growing.begin(&path, false).expect("begin");
            let mut reader = growing.begun().await.expect("begun");
            let mut passing = growing.pass_on(0).expect("passing");
            let reading = std::thread::spawn(move || reader.read(&mut [0; 4]));
            let passed = tokio::spawn(async move { passing.next(4).await });
            match spoil {
                true => growing.begin_anew(),
                false => drop(Bringing(growing.clone())),
            }
            assert!(reading.join().expect("thread").is_err());
            assert!(passed.await.expect("task").is_err());
            assert_eq!(growing.is_spoiled(), spoil);
            assert!(growing.pass_on(0).is_none());
        }
        let never = Growing::new(1);
        never.end(true);
        assert!(never.begun().await.is_none());
        assert!(never.pass_on(0).is_none());
    }

    /// Blocks pushed as fast as they are taken, to who unpacks, who passes on from the beginning and from the middle, and
    /// who comes only when half of it is there; one more never reads at all.
    #[tokio::test(flavor = "multi_thread")]
    async fn blocks_reach_all_readers_and_one_that_sleeps_holds_nobody_up_for_long() {
        let (_folder, path) = file();
        let all: Vec<u8> = (0..BLOCK * 12 + 777).map(|n| (n / 5) as u8).collect();
        let file = File::create(&path).expect("file");
        let growing = Growing::new(all.len() as u64);
        growing.begin(&path, true).expect("begin");
        let pass_on = |from: usize| {
            let mut passing = growing.pass_on(from as u64).expect("passing");
            let rest = all[from..].to_vec();
            tokio::spawn(async move {
                let mut got = Vec::new();
                loop {
                    match passing.next(100_000).await.expect("piece") {
                        piece if piece.is_empty() => break,
                        piece => got.extend_from_slice(&piece),
                    }
                }
                assert!(got == rest, "from {from}: {} bytes", got.len());
            })
        };
        let mut passed = vec![pass_on(0), pass_on(BLOCK * 2 + 5)];
        let sleeping = growing.pass_on(0).expect("passing");
        let mut reader = growing.begun().await.expect("begun");
        let unpacking = std::thread::spawn(move || {
            let mut got = Vec::new();
            reader.read_to_end(&mut got).map(|_| got)
        });
        let (mut past, mut pool) = (Past::new(&file), Vec::<Arc<Block>>::new());
        let begun = Instant::now();
        for (at, bytes) in all.chunks(BLOCK).enumerate() {
            if at == 6 {
                passed.push(pass_on(7));
            }
            let mut block = Block::new().expect("memory");
            block.begin((at * BLOCK) as u64);
            assert_eq!(block.take(bytes), bytes.len());
            past.write(&file, &block).expect("write");
            let block = Arc::new(block);
            growing.push(&block);
            pool.push(block);
            // Only the last ones are kept, and what a reader is at.
            let kept = pool.iter().filter(|block| Arc::strong_count(block) > 1).count();
            assert!(kept <= KEPT + 5, "{kept} blocks are kept");
        }
        let took = begun.elapsed();
        assert!(took < PATIENCE_WITH_OTHERS + PATIENCE / 2, "{took:?}");
        assert!(unpacking.join().expect("thread").expect("read") == all);
        for passed in passed {
            passed.await.expect("passed on");
        }
        drop(sleeping);
    }
}
