//! The one loop that decides: what changed → `core/cluster::step` → proposals → what changed.

use crate::dispatch::reports::until;
use crate::ids::{Ids, now};
use crate::manager::Manager;
use shoal_node_core_cluster::{Memory, step};
use shoal_raft_consensus::{Change, ProposeError, State, Watcher};
use shoal_raft_objects::{Proposal, Time, Write};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Everything is looked at anew so often, should ever an event have been missed.
const SCAN_EVERY: Duration = Duration::from_secs(30);
/// After a refusal the view is a moment old at most; the pause only keeps a bug from burning a core.
const REFUSED_PAUSE: Duration = Duration::from_millis(5);
/// Between two attempts to get an entry through.
const UNSETTLED_PAUSE: Duration = Duration::from_millis(50);

pub(crate) async fn run(manager: &Manager, over: CancellationToken) {
    let consensus = manager.ledger.consensus();
    if !settle(manager, &over).await {
        return;
    }
    let (_, mut watcher) = consensus.watch();
    let mut memory = Memory::new(now());
    let mut scan = tokio::time::interval(SCAN_EVERY);
    loop {
        let view = catch_up(manager, &mut watcher, &mut memory);
        let decision = step(&view, now(), &mut memory, &mut Ids);
        if decision.proposals.is_empty() {
            tokio::select! {
                () = over.cancelled() => return,
                change = watcher.next() => match change {
                    Some(change) => observe(&mut memory, &change),
                    None => return,
                },
                () = until(decision.wake_at.map(|at| at.max(soon()))) => {}
                () = manager.pulse.judge.notified() => {}
                _ = scan.tick() => memory.rescan(),
            }
            continue;
        }
        decision.proposals.iter().for_each(tell_unheard);
        let proposed = decision.proposals.iter().map(|p| consensus.propose(p));
        let outcomes = tokio::select! {
            () = over.cancelled() => return,
            outcomes = futures_util::future::join_all(proposed) => outcomes,
        };
        let (mut refused, mut unknown) = (false, false);
        for outcome in outcomes {
            match outcome {
                Ok(_) => memory.applied(),
                Err(ProposeError::Refused(refusal)) => {
                    tracing::debug!(%refusal, "decided over a stale view; deciding again");
                    memory.refused();
                    refused = true;
                }
                Err(error) => {
                    tracing::debug!(%error, "a decision could not be written");
                    memory.rescan();
                    unknown = true;
                }
            }
        }
        if unknown && !settle(manager, &over).await {
            return;
        }
        if refused {
            tokio::time::sleep(REFUSED_PAUSE).await;
        }
    }
}

/// A stop that could not wait for every node is told of: their clients may have been sent to nobody.
fn tell_unheard(proposal: &Proposal) {
    for write in &proposal.writes {
        if let Write::Drained { task, unheard } = write
            && !unheard.is_empty()
        {
            let nodes: Vec<&str> = unheard.iter().map(|id| id.as_str()).collect();
            tracing::warn!(%task, nodes = nodes.join(", "), "stopped before these nodes acknowledged that they send nothing more to it");
        }
    }
}

/// Waits until everything that may have been proposed before is decided: entries of an earlier leader, and proposals of
/// ours whose outcome was not learned. A step that does not see them would decide the same things twice. False if the
/// leadership is over.
async fn settle(manager: &Manager, over: &CancellationToken) -> bool {
    loop {
        // An empty entry lies behind them all in the log; once it is applied, so is whatever there is of them.
        let empty = Proposal::default();
        tokio::select! {
            biased;
            () = over.cancelled() => return false,
            outcome = manager.ledger.consensus().propose(&empty) => match outcome {
                Ok(_) => return true,
                Err(error) => tracing::debug!(%error, "the log does not move yet"),
            }
        }
        tokio::time::sleep(UNSETTLED_PAUSE).await;
    }
}

/// A wake-up for a moment that has passed must not become a busy loop.
fn soon() -> Time {
    now().after(Duration::from_millis(1))
}

/// A view, and a memory that was told of exactly what led to it.
fn catch_up(manager: &Manager, watcher: &mut Watcher, memory: &mut Memory) -> State {
    let news = manager.pulse.take();
    for (node, at) in news.alive {
        memory.liveness.heard(&node, at);
    }
    for node in news.left {
        memory.liveness.left(&node);
    }
    for (node, index) in news.laid {
        memory.laid(&node, index);
    }
    let consensus = manager.ledger.consensus();
    loop {
        let view = consensus.state();
        while let Some(change) = watcher.poll() {
            observe(memory, &change);
        }
        if consensus.state().applied() == view.applied() {
            return view;
        }
    }
}

fn observe(memory: &mut Memory, change: &Change) {
    match change {
        Change::Lagged(_) => memory.rescan(),
        Change::Events { events, .. } => {
            let now = now();
            for event in events.iter() {
                memory.observe(event, now);
            }
        }
    }
}
