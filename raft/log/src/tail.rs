//! The end of the log, in memory: everything that is not durable yet, and the last of what is.
//!
//! Replication and apply nearly always want exactly these entries, so they cost neither a read nor a decryption; and
//! an entry must be readable as soon as it was appended, which is before it is on disk.

use crate::types::{Entry, LogId, Vote};
use openraft::EntryPayload;
use std::collections::VecDeque;
use std::ops::{Bound, RangeBounds};

/// Durable entries kept beyond those that must be.
pub const KEPT_ENTRIES: usize = 256;
const KEPT_BYTES: usize = 512 * 1024;

#[derive(Default)]
pub struct Tail {
    /// Consecutive; the last one is the log's last entry.
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Highest index that is known to be on disk.
    durable: Option<u64>,
    /// How often the log was cut off; see [`Tail::flushed`].
    pub epoch: u64,
    /// The log's last id, whether in `entries`, only on disk, or purged.
    pub last: Option<LogId>,
    pub purged: Option<LogId>,
    pub vote: Option<Vote>,
    pub committed: Option<LogId>,
}

/// Roughly what an entry takes in memory.
pub fn weight(entry: &Entry) -> usize {
    96 + match &entry.payload {
        EntryPayload::Normal(payload) => payload.0.len(),
        EntryPayload::Blank => 0,
        EntryPayload::Membership(_) => 512,
    }
}

impl Tail {
    /// A log as it was found on disk, before its last entries are pushed.
    pub fn recovered(vote: Option<Vote>, committed: Option<LogId>, purged: Option<LogId>) -> Tail {
        Tail {
            vote,
            committed,
            purged,
            last: purged,
            ..Tail::default()
        }
    }

    pub fn push(&mut self, entry: Entry) {
        self.last = Some(entry.log_id);
        self.bytes += weight(&entry);
        self.entries.push_back(entry);
    }

    /// Everything up to `index` is on disk now, if nothing was cut off since `epoch`: an index may have been written
    /// twice, and its second writing is not durable because the first one is.
    pub fn flushed(&mut self, epoch: u64, index: u64) {
        if epoch == self.epoch {
            self.durable = self.durable.max(Some(index));
            self.shrink();
        }
    }

    pub fn truncate_after(&mut self, keep: Option<LogId>) {
        let next = keep.map_or(0, |id| id.index + 1);
        if self.last.is_none_or(|last| last.index < next) {
            return;
        }
        while self.entries.back().is_some_and(|e| e.log_id.index >= next) {
            self.bytes -= self.entries.pop_back().as_ref().map_or(0, weight);
        }
        self.last = keep.max(self.purged);
        self.epoch += 1;
        self.durable = match (self.durable, keep) {
            (Some(durable), Some(keep)) => Some(durable.min(keep.index)),
            _ => None,
        };
    }

    pub fn purge(&mut self, upto: LogId) {
        self.purged = self.purged.max(Some(upto));
        self.last = self.last.max(Some(upto));
        while self.entries.front().is_some_and(|e| e.log_id.index <= upto.index) {
            self.drop_front();
        }
    }

    /// The part of `range` that the log has, as `first..end`.
    pub fn clamp(&self, range: &impl RangeBounds<u64>) -> std::ops::Range<u64> {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&end) => end.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => u64::MAX,
        };
        let first = self.purged.map_or(0, |id| id.index + 1);
        let next = self.last.map_or(0, |id| id.index + 1);
        start.max(first)..end.min(next)
    }

    /// First index that is in memory; lower ones have to be read from disk.
    pub fn first(&self) -> u64 {
        self.entries
            .front()
            .map_or_else(|| self.last.map_or(0, |id| id.index + 1), |e| e.log_id.index)
    }

    /// Entries of `range` that are in memory.
    pub fn read(&self, range: std::ops::Range<u64>) -> impl Iterator<Item = &Entry> {
        let first = self.first();
        let skip = range.start.saturating_sub(first);
        let take = range.end.saturating_sub(range.start.max(first));
        self.entries.iter().skip(skip as usize).take(take as usize)
    }

    fn shrink(&mut self) {
        while self.entries.len() > KEPT_ENTRIES || self.bytes > KEPT_BYTES {
            if self
                .entries
                .front()
                .is_none_or(|e| Some(e.log_id.index) > self.durable)
            {
                break;
            }
            self.drop_front();
        }
    }

    fn drop_front(&mut self) {
        self.bytes -= self.entries.pop_front().as_ref().map_or(0, weight);
    }
}
