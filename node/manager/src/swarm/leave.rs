//! `docker swarm leave`.

use super::Swarm;
use super::member::Member;
use crate::SwarmError;
use crate::error;
use crate::manager::{Manager, Members};
use crate::serve::membership::at_leader;
use shoal_api_backend::{Error, Result};
use shoal_api_wire::membership::LeaveRequest;
use shoal_node_core_cluster::roles::Members as _;
use std::time::Duration;

/// How long a manager that is made to leave tries to leave in order.
const IN_ORDER: Duration = Duration::from_secs(5);

impl Swarm {
    pub(super) async fn leave_cluster(&self, force: bool) -> Result<()> {
        let _alone = self.inner.changing.lock().await;
        let Some(member) = self.member() else {
            // A place that cannot be taken up can still be given up, and nothing hangs on one that was taken away.
            let idle = match &*self.inner.trouble.lock() {
                None => false,
                Some(SwarmError::Removed(_)) => true,
                Some(_) => force,
            };
            if !idle {
                return Err(Error::unavailable(error::NOT_PART));
            }
            self.forget_files().await;
            self.inner.trouble.lock().take();
            return Ok(());
        };
        if let Some(manager) = member.manager() {
            if !force {
                return Err(Error::unavailable(warning(&manager)));
            }
            if tokio::time::timeout(IN_ORDER, in_order(&member, &manager))
                .await
                .is_err()
            {
                tracing::warn!("left the swarm without telling the other managers");
            }
        }
        self.inner.place.write().take();
        member.leave().await;
        drop(member);
        self.forget_files().await;
        Ok(())
    }
}

/// The others take this manager out of Raft, if they can do without it.
async fn in_order(member: &Member, manager: &Manager) {
    let consensus = manager.ledger.consensus();
    if consensus.members().len() <= 1 {
        return;
    }
    if manager.ledger.leads()
        && let Err(error) = consensus.transfer_leader(None, Duration::from_secs(2)).await
    {
        tracing::warn!(%error, "the leadership could not be handed over");
        return;
    }
    let mut leadership = consensus.leadership();
    let me = consensus.me().id;
    let leader = match leadership
        .wait_for(|l| l.leader.as_ref().is_some_and(|p| p.id != me))
        .await
    {
        Ok(found) => found.leader.as_ref().map(|l| l.addr.clone()),
        Err(_) => None,
    };
    let Some(leader) = leader else { return };
    let told = at_leader(&member.peers, &leader, |mut client| async move {
        client.leave(LeaveRequest {}).await
    });
    if let Err(status) = told.await {
        tracing::warn!(%status, "the leader did not let this manager go");
    }
}

/// Docker's words.
fn warning(manager: &Manager) -> String {
    let mut text =
        String::from("You are attempting to leave the swarm on a node that is participating as a manager. ");
    let members = Members(manager.ledger.consensus().members());
    let total = members.count();
    let known = manager.ledger.leads();
    let reachable = members
        .0
        .iter()
        .filter(|m| m.votes && m.reachable != Some(false))
        .count();
    if total <= 1 {
        text.push_str("Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message. ");
        return text;
    }
    if !known {
        text.push_str("Doing so may lose the consensus of your cluster. ");
    } else if reachable.saturating_sub(1) <= total / 2 {
        text.push_str(&format!(
            "Removing this node leaves {} managers out of {total}. Without a Raft quorum your swarm will be inaccessible. ",
            reachable.saturating_sub(1)
        ));
    }
    text.push_str(
        "The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`. Use \
         `--force` to suppress this message.",
    );
    text
}
