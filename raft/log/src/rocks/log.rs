//! openraft's view of the log.

use super::cf;
use super::open::Base;
use super::writer::{self, Request};
use crate::tail::{Tail, weight};
use crate::types::{Entry, LogId, TypeConfig, Vote};
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::type_config::AsyncRuntime;
use parking_lot::Mutex;
use std::fmt::Debug;
use std::io;
use std::ops::{Range, RangeBounds};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// One reply of entries for replication stays near this size, so that a message fits its bound.
const REPLY_BYTES: usize = 1 << 20;

/// Writes go to the writer thread, which ends when this is dropped.
pub struct RocksLog<RT: AsyncRuntime> {
    reader: RocksReader,
    writer: mpsc::Sender<Request<RT>>,
}

#[derive(Clone)]
pub struct RocksReader {
    base: Arc<Base>,
    tail: Arc<Mutex<Tail>>,
}

impl<RT: AsyncRuntime> RocksLog<RT> {
    pub(super) fn start(base: Arc<Base>, tail: Tail) -> Self {
        let tail = Arc::new(Mutex::new(tail));
        let (writer, queue) = mpsc::channel(writer::QUEUE);
        let reader = RocksReader {
            base: base.clone(),
            tail: tail.clone(),
        };
        let thread = std::thread::Builder::new().name("raft-log".into());
        if let Err(error) = thread.spawn(move || writer::run::<RT>(base, tail, queue)) {
            // The queue's receiver is gone with the closure, so every request is answered with an error.
            tracing::error!(%error, "cannot start the Raft log's writer thread");
        }
        RocksLog { reader, writer }
    }

    /// Borrows nothing while it waits: the compiler could not tell openraft's callers that it is `Send`.
    fn request(&self, request: Request<RT>) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let writer = self.writer.clone();
        async move {
            writer
                .send(request)
                .await
                .map_err(|_| io::Error::other("the Raft log's writer thread is gone"))
        }
    }
}

impl RocksReader {
    fn read(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let (range, from_disk, in_memory) = {
            let tail = self.tail.lock();
            let range = tail.clamp(&range);
            let in_memory: Vec<Entry> = tail.read(range.clone()).cloned().collect();
            (range.clone(), range.start..range.end.min(tail.first()), in_memory)
        };
        let mut entries = Vec::with_capacity(in_memory.len());
        let mut bytes = 0;
        let table = self.base.cf(cf::LOG)?;
        for index in from_disk {
            if bytes >= bytes_max {
                return Ok(entries);
            }
            let key = index.to_be_bytes();
            let record = self.base.db.get_pinned_cf(table, key).map_err(io::Error::other)?;
            let Some(record) = record else {
                // Purged between the look at the tail and here, or a hole: the caller sees what there is.
                tracing::debug!(index, ?range, "log entry is gone");
                entries.clear();
                bytes = 0;
                continue;
            };
            let entry = self.base.open_entry(&key, &record)?;
            bytes += weight(&entry);
            entries.push(entry);
        }
        for entry in in_memory {
            if bytes >= bytes_max {
                break;
            }
            bytes += weight(&entry);
            entries.push(entry);
        }
        Ok(entries)
    }
}

impl<RT: AsyncRuntime> RaftLogReader<TypeConfig<RT>> for RocksReader {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let range = self.tail.lock().clamp(&range);
        self.read(range, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start..end, REPLY_BYTES)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.tail.lock().vote)
    }
}

impl<RT: AsyncRuntime> RaftLogStorage<TypeConfig<RT>> for RocksLog<RT> {
    type LogReader = RocksReader;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig<RT>>> {
        let tail = self.reader.tail.lock();
        Ok(LogState {
            last_purged_log_id: tail.purged,
            last_log_id: tail.last,
        })
    }

    async fn get_log_reader(&mut self) -> RocksReader {
        self.reader.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        self.request(Request::Vote { vote: *vote, done }).await?;
        answer
            .await
            .map_err(|_| io::Error::other("the Raft log's writer thread is gone"))??;
        self.reader.tail.lock().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.reader.tail.lock().committed = committed;
        self.request(Request::Committed(committed)).await
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.reader.tail.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, done: IOFlushed<TypeConfig<RT>>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let epoch = {
            let mut tail = self.reader.tail.lock();
            for entry in &entries {
                tail.push(entry.clone());
            }
            tail.epoch
        };
        self.request(Request::Append { entries, epoch, done }).await
    }

    async fn truncate_after(&mut self, keep: Option<LogId>) -> io::Result<()> {
        self.reader.tail.lock().truncate_after(keep);
        let from = keep.map_or(0, |id| id.index + 1);
        self.request(Request::Truncate { from }).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.reader.tail.lock().purge(upto);
        self.request(Request::Purge(upto)).await
    }
}
