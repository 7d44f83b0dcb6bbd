//! Who leads, as seen from here.

use crate::config::Peer;
use crate::machine::Machine;
use openraft::Raft;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use openraft::type_config::AsyncRuntime;
use shoal_raft_log::types::TypeConfig;
use shoal_raft_objects::RaftId;
use tokio::sync::watch;

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Leadership {
    pub term: u64,
    /// The manager that leads this term, if one is known.
    pub leader: Option<Peer>,
    /// This manager leads, and its state holds everything that was decided under earlier leaders.
    pub is_self: bool,
}

fn seen<RT: AsyncRuntime>(metrics: &RaftServerMetrics<TypeConfig<RT>>) -> (Leadership, bool) {
    let leader = metrics.current_leader.map(|id| {
        let member = metrics
            .membership_config
            .get_node(&id)
            .cloned()
            .unwrap_or_default();
        Peer {
            id: RaftId(id),
            node: member.node,
            addr: member.addr,
        }
    });
    let leads = metrics.state.is_leader() && metrics.current_leader == Some(metrics.id);
    let leadership = Leadership {
        term: metrics.vote.leader_id.term,
        leader,
        is_self: false,
    };
    (leadership, leads)
}

/// Keeps `out` up to date until the node stops.
pub(crate) async fn follow<RT: AsyncRuntime>(
    raft: Raft<TypeConfig<RT>, Machine<RT>>,
    out: watch::Sender<Leadership>,
) {
    let mut metrics = raft.server_metrics();
    loop {
        let (mut now, leads) = seen(&metrics.borrow_and_update());
        if leads && !(out.borrow().is_self && out.borrow().term == now.term) {
            // Announced once the first entry of the own term is applied, and with it all earlier ones. Readers see
            // nobody lead until then, rather than a leader that does not answer.
            let ready = raft.ensure_linearizable(openraft::ReadPolicy::ReadIndex).await;
            let (again, still) = seen(&metrics.borrow_and_update());
            now = again;
            now.is_self = still && ready.is_ok();
            if still && !now.is_self {
                now.leader = None;
                replace(&out, now);
                RT::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        } else {
            now.is_self = leads;
        }
        replace(&out, now);
        if metrics.changed().await.is_err() {
            break;
        }
    }
    replace(&out, Leadership::default());
}

fn replace(out: &watch::Sender<Leadership>, now: Leadership) {
    out.send_if_modified(|old| {
        let differs = *old != now;
        *old = now;
        differs
    });
}
