//! How old our orders are.
//!
//! A node that was frozen or cut off may hold orders that the cluster has long given to somebody else. So nothing is
//! brought to life unless a complete set came in the session that we have, and a manager was heard within its grace.
//! The clock is the monotonic one, which goes on while a process is stopped.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The manager was silent for longer than its grace; what it says now may have lain in a buffer for as long.
#[derive(Debug)]
pub(crate) struct Stale;

struct Contact {
    /// The session's complete set arrived.
    synced: bool,
    heard: Instant,
    grace: Duration,
}

pub(crate) struct Orders {
    contact: Mutex<Contact>,
    synced: watch::Sender<u64>,
}

impl Orders {
    pub fn new() -> Self {
        Self {
            contact: Mutex::new(Contact {
                synced: false,
                heard: Instant::now(),
                grace: Duration::from_secs(4),
            }),
            synced: watch::Sender::new(0),
        }
    }

    /// A session begins. Orders of the session before stay good for as long as its grace.
    pub fn begin(&self, grace: Duration) {
        let mut contact = self.contact.lock();
        if contact.heard.elapsed() >= contact.grace {
            contact.synced = false;
        }
        contact.heard = Instant::now();
        contact.grace = grace;
    }

    /// A manager spoke.
    pub fn heard(&self) -> Result<(), Stale> {
        let mut contact = self.contact.lock();
        if contact.heard.elapsed() >= contact.grace {
            contact.synced = false;
            return Err(Stale);
        }
        contact.heard = Instant::now();
        Ok(())
    }

    pub fn synced(&self) {
        self.contact.lock().synced = true;
        self.synced.send_modify(|n| *n += 1);
    }

    pub fn silence(&self) -> Duration {
        self.contact.lock().heard.elapsed()
    }

    pub fn fresh(&self) -> bool {
        let contact = self.contact.lock();
        contact.synced && contact.heard.elapsed() < contact.grace
    }

    /// Returns once orders are fresh.
    pub async fn wait_fresh(&self) {
        let mut synced = self.synced.subscribe();
        while !self.fresh() {
            // Silence alone may have made them stale; then every word heard counts again.
            let _ = tokio::time::timeout(Duration::from_millis(500), synced.changed()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_makes_orders_stale_until_the_next_complete_set() {
        let grace = Duration::from_millis(200);
        let orders = Orders::new();
        assert!(!orders.fresh(), "nothing was ever ordered");
        orders.begin(grace);
        orders.synced();
        assert!(orders.fresh());
        std::thread::sleep(grace / 4);
        assert!(orders.heard().is_ok());
        std::thread::sleep(grace + grace / 4);
        assert!(!orders.fresh());
        assert!(orders.heard().is_err(), "it may have lain in a buffer");
        orders.begin(grace);
        assert!(!orders.fresh(), "a new session alone is no order");
        orders.synced();
        assert!(orders.fresh());
    }
}
