//! What only the leader does: asks `core/cluster` what is to be decided, and writes it.

mod decide;
mod lookout;
mod roles;

pub(crate) use roles::CATCH_UP;

use crate::manager::Manager;
use std::sync::Arc;

/// Runs the leader's loops whenever this manager leads, until it stops.
pub(crate) async fn run(manager: Arc<Manager>) {
    let mut leadership = manager.ledger.leadership();
    loop {
        // A manager that stops while it leads must not begin once more.
        let leads = tokio::select! {
            biased;
            () = manager.stop.cancelled() => return,
            leads = leadership.wait_for(|l| l.is_self) => leads.map(|l| l.term),
        };
        let Ok(term) = leads else { return };
        tracing::info!(term, "this manager leads the swarm");
        let over = manager.stop.child_token();
        let loops = async {
            tokio::join!(
                decide::run(&manager, over.clone()),
                roles::run(&manager, over.clone()),
                lookout::run(&manager, over.clone())
            );
        };
        let deposed = async {
            // A later term led by this manager again is a new beginning as well.
            let _ = leadership.wait_for(|l| !l.is_self || l.term != term).await;
        };
        tokio::select! {
            () = loops => {}
            () = deposed => {}
        }
        over.cancel();
    }
}
