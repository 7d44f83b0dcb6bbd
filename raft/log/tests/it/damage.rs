//! What is refused, and what can be read without the key: nothing.

use crate::world::{entry, open, options};
use openraft_rt_tokio::TokioRuntime;
use shoal_raft_log::Snapshots;
use shoal_raft_log::key::DataKey;
use shoal_raft_log::rocks::{self, Error, Faults};
use shoal_raft_objects::RaftId;
use std::path::Path;

fn reopen(dir: &Path) -> Error {
    match rocks::open::<TokioRuntime>(options(dir, &Faults::default())) {
        Ok(_) => panic!("opened"),
        Err(error) => error,
    }
}

fn grep(dir: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(dir).unwrap().any(|file| {
        let path = file.unwrap().path();
        if path.is_dir() {
            return grep(&path, needle);
        }
        std::fs::read(path)
            .unwrap()
            .windows(needle.len())
            .any(|w| w == needle)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_readable_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    log.append(vec![entry(1, 0, "canary-in-the-log")]).await.unwrap();
    let mut chunks = [Ok(b"canary-in-the-snapshot".to_vec())].into_iter();
    log.snapshots.save(b"canary-in-the-meta", &mut chunks).unwrap();
    // The files as they are while it runs (write-ahead log) and after it ended.
    assert!(!grep(dir.path(), b"canary"));
    log.close().await;
    assert!(!grep(dir.path(), b"canary"));
    // The test's own eyes work.
    std::fs::write(dir.path().join("plain"), b"a canary").unwrap();
    assert!(grep(dir.path(), b"canary"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_key_or_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    log.append(vec![entry(1, 0, "x")]).await.unwrap();
    log.close().await;
    let key = dir.path().join("raft/key");
    let kept = std::fs::read(&key).unwrap();

    DataKey::generate().store(&key).unwrap();
    let error = reopen(dir.path());
    assert!(matches!(error, Error::Read { .. }), "{error}");
    assert!(error.to_string().contains("another key"), "{error}");

    std::fs::remove_file(&key).unwrap();
    assert!(matches!(reopen(dir.path()), Error::KeyMissing { .. }));
    assert!(!key.exists(), "a new key would make the old log look lost");

    std::fs::write(&key, kept).unwrap();
    let mut log = open(dir.path());
    assert_eq!(log.text().await, ["1.0=x"]);
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_format_and_a_foreign_owner_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close().await;
    let mut foreign = options(dir.path(), &Faults::default());
    foreign.owner = RaftId(2);
    assert!(matches!(
        rocks::open::<TokioRuntime>(foreign),
        Err(Error::Owner { .. })
    ));

    let path = dir.path().join("raft/db");
    {
        let families = ["default", "log", "meta", "snapshot"];
        let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), &path, families).unwrap();
        db.put_cf(db.cf_handle("meta").unwrap(), b"format", b"2").unwrap();
    }
    assert!(matches!(reopen(dir.path()), Error::Format { found, .. } if found == "2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_with_a_hole_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    log.append((0..5).map(|n| entry(1, n, "x")).collect())
        .await
        .unwrap();
    log.close().await;
    {
        let families = ["default", "log", "meta", "snapshot"];
        let path = dir.path().join("raft/db");
        let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), path, families).unwrap();
        db.delete_cf(db.cf_handle("log").unwrap(), 3u64.to_be_bytes())
            .unwrap();
    }
    assert!(matches!(
        reopen(dir.path()),
        Error::Hole {
            after: 2,
            expected: 3,
            ..
        }
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    assert!(matches!(reopen(dir.path()), Error::Open { .. }));
    log.close().await;
}
