//! openraft's own conformance suite, on both logs, with the state machine that they are used with.

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use openraft_rt_tokio::TokioRuntime;
use shoal_raft_consensus::engine::{Machine, TypeConfig};
use shoal_raft_log::memory::{Disk, MemoryLog};
use shoal_raft_log::rocks::{self, Faults, Options, RocksLog};
use shoal_raft_objects::RaftId;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

type C = TypeConfig<TokioRuntime>;
type SM = Machine<TokioRuntime>;

struct OnRocks;

impl StoreBuilder<C, RocksLog<TokioRuntime>, SM, TempDir> for OnRocks {
    async fn build(&self) -> Result<(TempDir, RocksLog<TokioRuntime>, SM), StorageError<C>> {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            dir: dir.path().join("raft"),
            owner: RaftId(1),
            faults: Faults::default(),
        };
        let opened = rocks::open(options).unwrap();
        let machine = Machine::open(Arc::new(opened.snapshots)).unwrap();
        Ok((dir, opened.log, machine))
    }
}

struct InMemory {
    delay: Duration,
}

impl StoreBuilder<C, MemoryLog<TokioRuntime>, SM, ()> for InMemory {
    async fn build(&self) -> Result<((), MemoryLog<TokioRuntime>, SM), StorageError<C>> {
        let disk = Disk::default();
        let log = disk.open(self.delay);
        Ok(((), log, Machine::open(Arc::new(disk.snapshots())).unwrap()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rocksdb_log_passes() {
    Suite::test_all(OnRocks).await.unwrap();
}

#[tokio::test]
async fn memory_log_passes() {
    for delay in [Duration::ZERO, Duration::from_millis(1)] {
        Suite::test_all(InMemory { delay }).await.unwrap();
    }
}
