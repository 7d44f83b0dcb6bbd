//! The virtual runtime is a runtime and the in-memory log is a log: openraft's own suites pass on them.

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite as LogSuite};
use openraft::testing::runtime::Suite as RuntimeSuite;
use shoal_raft_consensus::engine::{Machine, TypeConfig};
use shoal_raft_log::memory::{Disk, MemoryLog};
use shoal_tests_sim::cluster::runtime::{self, Virtual};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn openrafts_runtime_suite_passes() {
    runtime::reset(1);
    RuntimeSuite::<Virtual>::test_all();
}

struct InMemory;

type C = TypeConfig<Virtual>;

impl StoreBuilder<C, MemoryLog<Virtual>, Machine<Virtual>, ()> for InMemory {
    async fn build(&self) -> Result<((), MemoryLog<Virtual>, Machine<Virtual>), StorageError<C>> {
        let disk = Disk::default();
        let log = disk.open(Duration::from_millis(1));
        Ok(((), log, Machine::open(Arc::new(disk.snapshots())).unwrap()))
    }
}

#[test]
fn openrafts_log_suite_passes() {
    runtime::reset(1);
    runtime::block_on(LogSuite::test_all(InMemory)).unwrap();
}
