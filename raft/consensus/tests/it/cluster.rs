//! Three managers over loopback TCP.

use crate::world::{Manager, create, join, leader, three};
use shoal_raft_consensus::{MembershipError, ProposeError};
use shoal_raft_objects::RaftId;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_read_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let managers = three(dir.path()).await;
    let members = managers[0].consensus.members();
    assert!(members.iter().all(|m| m.votes), "{members:?}");
    for n in 0..20 {
        managers[0]
            .consensus
            .propose(&create(&format!("s{n}")))
            .await
            .unwrap();
        for manager in &managers {
            let state = manager.consensus.barrier().await.unwrap();
            assert_eq!(state.services().len(), n + 1);
        }
    }
    match managers[1].consensus.propose(&create("x")).await {
        Err(ProposeError::NotLeader { leader: Some(leader) }) => assert_eq!(leader, managers[0].peer()),
        other => panic!("{other:?}"),
    }
    for manager in managers {
        manager.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_takes_over_when_the_leader_dies() {
    let dir = tempfile::tempdir().unwrap();
    let mut managers = three(dir.path()).await;
    managers[0].consensus.propose(&create("before")).await.unwrap();
    let dead = managers.remove(0);
    let addr = dead.addr.clone();
    let began = Instant::now();
    dead.kill();
    let new = leader(&managers).await;
    managers[new].consensus.propose(&create("after")).await.unwrap();
    println!("first write through a survivor after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(3));
    // The old one comes back as itself and learns what it missed.
    let back = Manager::start(dir.path(), 1, Some(&addr)).await;
    let state = back.consensus.barrier().await.unwrap();
    assert!(state.service_named("before").is_some() && state.service_named("after").is_some());
    assert!(!back.leads().await);
    back.close().await;
    for manager in managers {
        manager.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_writes_end_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let first = Manager::start_with(dir.path(), 1, None, |c| c.timing.propose = Duration::from_secs(1)).await;
    first.consensus.bootstrap().await.unwrap();
    let second = Manager::start(dir.path(), 11, None).await;
    join(&first, &second).await;
    second.kill();
    let began = Instant::now();
    let error = first.consensus.propose(&create("web")).await.unwrap_err();
    assert!(error.to_string().contains("does not have a leader"), "{error}");
    assert!(first.consensus.barrier().await.is_err());
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(matches!(first.consensus.remove_manager(RaftId(99)).await, Ok(())));
    // Only a manager that answers counts: removing the dead one leaves a majority of one.
    first.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn managers_are_removed_only_if_a_majority_remains() {
    let dir = tempfile::tempdir().unwrap();
    let mut managers = three(dir.path()).await;
    assert!(matches!(
        managers[0].consensus.remove_manager(RaftId(1)).await,
        Err(MembershipError::Leads(_))
    ));
    managers.remove(2).kill();
    tokio::time::sleep(Duration::from_secs(2)).await;
    match managers[0].consensus.remove_manager(RaftId(11)).await {
        Err(MembershipError::WouldLoseQuorum) => {}
        other => panic!("{other:?}"),
    }
    managers[0].consensus.remove_manager(RaftId(12)).await.unwrap();
    managers[0].consensus.remove_manager(RaftId(12)).await.unwrap();
    managers[0].consensus.propose(&create("web")).await.unwrap();
    assert_eq!(managers[0].consensus.members().len(), 2);
    for manager in managers {
        manager.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut managers = three(dir.path()).await;
    let began = Instant::now();
    managers[0]
        .consensus
        .transfer_leader(Some(RaftId(12)), Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(leader(&managers).await, 2);
    println!("handed over after {:?}", began.elapsed());
    // An orderly stop hands over by itself, so the others need not wait for an election.
    let began = Instant::now();
    managers.remove(2).close().await;
    println!("closed after {:?}", began.elapsed());
    let next = leader(&managers).await;
    managers[next].consensus.propose(&create("web")).await.unwrap();
    println!("next leader writes after {:?}", began.elapsed());
    for manager in managers {
        manager.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_missed_the_log_gets_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let small = |c: &mut shoal_raft_consensus::Config| {
        c.snapshot_every = 30;
        c.keep = 5;
    };
    let first = Manager::start_with(dir.path(), 1, None, small).await;
    first.consensus.bootstrap().await.unwrap();
    for n in 0..200 {
        first.consensus.propose(&create(&format!("s{n}"))).await.unwrap();
    }
    let second = Manager::start_with(dir.path(), 11, None, small).await;
    join(&first, &second).await;
    let state = second.consensus.barrier().await.unwrap();
    assert_eq!(state.services().len(), 200);
    assert!(
        state
            .services()
            .iter()
            .eq(first.consensus.state().services().iter())
    );
    second.close().await;
    first.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_that_is_gone_is_called_a_few_times_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let mut managers = three(dir.path()).await;
    managers.remove(2).kill();
    let before = managers[0].dialled();
    // Something to replicate, or nobody would call but for the heartbeats.
    for n in 0..20 {
        managers[0]
            .consensus
            .propose(&create(&format!("s{n}")))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let calls = managers[0].dialled() - before;
    assert!((5..80).contains(&calls), "{calls} calls in two seconds");
    for manager in managers {
        manager.close().await;
    }
}
