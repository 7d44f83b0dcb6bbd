//! What was acknowledged is there after any end.

use crate::world::{C, entry, id, open, vote};
use openraft::storage::{RaftLogReader, RaftLogStorage};
use shoal_raft_log::Snapshots;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_it_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    log.append((0..5).map(|n| entry(1, n, "a")).collect())
        .await
        .unwrap();
    RaftLogStorage::<C>::save_vote(&mut log.log, &vote(3))
        .await
        .unwrap();
    RaftLogStorage::<C>::save_committed(&mut log.log, Some(id(1, 3)))
        .await
        .unwrap();
    RaftLogStorage::<C>::truncate_after(&mut log.log, Some(id(1, 2)))
        .await
        .unwrap();
    log.append(vec![entry(3, 3, "b"), entry(3, 4, "c")])
        .await
        .unwrap();
    RaftLogStorage::<C>::purge(&mut log.log, id(1, 1)).await.unwrap();
    let expected = ["1.2=a", "3.3=b", "3.4=c"];
    assert_eq!(log.text().await, expected);
    log.close().await;

    let mut log = open(dir.path());
    assert_eq!(log.text().await, expected);
    let state = RaftLogStorage::<C>::get_log_state(&mut log.log).await.unwrap();
    assert_eq!(
        (state.last_purged_log_id, state.last_log_id),
        (Some(id(1, 1)), Some(id(3, 4)))
    );
    let committed = RaftLogStorage::<C>::read_committed(&mut log.log).await.unwrap();
    assert_eq!(committed, Some(id(1, 3)));
    let mut reader = RaftLogStorage::<C>::get_log_reader(&mut log.log).await;
    assert_eq!(
        RaftLogReader::<C>::read_vote(&mut reader).await.unwrap(),
        Some(vote(3))
    );
    drop(reader);
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_log_is_read_from_disk_where_memory_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    for group in 0..20 {
        let entries = (0..100).map(|n| entry(1, group * 100 + n, "x")).collect();
        log.append(entries).await.unwrap();
    }
    let check = |text: Vec<String>| {
        assert_eq!(text.len(), 2000);
        assert!(text.iter().enumerate().all(|(n, t)| *t == format!("1.{n}=x")));
    };
    check(log.text().await);
    // Cut into the part that is only on disk, and go on from there.
    RaftLogStorage::<C>::truncate_after(&mut log.log, Some(id(1, 99)))
        .await
        .unwrap();
    log.append((100..2000).map(|n| entry(1, n, "x")).collect())
        .await
        .unwrap();
    check(log.text().await);
    log.close().await;
    let mut log = open(dir.path());
    check(log.text().await);
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_fsync_that_fails_is_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    log.append(vec![entry(1, 0, "safe")]).await.unwrap();
    log.faults.fail_sync(true);
    assert!(log.append(vec![entry(1, 1, "lost")]).await.is_err());
    // The disk is well again, but what it holds is not known: nothing may be acknowledged any more.
    log.faults.fail_sync(false);
    assert!(log.append(vec![entry(1, 1, "lost")]).await.is_err());
    assert!(
        RaftLogStorage::<C>::save_vote(&mut log.log, &vote(9))
            .await
            .is_err()
    );
    assert!(log.snapshots.save(b"meta", &mut std::iter::empty()).is_err());
    log.close().await;
    let mut log = open(dir.path());
    assert_eq!(log.text().await, ["1.0=safe"]);
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_replace_each_other_whole() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let chunks =
        |name: &'static str, count: usize| (0..count).map(move |n| Ok(format!("{name}{n}").into_bytes()));
    let load = |log: &crate::world::Log| {
        let mut all = Vec::new();
        let meta = log.snapshots.load(&mut |chunk| {
            all.push(String::from_utf8(chunk).unwrap());
            Ok(())
        });
        (meta.unwrap().map(|m| String::from_utf8(m).unwrap()), all)
    };
    assert_eq!(load(&log), (None, vec![]));
    log.snapshots.save(b"first", &mut chunks("a", 3)).unwrap();
    // One that breaks off leaves the old one in place.
    let mut broken = chunks("b", 2).chain([Err(std::io::Error::other("state is gone"))]);
    assert!(log.snapshots.save(b"second", &mut broken).is_err());
    assert_eq!(
        load(&log),
        (Some("first".into()), vec!["a0".into(), "a1".into(), "a2".into()])
    );
    log.snapshots.save(b"third", &mut chunks("c", 1)).unwrap();
    log.close().await;
    let log = open(dir.path());
    assert_eq!(load(&log), (Some("third".into()), vec!["c0".into()]));
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_appends_share_an_fsync() {
    use openraft::storage::IOFlushed;
    use openraft::type_config::AsyncRuntime;
    use openraft::type_config::async_runtime::oneshot::Oneshot;
    use openraft_rt_tokio::TokioRuntime;
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    let began = Instant::now();
    let mut waiting = Vec::new();
    for n in 0..2000 {
        let (done, flushed) = <<TokioRuntime as AsyncRuntime>::Oneshot as Oneshot>::channel();
        let entries = [entry(1, n, &"x".repeat(300))];
        RaftLogStorage::<C>::append(&mut log.log, entries, IOFlushed::signal(done))
            .await
            .unwrap();
        waiting.push(flushed);
    }
    for flushed in waiting {
        flushed.await.unwrap().unwrap();
    }
    println!("2000 appends at once: {:?}", began.elapsed());
    let began = Instant::now();
    for n in 2000..2100 {
        log.append(vec![entry(1, n, "one by one")]).await.unwrap();
    }
    println!("100 appends one by one: {:?}", began.elapsed());
    assert_eq!(log.text().await.len(), 2100);
    log.close().await;
}
