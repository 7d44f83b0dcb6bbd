//! A log without a consensus around it.

use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::type_config::AsyncRuntime;
use openraft::type_config::async_runtime::oneshot::Oneshot;
use openraft_rt_tokio::TokioRuntime;
use shoal_raft_log::rocks::{self, Closed, Faults, Options, RocksLog, RocksSnapshots};
use shoal_raft_log::types::{CommittedLeaderId, Entry, LogId, Payload, TypeConfig, Vote};
use shoal_raft_objects::RaftId;
use std::io;
use std::path::Path;

pub type C = TypeConfig<TokioRuntime>;

pub struct Log {
    pub log: RocksLog<TokioRuntime>,
    pub snapshots: RocksSnapshots,
    pub faults: Faults,
    closed: Closed,
}

pub fn options(dir: &Path, faults: &Faults) -> Options {
    Options {
        dir: dir.join("raft"),
        owner: RaftId(1),
        faults: faults.clone(),
    }
}

pub fn open(dir: &Path) -> Log {
    let faults = Faults::default();
    let opened = rocks::open(options(dir, &faults)).unwrap();
    Log {
        log: opened.log,
        snapshots: opened.snapshots,
        faults,
        closed: opened.closed,
    }
}

pub fn id(term: u64, index: u64) -> LogId {
    LogId {
        leader_id: CommittedLeaderId { term },
        index,
    }
}

pub fn entry(term: u64, index: u64, content: &str) -> Entry {
    Entry {
        log_id: id(term, index),
        payload: openraft::EntryPayload::Normal(Payload(content.to_owned().into())),
    }
}

pub fn vote(term: u64) -> Vote {
    Vote::new(term, 1)
}

impl Log {
    pub async fn close(self) {
        drop((self.log, self.snapshots));
        self.closed.wait().await;
    }

    /// Appends and waits until it is said to be on disk.
    pub async fn append(&mut self, entries: Vec<Entry>) -> io::Result<()> {
        let (done, flushed) = <<TokioRuntime as AsyncRuntime>::Oneshot as Oneshot>::channel();
        RaftLogStorage::<C>::append(&mut self.log, entries, IOFlushed::signal(done)).await?;
        flushed.await.unwrap()
    }

    /// `term.index=content` of all entries.
    pub async fn text(&mut self) -> Vec<String> {
        let mut reader = RaftLogStorage::<C>::get_log_reader(&mut self.log).await;
        let entries = RaftLogReader::<C>::try_get_log_entries(&mut reader, ..)
            .await
            .unwrap();
        entries
            .iter()
            .map(|e| {
                let openraft::EntryPayload::Normal(payload) = &e.payload else {
                    panic!("{e:?}")
                };
                let content = String::from_utf8_lossy(&payload.0);
                format!("{}.{}={content}", e.log_id.leader_id.term, e.log_id.index)
            })
            .collect()
    }
}
