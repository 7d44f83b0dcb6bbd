//! The cluster does not know this node any more.

use super::Inner;
use super::member::Member;
use crate::SwarmError;
use std::sync::Arc;

impl Inner {
    /// Ends the agent with all its tasks, and the manager. What happened is kept for the user to see, also after a
    /// restart, until the node is told to leave.
    pub(super) async fn lose(&self, member: &Arc<Member>, why: String) {
        let _alone = self.changing.lock().await;
        // It may have left, or stopped, meanwhile.
        if !self
            .place
            .read()
            .as_ref()
            .is_some_and(|place| Arc::ptr_eq(place, member))
        {
            return;
        }
        tracing::error!(%why, "this node is not part of its swarm any more; its tasks are stopped");
        *self.trouble.lock() = Some(SwarmError::Removed(why.clone()));
        self.place.write().take();
        member.leave().await;
        // Last: a daemon that is killed before asks the managers again, and ends the rest of its tasks.
        if let Err(error) = member.save(|saved| saved.removed = Some(why)).await {
            tracing::warn!(%error, "cannot write down that this node was removed from its swarm");
        }
    }
}
