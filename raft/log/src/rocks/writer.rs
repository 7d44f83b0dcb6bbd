//! The thread that writes. It takes whatever has queued up, writes it with one fsync, and answers in order.

use super::open::Base;
use super::{cf, meta};
use crate::tail::Tail;
use crate::types::{Entry, LogId, TypeConfig, Vote};
use openraft::storage::IOFlushed;
use openraft::type_config::AsyncRuntime;
use parking_lot::Mutex;
use rocksdb::WriteBatch;
use shoal_raft_objects::codec;
use std::io;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait; the sender waits when there are more.
pub const QUEUE: usize = 1024;
/// One fsynced write grows no further than this many requests or bytes.
const GROUP_REQUESTS: usize = 256;
const GROUP_BYTES: usize = 4 << 20;

pub enum Request<RT: AsyncRuntime> {
    Append {
        entries: Vec<Entry>,
        /// [`Tail::epoch`] when they were appended.
        epoch: u64,
        done: IOFlushed<TypeConfig<RT>>,
    },
    Vote {
        vote: Vote,
        done: oneshot::Sender<io::Result<()>>,
    },
    /// Survives a kill at once and a power cut with the next fsync: after a restart it only bounds how far the
    /// state may be rebuilt before a leader is heard.
    Committed(Option<LogId>),
    Truncate {
        /// First index to go.
        from: u64,
    },
    Purge(LogId),
}

enum Done<RT: AsyncRuntime> {
    Append {
        epoch: u64,
        last: Option<u64>,
        done: IOFlushed<TypeConfig<RT>>,
    },
    Vote(oneshot::Sender<io::Result<()>>),
}

pub fn run<RT: AsyncRuntime>(
    base: Arc<Base>,
    tail: Arc<Mutex<Tail>>,
    mut queue: mpsc::Receiver<Request<RT>>,
) {
    while let Some(first) = queue.blocking_recv() {
        let mut group = Group {
            base: &base,
            batch: WriteBatch::default(),
            sync: false,
            done: Vec::new(),
        };
        let mut prepared = group.add(first);
        while prepared.is_ok()
            && group.done.len() < GROUP_REQUESTS
            && group.batch.size_in_bytes() < GROUP_BYTES
        {
            let Ok(request) = queue.try_recv() else { break };
            prepared = group.add(request);
        }
        let Group {
            batch, sync, done, ..
        } = group;
        // A record that cannot be sealed is as final as a disk that cannot be written.
        let written = match prepared {
            Ok(()) => base.write(batch, sync),
            Err(error) => {
                *base.failed.lock() = Some(error.to_string());
                Err(error)
            }
        };
        let failed = written.err().map(|e| e.to_string());
        let result = || match &failed {
            None => Ok(()),
            Some(error) => Err(io::Error::other(error.clone())),
        };
        for done in done {
            match done {
                Done::Append { epoch, last, done } => {
                    if let (None, Some(last)) = (&failed, last) {
                        tail.lock().flushed(epoch, last);
                    }
                    done.io_completed(result());
                }
                Done::Vote(done) => {
                    // The asker may be gone; the vote stands all the same.
                    let _ = done.send(result());
                }
            }
        }
    }
}

struct Group<'a, RT: AsyncRuntime> {
    base: &'a Base,
    batch: WriteBatch,
    sync: bool,
    done: Vec<Done<RT>>,
}

impl<RT: AsyncRuntime> Group<'_, RT> {
    /// Who waits for the request is noted before anything can fail, so that everybody gets an answer.
    fn add(&mut self, request: Request<RT>) -> io::Result<()> {
        match request {
            Request::Append { entries, epoch, done } => {
                self.sync = true;
                self.done.push(Done::Append {
                    epoch,
                    last: entries.last().map(|e| e.log_id.index),
                    done,
                });
                for entry in &entries {
                    self.put(cf::LOG, &entry.log_id.index.to_be_bytes(), entry)?;
                }
            }
            Request::Vote { vote, done } => {
                self.sync = true;
                self.done.push(Done::Vote(done));
                self.put(cf::META, meta::VOTE, &vote)?;
            }
            Request::Committed(Some(id)) => self.put(cf::META, meta::COMMITTED, &id)?,
            Request::Committed(None) => self.batch.delete_cf(self.base.cf(cf::META)?, meta::COMMITTED),
            Request::Truncate { from } => {
                let log = self.base.cf(cf::LOG)?;
                self.batch
                    .delete_range_cf(log, from.to_be_bytes(), u64::MAX.to_be_bytes());
            }
            Request::Purge(upto) => {
                self.put(cf::META, meta::PURGED, &upto)?;
                let log = self.base.cf(cf::LOG)?;
                self.batch
                    .delete_range_cf(log, 0u64.to_be_bytes(), (upto.index + 1).to_be_bytes());
            }
        }
        Ok(())
    }

    fn put<T: serde::Serialize>(&mut self, table: &'static str, key: &[u8], value: &T) -> io::Result<()> {
        let plain = codec::encode(value).map_err(io::Error::other)?;
        let record = self.base.sealer.seal(table, key, &plain)?;
        self.batch.put_cf(self.base.cf(table)?, key, record);
        Ok(())
    }
}
