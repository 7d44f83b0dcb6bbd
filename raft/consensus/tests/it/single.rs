//! One manager alone.

use crate::world::{Manager, create};
use shoal_raft_consensus::{Change, ProposeError};
use shoal_raft_objects::Refusal;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_leads_at_once_and_remembers() {
    let dir = tempfile::tempdir().unwrap();
    let manager = Manager::start(dir.path(), 1, None).await;
    let began = Instant::now();
    manager.consensus.bootstrap().await.unwrap();
    let (_, mut watcher) = manager.consensus.watch();
    let applied = manager.consensus.propose(&create("web")).await.unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "took {:?}",
        began.elapsed()
    );
    assert_eq!(applied.events.len(), 1);
    let Some(Change::Events { index, events }) = watcher.next().await else {
        panic!("no event");
    };
    assert_eq!((index, events.len()), (applied.index, 1));

    let refused = manager.consensus.propose(&create("web")).await;
    assert!(matches!(
        refused,
        Err(ProposeError::Refused(Refusal::Exists { .. }))
    ));
    let before = manager.consensus.barrier().await.unwrap();
    manager.close().await;

    let manager = Manager::start(dir.path(), 1, None).await;
    let after = manager.consensus.barrier().await.unwrap();
    assert_eq!(after.service_named("web"), before.service_named("web"));
    assert!(manager.consensus.propose(&create("db")).await.is_ok());
    manager.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_take_the_place_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        Manager::start_with(dir.path(), 1, None, |c| {
            c.snapshot_every = 20;
            c.keep = 5;
        })
    };
    let manager = start().await;
    manager.consensus.bootstrap().await.unwrap();
    for n in 0..100 {
        manager
            .consensus
            .propose(&create(&format!("s{n}")))
            .await
            .unwrap();
    }
    let before = manager.consensus.barrier().await.unwrap();
    manager.close().await;
    for _ in 0..2 {
        let manager = start().await;
        let after = manager.consensus.barrier().await.unwrap();
        assert_eq!(after.services().len(), 100);
        assert!(after.services().iter().eq(before.services().iter()));
        manager.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_that_is_in_no_cluster_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let manager = Manager::start_with(dir.path(), 7, None, |c| {
        c.timing.propose = Duration::from_millis(300)
    })
    .await;
    assert!(matches!(
        manager.consensus.propose(&create("web")).await,
        Err(ProposeError::NotLeader { leader: None })
    ));
    assert!(manager.consensus.barrier().await.is_err());
    manager.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proposals_one_after_the_other_and_many_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let manager = Manager::start(dir.path(), 1, None).await;
    manager.consensus.bootstrap().await.unwrap();
    let began = Instant::now();
    for n in 0..300 {
        manager
            .consensus
            .propose(&create(&format!("a{n}")))
            .await
            .unwrap();
    }
    let one_by_one = 300.0 / began.elapsed().as_secs_f64();
    let began = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..16 {
        let consensus = manager.consensus.clone();
        writers.spawn(async move {
            for n in 0..50 {
                consensus
                    .propose(&create(&format!("b{writer}-{n}")))
                    .await
                    .unwrap();
            }
        });
    }
    writers.join_all().await;
    let together = 800.0 / began.elapsed().as_secs_f64();
    println!("{one_by_one:.0}/s one by one, {together:.0}/s from 16 writers");
    assert_eq!(manager.consensus.state().services().len(), 1100);
    manager.close().await;
}
