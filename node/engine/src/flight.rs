//! Single flight: who asks for what is already being found out waits for that answer.

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use std::hash::Hash;
use std::{collections::HashMap, future::Future};

/// Work under way, by what was asked. Nothing is kept once it is answered; work that nobody waits for any more stops.
pub struct Flights<K, T: Clone> {
    under_way: Mutex<HashMap<K, WeakShared<BoxFuture<'static, T>>>>,
}

impl<K, T: Clone> Default for Flights<K, T> {
    fn default() -> Self {
        Flights {
            under_way: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash + Clone, T: Clone + Send + 'static> Flights<K, T> {
    pub async fn join<F>(&self, key: K, work: impl FnOnce() -> F) -> T
    where
        F: Future<Output = T> + Send + 'static,
    {
        let flight: Shared<BoxFuture<'static, T>> = {
            let mut under_way = self.under_way.lock();
            // What is over cannot be joined.
            under_way.retain(|_, flight| flight.upgrade().is_some_and(|f| f.peek().is_none()));
            match under_way.get(&key).and_then(WeakShared::upgrade) {
                Some(flight) => flight,
                None => {
                    let flight = work().boxed().shared();
                    if let Some(weak) = flight.downgrade() {
                        under_way.insert(key, weak);
                    }
                    flight
                }
            }
        };
        flight.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[tokio::test]
    async fn the_same_question_is_answered_once_at_a_time() {
        let (flights, count) = (Arc::new(Flights::default()), Arc::new(AtomicUsize::new(0)));
        let ask = |key: u8| {
            let (flights, count) = (flights.clone(), count.clone());
            async move {
                let work = || async move {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    count.fetch_add(1, Ordering::Relaxed)
                };
                flights.join(key, work).await
            }
        };
        let (a, b, c) = tokio::join!(ask(1), ask(1), ask(2));
        assert_eq!((a, b, c), (0, 0, 1));
        assert_eq!(ask(1).await, 2);
    }
}
