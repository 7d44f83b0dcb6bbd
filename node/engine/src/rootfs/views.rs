//! Who looks into which container's files. A start waits until nobody does, so that there is one overlay at a time over a
//! container's own layer; whoever does not finish soon is cut off.

use parking_lot::Mutex;
use shoal_node_drivers_archive::View;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, Semaphore};
use tokio_util::sync::CancellationToken;

/// How long a start lets those finish who look.
const GRACE: Duration = Duration::from_secs(5);
/// Streams at a time, each with a thread and a megabyte or so.
const STREAMS_MAX: usize = 128;

#[derive(Clone)]
pub struct Views {
    slots: Arc<Mutex<HashMap<String, Arc<Slot>>>>,
    streams: Arc<Semaphore>,
}

#[derive(Default)]
pub(super) struct Slot {
    gate: Arc<RwLock<()>>,
    inner: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Of a container that does not run: made by the first who looks, used by all.
    view: Weak<View>,
    ending: CancellationToken,
}

impl Default for Views {
    fn default() -> Self {
        Views {
            slots: Arc::default(),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        }
    }
}

/// The right to look. While it lives the container does not change between running and not running unseen.
pub(super) struct Pass {
    pub slot: Arc<Slot>,
    /// Fires when a start can wait no longer.
    pub ending: CancellationToken,
    views: Views,
    id: String,
    _gate: OwnedRwLockReadGuard<()>,
    _stream: Option<tokio::sync::OwnedSemaphorePermit>,
}

impl Views {
    fn slot(&self, id: &str) -> Arc<Slot> {
        self.slots.lock().entry(id.to_owned()).or_default().clone()
    }

    pub(super) async fn enter(&self, id: &str) -> Pass {
        // Never closed: the permit is always there in the end.
        let stream = self.streams.clone().acquire_owned().await.ok();
        let slot = self.slot(id);
        let gate = slot.gate.clone().read_owned().await;
        let ending = slot.inner.lock().ending.clone();
        Pass {
            slot,
            ending,
            views: self.clone(),
            id: id.to_owned(),
            _gate: gate,
            _stream: stream,
        }
    }

    /// Waits until nobody looks, and keeps others out while the answer lives.
    pub async fn close(&self, id: &str) -> Option<OwnedRwLockWriteGuard<()>> {
        self.close_after(id, GRACE).await
    }

    async fn close_after(&self, id: &str, grace: Duration) -> Option<OwnedRwLockWriteGuard<()>> {
        // Nobody has looked since the last start.
        let slot = self.slots.lock().get(id).cloned()?;
        let gate = slot.gate.clone().write_owned();
        tokio::pin!(gate);
        let guard = match tokio::time::timeout(grace, &mut gate).await {
            Ok(guard) => guard,
            Err(_) => {
                std::mem::take(&mut slot.inner.lock().ending).cancel();
                gate.await
            }
        };
        Some(guard)
    }
}

impl Slot {
    /// The view that others use already, or a new one.
    pub(super) fn share<E>(&self, make: impl FnOnce() -> Result<View, E>) -> Result<Arc<View>, E> {
        let mut shared = self.inner.lock();
        if let Some(view) = shared.view.upgrade() {
            return Ok(view);
        }
        let view = Arc::new(make()?);
        shared.view = Arc::downgrade(&view);
        Ok(view)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut slots = self.views.slots.lock();
        // The map's and ours: nobody else is there or on the way.
        if Arc::strong_count(&self.slot) == 2 {
            slots.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_start_waits_then_cuts_off_and_nothing_is_kept() {
        let views = Views::default();
        assert!(views.close("a").await.is_none());
        let pass = views.enter("a").await;
        let ending = pass.ending.clone();
        let holder = tokio::spawn(async move {
            ending.cancelled().await;
            drop(pass);
        });
        let guard = views.close_after("a", Duration::from_millis(20)).await;
        assert!(guard.is_some() && holder.is_finished());
        let late = tokio::time::timeout(Duration::from_millis(50), views.enter("a")).await;
        assert!(late.is_err(), "others wait while it starts");
        drop(guard);
        let pass = views.enter("a").await;
        assert!(!pass.ending.is_cancelled());
        drop(pass);
        assert!(views.slots.lock().is_empty());
    }
}
