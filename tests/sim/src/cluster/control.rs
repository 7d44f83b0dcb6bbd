//! The leader's loop: asks core what follows, proposes it, and asks again.

use crate::cluster::runtime;
use crate::cluster::world::{Ids, World, time};
use parking_lot::Mutex;
use shoal_node_core_cluster::{Memory, step};
use shoal_raft_consensus::{Change, Consensus, ProposeError};
use shoal_raft_objects::{NodeId, Proposal, Time, codec};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(20);

/// Runs for as long as the manager does.
pub async fn run(
    world: World,
    id: u64,
    consensus: Consensus,
    heard: Arc<Mutex<BTreeMap<NodeId, Time>>>,
    mut ids: Ids,
) {
    let mut leadership = consensus.leadership();
    loop {
        if leadership.wait_for(|l| l.is_self).await.is_err() {
            return;
        }
        lead(&world, id, &consensus, &heard, &mut ids).await;
        runtime::sleep(TICK).await;
    }
}

/// Until the leadership is lost, or it is not known what became of a proposal.
async fn lead(
    world: &World,
    id: u64,
    consensus: &Consensus,
    heard: &Mutex<BTreeMap<NodeId, Time>>,
    ids: &mut Ids,
) {
    // Whatever this manager proposed before and does not know the end of comes before this in the log.
    if consensus.propose(&Proposal::default()).await.is_err() {
        return;
    }
    heard.lock().clear();
    let (_, mut watcher) = consensus.watch();
    let mut memory = Memory::new(time());
    let mut wake_at = Some(Time::ZERO);
    while consensus.leadership().borrow().is_self {
        let news: Vec<_> = std::mem::take(&mut *heard.lock()).into_iter().collect();
        let (view, changes) = watcher.drain();
        let due = wake_at.is_some_and(|at| at <= time());
        if news.is_empty() && changes.is_empty() && !due {
            runtime::sleep(TICK).await;
            continue;
        }
        for (node, at) in &news {
            memory.liveness.heard(node, *at);
        }
        for change in changes {
            match change {
                Change::Events { events, .. } => events.iter().for_each(|e| memory.observe(e, time())),
                Change::Lagged(_) => memory.rescan(),
            }
        }
        let decision = step(&view, time(), &mut memory, ids);
        wake_at = decision.wake_at;
        if !decision.proposals.is_empty() {
            let encoded: Vec<_> = decision
                .proposals
                .iter()
                .filter_map(|p| codec::encode(p).ok())
                .collect();
            world
                .borrow_mut()
                .oracle
                .trace
                .decision(runtime::now(), id, &encoded);
        }
        for proposal in &decision.proposals {
            match consensus.propose(proposal).await {
                Ok(applied) => {
                    memory.applied();
                    wake_at = Some(Time::ZERO);
                    let bytes = codec::encode(proposal).unwrap_or_default();
                    world
                        .borrow_mut()
                        .oracle
                        .acknowledged
                        .insert(applied.index, bytes);
                }
                Err(ProposeError::Refused(_)) => {
                    memory.refused();
                    wake_at = Some(Time::ZERO);
                }
                Err(_) => return,
            }
        }
    }
}
