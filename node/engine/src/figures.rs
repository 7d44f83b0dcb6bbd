//! What the engine counts of its own work, for who measures it. Counting is an addition; nothing is formatted here.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Upper bounds in seconds; Prometheus' own choice, which Docker's figures have.
pub const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Docker times these.
pub const ACTIONS: [&str; 5] = ["changes", "commit", "create", "delete", "start"];

/// Shared by whoever counts.
#[derive(Clone, Default)]
pub struct Figures {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    events: AtomicU64,
    health_checks: AtomicU64,
    health_checks_failed: AtomicU64,
    actions: [Mutex<Histogram>; ACTIONS.len()],
}

/// Observations by bucket, each in the first that holds it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    pub buckets: [u64; BOUNDS.len() + 1],
    /// Seconds.
    pub sum: f64,
}

/// The figures at one moment.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    pub events: u64,
    pub health_checks: u64,
    pub health_checks_failed: u64,
    /// In the order of [`ACTIONS`].
    pub actions: [Histogram; ACTIONS.len()],
}

impl Figures {
    pub fn event(&self) {
        self.inner.events.fetch_add(1, Ordering::Relaxed);
    }

    pub fn health_check(&self, failed: bool) {
        self.inner.health_checks.fetch_add(1, Ordering::Relaxed);
        if failed {
            self.inner.health_checks_failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Times what succeeds, as Docker does; `action` is one of [`ACTIONS`].
    pub async fn timed<T, E>(&self, action: &str, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let began = Instant::now();
        let done = work.await;
        if done.is_ok()
            && let Some(at) = ACTIONS.iter().position(|name| *name == action)
        {
            self.inner.actions[at].lock().add(began.elapsed().as_secs_f64());
        }
        done
    }

    pub fn read(&self) -> Reading {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Reading {
            events: load(&self.inner.events),
            health_checks: load(&self.inner.health_checks),
            health_checks_failed: load(&self.inner.health_checks_failed),
            actions: std::array::from_fn(|at| self.inner.actions[at].lock().clone()),
        }
    }
}

impl Histogram {
    fn add(&mut self, seconds: f64) {
        let at = BOUNDS
            .iter()
            .position(|bound| seconds <= *bound)
            .unwrap_or(BOUNDS.len());
        self.buckets[at] += 1;
        self.sum += seconds;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_succeeds_is_timed() {
        let figures = Figures::default();
        let _ = figures.timed("start", async { Ok::<_, ()>(()) }).await;
        let _ = figures.timed("start", async { Err::<(), _>(()) }).await;
        let read = figures.read();
        let start = &read.actions[4];
        assert_eq!(start.buckets.iter().sum::<u64>(), 1);
        assert_eq!(read.actions[0], Histogram::default());
    }
}
