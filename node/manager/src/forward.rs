//! Where a client's cluster call is answered: here, by the leader, or not at all.

use crate::error;
use crate::ledger::LEADER_PATIENCE;
use crate::manager::Manager;
use crate::peers::Peers;
use shoal_api_backend::{Error, Route};
use shoal_api_wire::tunnel;
use std::time::Duration;
use tokio::time::Instant;

/// One manager has so long to take a call; then the next is asked.
const OPEN_TIMEOUT: Duration = Duration::from_secs(3);

/// A manager answers itself while it leads, and passes on to the leader otherwise. While there is none it waits: an
/// election is over in a second.
pub(crate) async fn from_manager(manager: &Manager) -> Route {
    let until = Instant::now() + LEADER_PATIENCE;
    loop {
        let (leader, is_self) = match manager.ledger.leader().await {
            Ok(found) => found,
            Err(refusal) => return Route::Refuse(refusal),
        };
        if is_self {
            return Route::Local;
        }
        let mut leadership = manager.ledger.leadership();
        if let Ok(channel) = manager.ledger.peers.channel(&leader.addr) {
            tokio::select! {
                opened = tokio::time::timeout(OPEN_TIMEOUT, tunnel::open(channel, true)) => {
                    if let Ok(Ok(stream)) = opened {
                        return Route::Remote(Box::new(stream));
                    }
                    manager.ledger.peers.forget(&leader.addr);
                }
                // It was deposed, or died, while it was asked.
                _ = leadership.wait_for(|l| l.leader.as_ref() != Some(&leader)) => {}
            }
        }
        if Instant::now() >= until {
            return Route::Refuse(error::no_leader());
        }
        manager.ledger.leader_changes(&leader).await;
    }
}

/// A worker passes on to any manager, which passes on to the leader.
pub(crate) async fn from_worker(peers: &Peers, managers: Vec<String>) -> Route {
    use rand::seq::SliceRandom;
    let mut managers = managers;
    managers.shuffle(&mut rand::rng());
    let until = Instant::now() + LEADER_PATIENCE;
    let mut last = error::no_leader();
    loop {
        for addr in &managers {
            let Ok(channel) = peers.channel(addr) else {
                continue;
            };
            match tokio::time::timeout(OPEN_TIMEOUT, tunnel::open(channel, false)).await {
                Ok(Ok(stream)) => return Route::Remote(Box::new(stream)),
                Ok(Err(status)) if status.code() == tonic::Code::PermissionDenied => {
                    return Route::Refuse(Error::unavailable(error::WORKER));
                }
                Ok(Err(status)) => {
                    tracing::debug!(%addr, %status, "a manager did not take a client's call");
                    peers.forget(addr);
                    last = error::no_leader();
                }
                Err(_) => peers.forget(addr),
            }
            if Instant::now() >= until {
                return Route::Refuse(last);
            }
        }
        if Instant::now() >= until || managers.is_empty() {
            return Route::Refuse(last);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
