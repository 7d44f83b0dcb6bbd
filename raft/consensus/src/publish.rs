//! The applied state and what led to it, for readers on this manager.

use parking_lot::Mutex;
use shoal_raft_objects::Event;
use shoal_raft_store::State;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// Events kept for watchers. One that falls further behind gets the state instead.
const EVENTS_MAX: usize = 2048;

/// Written by the state machine only.
pub struct Published {
    inner: Mutex<Inner>,
    /// One more than the index of the last applied entry.
    next: watch::Sender<u64>,
}

struct Inner {
    state: State,
    /// Only entries that had events, in the order of their indexes.
    ring: VecDeque<(u64, Arc<[Event]>)>,
    events: usize,
    /// The ring holds everything from this index on.
    first: u64,
}

/// What a watcher is told, in the order of the log.
#[derive(Clone, Debug)]
pub enum Change {
    Events {
        /// Log index of the proposal that did this.
        index: u64,
        events: Arc<[Event]>,
    },
    /// Too much has happened to tell it one by one: look at this state anew. Changes go on after it.
    Lagged(State),
}

/// Follows the changes from one state on. Holds a place, not a queue: a slow watcher costs nothing.
pub struct Watcher {
    published: Arc<Published>,
    signal: watch::Receiver<u64>,
    next: u64,
}

impl Published {
    pub fn new(state: State, next: u64) -> Arc<Published> {
        Arc::new(Published {
            inner: Mutex::new(Inner {
                state,
                ring: VecDeque::new(),
                events: 0,
                first: next,
            }),
            next: watch::Sender::new(next),
        })
    }

    pub fn state(&self) -> State {
        self.inner.lock().state.clone()
    }

    /// Log index after the last applied one.
    pub fn next(&self) -> u64 {
        *self.next.borrow()
    }

    /// Waits until everything before `next` is applied; an error if the state machine is gone.
    pub async fn reached(&self, next: u64) -> Result<(), watch::error::RecvError> {
        self.next.subscribe().wait_for(|n| *n >= next).await.map(drop)
    }

    pub fn watch(self: &Arc<Self>) -> (State, Watcher) {
        let inner = self.inner.lock();
        // Under the lock: the state and the place to go on from belong together.
        let next = *self.next.borrow();
        let watcher = Watcher {
            published: self.clone(),
            signal: self.next.subscribe(),
            next,
        };
        (inner.state.clone(), watcher)
    }

    /// The entry at `index` was applied and led to `state`.
    pub fn applied(&self, index: u64, state: &State, events: &Arc<[Event]>) {
        let mut inner = self.inner.lock();
        inner.state = state.clone();
        if !events.is_empty() {
            inner.events += events.len();
            inner.ring.push_back((index, events.clone()));
            while inner.events > EVENTS_MAX {
                let Some((index, events)) = inner.ring.pop_front() else {
                    break;
                };
                inner.events -= events.len();
                inner.first = index + 1;
            }
        }
        self.next.send_replace(index + 1);
    }

    /// A snapshot took the place of everything before `next`.
    pub fn replaced(&self, state: &State, next: u64) {
        let mut inner = self.inner.lock();
        inner.state = state.clone();
        inner.ring.clear();
        inner.events = 0;
        inner.first = next;
        self.next.send_replace(next);
    }
}

impl Watcher {
    /// The next change; `None` when this manager has stopped. Safe to drop and call again.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            // Marked as seen before the look, so nothing that comes after the look is missed.
            self.signal.borrow_and_update();
            if let Some(change) = self.poll() {
                return Some(change);
            }
            self.signal.changed().await.ok()?;
        }
    }

    /// All changes that are there already, and the state that they lead to: nothing is in the one and not in the
    /// other, so whoever decides over the state has heard of everything in it.
    pub fn drain(&mut self) -> (State, Vec<Change>) {
        let published = self.published.clone();
        let inner = published.inner.lock();
        let applied = *published.next.borrow();
        self.signal.mark_unchanged();
        let changes = if self.next >= applied {
            Vec::new()
        } else if self.next < inner.first {
            vec![Change::Lagged(inner.state.clone())]
        } else {
            let at = inner.ring.partition_point(|(index, _)| *index < self.next);
            let told = inner.ring.iter().skip(at);
            told.map(|(index, events)| Change::Events {
                index: *index,
                events: events.clone(),
            })
            .collect()
        };
        self.next = applied;
        (inner.state.clone(), changes)
    }

    /// Waits until there is something to [`drain`](Self::drain). False when this manager has stopped.
    pub async fn changed(&mut self) -> bool {
        self.signal.wait_for(|next| *next > self.next).await.is_ok()
    }

    /// The next change that is there already.
    pub fn poll(&mut self) -> Option<Change> {
        let inner = self.published.inner.lock();
        let applied = *self.published.next.borrow();
        if self.next >= applied {
            return None;
        }
        if self.next < inner.first {
            self.next = applied;
            return Some(Change::Lagged(inner.state.clone()));
        }
        let at = inner.ring.partition_point(|(index, _)| *index < self.next);
        match inner.ring.get(at) {
            Some((index, events)) => {
                self.next = index + 1;
                Some(Change::Events {
                    index: *index,
                    events: events.clone(),
                })
            }
            None => {
                self.next = applied;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_raft_objects::{Object, Service};

    fn events(count: usize) -> Arc<[Event]> {
        (0..count)
            .map(|n| {
                Event::Created(Object::from(Service {
                    id: format!("s{n}").into(),
                    ..Default::default()
                }))
            })
            .collect()
    }

    fn seen(watcher: &mut Watcher) -> Vec<String> {
        std::iter::from_fn(|| watcher.poll())
            .map(|change| match change {
                Change::Events { index, events } => format!("{index}:{}", events.len()),
                Change::Lagged(_) => "lagged".into(),
            })
            .collect()
    }

    #[test]
    fn a_watcher_sees_every_change_after_its_state_once() {
        let published = Published::new(State::default(), 0);
        published.applied(0, &State::default(), &events(1));
        let (_, mut watcher) = published.watch();
        published.applied(1, &State::default(), &events(2));
        published.applied(2, &State::default(), &events(0));
        published.applied(3, &State::default(), &events(3));
        assert_eq!(seen(&mut watcher), ["1:2", "3:3"]);
        published.applied(4, &State::default(), &events(0));
        assert_eq!(seen(&mut watcher), [""; 0]);
        let (_, mut draining) = published.watch();
        published.applied(5, &State::default(), &events(1));
        assert_eq!(seen(&mut watcher), ["5:1"]);
        assert_eq!(draining.drain().1.len(), 1);
        assert_eq!(draining.drain().1.len(), 0);
    }

    #[test]
    fn one_that_is_too_slow_is_told_so_and_goes_on() {
        let published = Published::new(State::default(), 0);
        let (_, mut slow) = published.watch();
        for index in 0..3 {
            published.applied(index, &State::default(), &events(EVENTS_MAX / 2 + 1));
        }
        assert_eq!(seen(&mut slow), ["lagged"]);
        published.applied(3, &State::default(), &events(1));
        assert_eq!(seen(&mut slow), ["3:1"]);
        published.replaced(&State::default(), 10);
        published.applied(10, &State::default(), &events(1));
        assert_eq!(
            seen(&mut slow),
            ["lagged"],
            "the snapshot and what came after it in one"
        );
    }

    #[tokio::test]
    async fn waiting_ends_with_the_change_or_with_the_manager() {
        let published = Published::new(State::default(), 0);
        let (_, mut watcher) = published.watch();
        let waiting = tokio::spawn(async move { watcher.next().await.map(|_| watcher) });
        tokio::task::yield_now().await;
        published.applied(0, &State::default(), &events(1));
        assert!(waiting.await.unwrap().is_some());
        published.reached(1).await.unwrap();
    }
}
