//! The log's twin in memory, for simulations.
//!
//! A [`Disk`] outlives the node that writes to it. What was written becomes durable after a delay on the runtime's
//! clock, as one group, and is answered then; [`Disk::crash`] loses the rest, as a power cut does.

use crate::snapshots::Snapshots;
use crate::tail::{Tail, weight};
use crate::types::{Entry, LogId, TypeConfig, Vote};
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::type_config::AsyncRuntime;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

const REPLY_BYTES: usize = 1 << 20;

/// What survives a crash. Clones are handles to the same disk.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<Durable>>);

#[derive(Default)]
struct Durable {
    entries: BTreeMap<u64, Entry>,
    purged: Option<LogId>,
    vote: Option<Vote>,
    committed: Option<LogId>,
    snapshot: Option<(Vec<u8>, Vec<Vec<u8>>)>,
    /// Counts crashes: a log opened before the last one writes no more.
    life: u64,
}

impl Disk {
    /// Cuts off every log that was opened so far, with what it had not made durable yet.
    pub fn crash(&self) {
        self.0.lock().life += 1;
    }

    /// The entries that would be found after a crash now.
    pub fn entries(&self) -> Vec<Entry> {
        self.0.lock().entries.values().cloned().collect()
    }

    pub fn entry(&self, index: u64) -> Option<Entry> {
        self.0.lock().entries.get(&index).cloned()
    }

    /// Up to which index the entries are gone into a snapshot.
    pub fn purged(&self) -> Option<LogId> {
        self.0.lock().purged
    }

    pub fn committed(&self) -> Option<LogId> {
        self.0.lock().committed
    }

    /// Opens the log. Writes are durable `delay` after they were made, on the runtime's clock.
    pub fn open<RT: AsyncRuntime>(&self, delay: Duration) -> MemoryLog<RT> {
        let durable = self.0.lock();
        let life = durable.life;
        let mut tail = Tail::recovered(durable.vote, durable.committed, durable.purged);
        for entry in durable.entries.values() {
            tail.push(entry.clone());
        }
        drop(durable);
        // The suite of openraft and our own limits bound this; a simulation has no thread to block.
        let (writer, queue) = mpsc::channel(64 * 1024);
        // It ends when the log is dropped.
        let _detached = RT::spawn(write::<RT>(self.clone(), life, delay, queue));
        MemoryLog {
            reader: MemoryReader {
                tail: Arc::new(Mutex::new(tail)),
            },
            writer,
        }
    }

    pub fn snapshots(&self) -> MemorySnapshots {
        MemorySnapshots {
            disk: self.clone(),
            life: self.0.lock().life,
        }
    }
}

enum Request<RT: AsyncRuntime> {
    Append(Vec<Entry>, IOFlushed<TypeConfig<RT>>),
    Vote(Vote, oneshot::Sender<io::Result<()>>),
    Committed(Option<LogId>),
    Truncate(u64),
    Purge(LogId),
}

async fn write<RT: AsyncRuntime>(
    disk: Disk,
    life: u64,
    delay: Duration,
    mut queue: mpsc::Receiver<Request<RT>>,
) {
    while let Some(first) = queue.recv().await {
        let mut group = vec![first];
        if !delay.is_zero() {
            RT::sleep(delay).await;
        }
        while let Ok(request) = queue.try_recv() {
            group.push(request);
        }
        for request in group {
            let mut durable = disk.0.lock();
            if durable.life != life {
                return;
            }
            match request {
                Request::Append(entries, done) => {
                    for entry in entries {
                        durable.entries.insert(entry.log_id.index, entry);
                    }
                    drop(durable);
                    done.io_completed(Ok(()));
                }
                Request::Vote(vote, done) => {
                    durable.vote = Some(vote);
                    drop(durable);
                    let _ = done.send(Ok(()));
                }
                Request::Committed(committed) => durable.committed = committed,
                Request::Truncate(from) => {
                    durable.entries.split_off(&from);
                }
                Request::Purge(upto) => {
                    durable.purged = durable.purged.max(Some(upto));
                    durable.entries = durable.entries.split_off(&(upto.index + 1));
                }
            }
        }
    }
}

pub struct MemoryLog<RT: AsyncRuntime> {
    reader: MemoryReader,
    writer: mpsc::Sender<Request<RT>>,
}

#[derive(Clone)]
pub struct MemoryReader {
    /// Never told that anything is durable, so it keeps everything.
    tail: Arc<Mutex<Tail>>,
}

impl<RT: AsyncRuntime> MemoryLog<RT> {
    /// Borrows nothing while it waits: the compiler could not tell openraft's callers that it is `Send`.
    fn request(&self, request: Request<RT>) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let writer = self.writer.clone();
        async move {
            writer
                .send(request)
                .await
                .map_err(|_| io::Error::other("the disk is gone"))
        }
    }
}

impl<RT: AsyncRuntime> RaftLogReader<TypeConfig<RT>> for MemoryReader {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let tail = self.tail.lock();
        Ok(tail.read(tail.clamp(&range)).cloned().collect())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let tail = self.tail.lock();
        let mut bytes = 0;
        let within = |entry: &&Entry| {
            let fits = bytes < REPLY_BYTES;
            bytes += weight(entry);
            fits
        };
        Ok(tail
            .read(tail.clamp(&(start..end)))
            .take_while(within)
            .cloned()
            .collect())
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.tail.lock().vote)
    }
}

impl<RT: AsyncRuntime> RaftLogStorage<TypeConfig<RT>> for MemoryLog<RT> {
    type LogReader = MemoryReader;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig<RT>>> {
        let tail = self.reader.tail.lock();
        Ok(LogState {
            last_purged_log_id: tail.purged,
            last_log_id: tail.last,
        })
    }

    async fn get_log_reader(&mut self) -> MemoryReader {
        self.reader.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        self.request(Request::Vote(*vote, done)).await?;
        answer.await.map_err(|_| io::Error::other("the disk is gone"))??;
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
        {
            let mut tail = self.reader.tail.lock();
            for entry in &entries {
                tail.push(entry.clone());
            }
        }
        self.request(Request::Append(entries, done)).await
    }

    async fn truncate_after(&mut self, keep: Option<LogId>) -> io::Result<()> {
        self.reader.tail.lock().truncate_after(keep);
        self.request(Request::Truncate(keep.map_or(0, |id| id.index + 1)))
            .await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.reader.tail.lock().purge(upto);
        self.request(Request::Purge(upto)).await
    }
}

/// Saved at once and as a whole.
pub struct MemorySnapshots {
    disk: Disk,
    life: u64,
}

impl Snapshots for MemorySnapshots {
    fn save(&self, meta: &[u8], chunks: &mut dyn Iterator<Item = io::Result<Vec<u8>>>) -> io::Result<()> {
        let chunks = chunks.collect::<io::Result<Vec<_>>>()?;
        let mut durable = self.disk.0.lock();
        if durable.life == self.life {
            durable.snapshot = Some((meta.to_vec(), chunks));
        }
        Ok(())
    }

    fn load(&self, chunk: &mut dyn FnMut(Vec<u8>) -> io::Result<()>) -> io::Result<Option<Vec<u8>>> {
        let snapshot = self.disk.0.lock().snapshot.clone();
        let Some((meta, chunks)) = snapshot else {
            return Ok(None);
        };
        for bytes in chunks {
            chunk(bytes)?;
        }
        Ok(Some(meta))
    }
}
