//! How many connections a listener has at once. When there is no room left, the one that has waited longest for its client
//! to ask something goes: whoever opens connections and says nothing never keeps others out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

pub(super) struct Room {
    permits: Arc<Semaphore>,
    /// By number, in the order of their coming.
    inside: Mutex<BTreeMap<u64, Arc<Idle>>>,
    next: AtomicU64,
}

/// Whether a connection waits for its next request, and since when.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    /// 0 is "busy", else microseconds since this process asked first, and one.
    since: AtomicU64,
    leave: CancellationToken,
}

static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Idle {
    pub fn waits(&self) {
        let now = u64::try_from(BEGIN.elapsed().as_micros()).unwrap_or(u64::MAX - 1) + 1;
        // A head that comes in drops waits since its first byte.
        let _ = self
            .since
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub fn works(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// Returns when the place is needed for somebody else.
    pub async fn must_leave(&self) {
        self.leave.cancelled().await;
    }
}

/// A connection's place; free again when this is dropped.
pub(super) struct Place {
    room: Arc<Room>,
    number: u64,
    pub idle: Arc<Idle>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.lock().remove(&self.number);
    }
}

impl Room {
    pub fn new(connections_max: usize) -> Arc<Room> {
        Arc::new(Room {
            permits: Arc::new(Semaphore::new(connections_max)),
            inside: Mutex::default(),
            next: AtomicU64::new(0),
        })
    }

    /// A place, that of the longest idle if there is no other. Waits while everybody is busy; None when the room is closed.
    pub async fn enter(self: &Arc<Room>) -> Option<Place> {
        let permit = match self.permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                self.make_room();
                self.permits.clone().acquire_owned().await.ok()?
            }
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let idle = Arc::new(Idle::default());
        idle.waits();
        self.lock().insert(number, idle.clone());
        Some(Place {
            room: self.clone(),
            number,
            idle,
            _permit: permit,
        })
    }

    fn make_room(&self) {
        let inside = self.lock();
        let waiting = inside.values().filter(|idle| !idle.leave.is_cancelled());
        let since = |idle: &&Arc<Idle>| idle.since.load(Ordering::Relaxed);
        if let Some(idle) = waiting.filter(|idle| since(idle) > 0).min_by_key(since) {
            idle.leave.cancel();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<Idle>>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_longest_idle_goes_and_the_busy_stay() {
        let room = Room::new(3);
        let busy = room.enter().await.expect("a place");
        busy.idle.works();
        let (first, second) = (
            room.enter().await.expect("a place"),
            room.enter().await.expect("a place"),
        );
        first.idle.works();
        std::thread::sleep(std::time::Duration::from_millis(2));
        // It has answered, and waits since now only.
        first.idle.waits();
        let entering = tokio::spawn({
            let room = room.clone();
            async move { room.enter().await.map(drop) }
        });
        second.idle.must_leave().await;
        assert!(!first.idle.leave.is_cancelled() && !busy.idle.leave.is_cancelled());
        drop(second);
        assert!(entering.await.expect("no panic").is_some());
        assert_eq!(room.lock().len(), 2);
    }
}
