//! Following a chunked body where its bytes lie, and passing them on.

use super::Lane;
use bytes::Bytes;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of one piece of memory: what was read stays in a core's cache until it is used.
const BLOCK_BYTES: usize = 128 << 10;
/// A read that could bring less than this waits for the next block.
const ROOM_BYTES_MIN: usize = 16 << 10;
/// Blocks kept for the rest of the body.
const SPARE_MAX: usize = 64;
/// The longest size line that is understood here.
const LINE_BYTES_MAX: usize = 18;

/// Where in a chunked body we are.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// In a size line.
    Line,
    /// So many bytes of a chunk are left.
    Chunk(u64),
    /// So many bytes of the line end behind a chunk are left.
    End(u8),
}

/// A body on its way from the socket to a handler.
pub(crate) struct Giver {
    pub lane: Lane,
    place: Place,
    /// What of the present size line came before.
    line: Vec<u8>,
    block: Box<[u8]>,
    filled: usize,
    /// Bytes of the body that have come, and the offset before which the handler has no use for them.
    offset: u64,
    wanted_from: Arc<AtomicU64>,
    /// So many of no use, which it has not heard of yet.
    unwanted: u64,
    /// Where in the block there is something for the handler, behind those.
    run: Option<Range<usize>>,
    spare: Arc<Spare>,
}

impl Giver {
    /// Begins before the first chunk, with bytes that were read already. With what hyper is to see if that is all.
    pub fn begin(lane: Lane, read: &[u8]) -> (Giver, Option<Vec<u8>>) {
        let mut giver = Giver {
            offset: 0,
            wanted_from: lane.wanted_from(),
            unwanted: 0,
            lane,
            place: Place::Line,
            line: Vec::new(),
            block: vec![0; BLOCK_BYTES.max(read.len())].into(),
            filled: 0,
            run: None,
            spare: Arc::default(),
        };
        giver.block[..read.len()].copy_from_slice(read);
        let rest = match read.len() {
            0 => None,
            count => giver.took(count).flatten(),
        };
        (giver, rest)
    }

    /// Where the next bytes go.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.block[self.filled..]
    }

    /// So many have come, none at the end of the connection. Says when it is over, with what hyper is to see then.
    pub fn took(&mut self, count: usize) -> Option<Option<Vec<u8>>> {
        let rest = self.look_at(count);
        let over = count == 0 || rest.is_some();
        if over || self.is_full() {
            self.hand_over();
        } else if self.run.is_none() {
            self.filled = 0;
        }
        over.then_some(rest)
    }

    fn is_full(&self) -> bool {
        self.block.len() - self.filled < ROOM_BYTES_MIN
    }

    /// Follows so many new bytes where they lie; what hyper is to see, if there is something.
    fn look_at(&mut self, count: usize) -> Option<Vec<u8>> {
        let (mut at, end) = (self.filled, self.filled + count);
        self.filled = end;
        while at < end {
            match self.place {
                Place::Chunk(left) => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(end - at);
                    self.came(at..at + count);
                    at += count;
                    self.place = match left - count as u64 {
                        0 => Place::End(2),
                        left => Place::Chunk(left),
                    };
                }
                Place::End(left) => {
                    let due = if left == 2 { b'\r' } else { b'\n' };
                    if self.block[at] != due {
                        // Nothing that hyper would take for a chunk.
                        return Some(b"?\r\n".to_vec());
                    }
                    at += 1;
                    self.place = match left {
                        2 => Place::End(1),
                        _ => Place::Line,
                    };
                }
                Place::Line => {
                    let rest = &self.block[at..end];
                    let ended = rest.iter().position(|byte| *byte == b'\n');
                    let line = &rest[..ended.map_or(rest.len(), |last| last + 1)];
                    at += line.len();
                    self.line.extend_from_slice(line);
                    let size = match ended {
                        Some(_) => size_of_chunk(&self.line),
                        None if self.line.len() <= LINE_BYTES_MAX => return None,
                        None => None,
                    };
                    let Some(size) = size else {
                        let mut shown = std::mem::take(&mut self.line);
                        shown.extend_from_slice(&self.block[at..end]);
                        return Some(shown);
                    };
                    self.line.clear();
                    self.place = Place::Chunk(size);
                }
            }
        }
        None
    }

    /// There are bytes of the body.
    fn came(&mut self, bytes: Range<usize>) {
        let unwanted = self
            .wanted_from
            .load(Ordering::Relaxed)
            .saturating_sub(self.offset);
        let unwanted = usize::try_from(unwanted).unwrap_or(usize::MAX).min(bytes.len());
        self.offset += bytes.len() as u64;
        if unwanted > 0 {
            // Nor are those of use that came before.
            let before = self.run.take().map_or(0, |run| run.len());
            self.unwanted += (before + unwanted) as u64;
        }
        if unwanted < bytes.len() {
            self.add(bytes.start + unwanted..bytes.end);
        }
    }

    /// Puts it behind what there is: to move it in a core's cache takes less than to handle pieces one by one later.
    fn add(&mut self, run: Range<usize>) {
        match &mut self.run {
            Some(there) => {
                if there.end != run.start {
                    self.block.copy_within(run.clone(), there.end);
                }
                there.end += run.len();
            }
            none => *none = Some(run),
        }
    }

    fn hand_over(&mut self) {
        self.filled = 0;
        if self.unwanted > 0 {
            self.lane.pass(std::mem::take(&mut self.unwanted));
        }
        let Some(run) = self.run.take() else {
            return;
        };
        let next = self.spare.lock().pop();
        let next = next.unwrap_or_else(|| vec![0; BLOCK_BYTES].into());
        let block = Bytes::from_owner(Block {
            memory: std::mem::replace(&mut self.block, next),
            spare: self.spare.clone(),
        });
        self.lane.give(block.slice(run));
    }
}

/// The size in a line that holds nothing else; `None` of the last chunk, too.
fn size_of_chunk(line: &[u8]) -> Option<u64> {
    let digits = line.strip_suffix(b"\r\n")?;
    let plain = digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| plain)?;
    u64::from_str_radix(text, 16).ok().filter(|size| *size > 0)
}

/// Memory that is not in use.
#[derive(Default)]
struct Spare(Mutex<Vec<Box<[u8]>>>);

impl Spare {
    fn lock(&self) -> MutexGuard<'_, Vec<Box<[u8]>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory in use, which goes back.
struct Block {
    memory: Box<[u8]>,
    spare: Arc<Spare>,
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.memory
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let mut spare = self.spare.lock();
        if spare.len() < SPARE_MAX {
            spare.push(std::mem::take(&mut self.memory));
        }
    }
}
