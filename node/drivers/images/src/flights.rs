//! One fetch of the same content at a time: who comes second waits and then finds it there.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{Mutex as Wait, OwnedMutexGuard};

use crate::digest::Digest;

/// Locks by digest. Chains are locked from the lowest layer up, a blob last: nobody waits in a circle.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<Digest, Weak<Wait<()>>>>);

impl Flights {
    pub async fn lock(&self, digest: &Digest) -> OwnedMutexGuard<()> {
        let lock = {
            let mut flights = self.0.lock();
            flights.retain(|_, flight| flight.strong_count() > 0);
            let lock = flights.get(digest).and_then(Weak::upgrade).unwrap_or_default();
            flights.insert(digest.clone(), Arc::downgrade(&lock));
            lock
        };
        lock.lock_owned().await
    }
}
