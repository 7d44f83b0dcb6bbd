//! Makes managers of workers and workers of managers, one safe step at a time, and keeps Raft's members in line with
//! the cluster's nodes.

use crate::authority;
use crate::manager::{Manager, Members};
use shoal_api_wire::membership::PokeRequest;
use shoal_api_wire::membership::membership_client::MembershipClient;
use shoal_node_core_cluster::roles::{self, Action};
use shoal_raft_consensus::Change;
use shoal_raft_objects::{Node, NodeId, Object, Role, Write};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What could not be done is tried again so often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const NEXT_STEP: Duration = Duration::from_millis(20);
/// A new manager may take so long to receive the log before it counts.
pub(crate) const CATCH_UP: Duration = Duration::from_secs(30);

pub(crate) async fn run(manager: &Manager, over: CancellationToken) {
    let (_, mut watcher) = manager.ledger.consensus().watch();
    loop {
        // What was done opens the way for the next step; what could not be done waits.
        let pause = if look(manager).await {
            NEXT_STEP
        } else {
            LOOK_EVERY
        };
        tokio::select! {
            () = over.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            changed = node_changes(&mut watcher) => if !changed { return },
        }
    }
}

async fn node_changes(watcher: &mut shoal_raft_consensus::Watcher) -> bool {
    loop {
        match watcher.next().await {
            None => return false,
            Some(Change::Lagged(_)) => return true,
            Some(Change::Events { events, .. }) => {
                if events.iter().any(|e| matches!(e.object(), Object::Node(_))) {
                    return true;
                }
            }
        }
    }
}

/// True if a step towards some node's role was made.
async fn look(manager: &Manager) -> bool {
    let consensus = manager.ledger.consensus();
    let state = manager.ledger.state();
    let members = Members(consensus.members());
    let mut progress = false;
    for action in roles::actions(&state, &members, &consensus.me().node) {
        let done = match &action {
            Action::Promote(id) => promote(manager, id).await,
            Action::Demote(id) => demote(manager, id).await,
            Action::RemoveMember(_, raft_id) => consensus
                .remove_manager(*raft_id)
                .await
                .map_err(|e| e.to_string()),
            Action::TransferLeadership => consensus
                .transfer_leader(None, Duration::from_secs(5))
                .await
                .map_err(|e| e.to_string()),
        };
        match done {
            Ok(()) => progress = true,
            Err(error) => tracing::warn!(?action, %error, "a node's role could not be changed yet"),
        }
    }
    // A member that did not catch up in the time of its joining, and one whose node is gone or came back as another.
    for member in &members.0 {
        let known = state
            .nodes()
            .iter()
            .any(|n| n.manager.as_ref().is_some_and(|m| m.raft_id == member.peer.id));
        let result = if !known && member.peer.id != consensus.me().id {
            consensus.remove_manager(member.peer.id).await
        } else if known && !member.votes && member.reachable == Some(true) {
            consensus.promote_manager(member.peer.id, LOOK_EVERY).await
        } else {
            Ok(())
        };
        if let Err(error) = result {
            tracing::debug!(%error, "a member of raft is not in line yet");
        }
    }
    progress
}

async fn promote(manager: &Manager, id: &NodeId) -> Result<(), String> {
    change(manager, id, |node| node.role = Role::Manager).await
}

/// Its place in Raft is gone, so a worker's certificate is safe; the manager's is void from now on.
async fn demote(manager: &Manager, id: &NodeId) -> Result<(), String> {
    let state = manager.ledger.state();
    let (Some(node), Some(cluster)) = (state.node(id), state.cluster()) else {
        return Ok(());
    };
    let addr = node.manager.as_ref().map(|m| m.addr.clone());
    let mut demoted = Node::clone(node);
    let touched = demoted.meta.touched;
    demoted.role = Role::Worker;
    demoted.manager = None;
    let writes = vec![
        Write::Update {
            object: demoted.into(),
            touched,
        },
        Write::Update {
            object: authority::revoke(cluster, node).into(),
            touched: cluster.meta.touched,
        },
    ];
    manager
        .ledger
        .write(writes)
        .await
        .map_err(|e| shoal_api_backend::Error::from(e).message)?;
    // Its own replica stands still now, so its own manager cannot tell it.
    if let Some(addr) = addr
        && let Ok(channel) = manager.ledger.peers.channel(&addr)
    {
        let mut client = MembershipClient::new(channel);
        let poked = tokio::time::timeout(Duration::from_secs(2), client.poke(PokeRequest {})).await;
        if !matches!(poked, Ok(Ok(_))) {
            tracing::debug!(node = %id, "the demoted manager could not be told; it will find out by itself");
        }
    }
    Ok(())
}

async fn change(manager: &Manager, id: &NodeId, change: impl FnOnce(&mut Node)) -> Result<(), String> {
    let state = manager.ledger.state();
    let Some(node) = state.node(id) else {
        return Ok(());
    };
    let mut changed = Node::clone(node);
    let touched = changed.meta.touched;
    change(&mut changed);
    let write = Write::Update {
        object: changed.into(),
        touched,
    };
    match manager.ledger.write(vec![write]).await {
        Ok(_) => Ok(()),
        Err(error) => Err(shoal_api_backend::Error::from(error).message),
    }
}
