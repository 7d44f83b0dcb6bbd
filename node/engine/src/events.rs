//! What happened on this node: a ring of the last 256 events and a live stream. Publishing never waits; a reader that
//! falls too far behind is told so and cut off, never fed a silent gap.

use crate::clock;
use parking_lot::Mutex;
use shoal_api_types::event::{EventActor, EventMessage};
use shoal_api_types::{Dict, Filters};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::broadcast;

const RING_MAX: usize = 256;
/// How far a live reader may fall behind.
const BEHIND_MAX: usize = 4096;

#[derive(Clone)]
pub struct Events {
    inner: Arc<Inner>,
}

struct Inner {
    ring: Mutex<VecDeque<Arc<EventMessage>>>,
    live: broadcast::Sender<Arc<EventMessage>>,
}

/// What may be given as `filters=`.
pub const FILTERS: [&str; 14] = [
    "config",
    "container",
    "daemon",
    "event",
    "id",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
];

impl Default for Events {
    fn default() -> Self {
        let (live, _) = broadcast::channel(BEHIND_MAX);
        Events {
            inner: Arc::new(Inner {
                ring: Mutex::new(VecDeque::with_capacity(RING_MAX)),
                live,
            }),
        }
    }
}

impl Events {
    pub fn publish(&self, kind: &str, action: &str, id: &str, attributes: BTreeMap<String, String>) {
        let now = clock::now();
        let legacy = matches!(kind, "container" | "image");
        let from = if kind == "container" {
            attributes.get("image").cloned().unwrap_or_default()
        } else {
            String::new()
        };
        let event = EventMessage {
            status: if legacy { action.into() } else { String::new() },
            id: if legacy { id.into() } else { String::new() },
            from,
            kind: kind.into(),
            action: action.into(),
            actor: EventActor {
                id: id.into(),
                attributes: Dict::from(attributes),
            },
            scope: "local".into(),
            time: now.0 / 1_000_000_000,
            time_nano: now.0,
        };
        let event = Arc::new(event);
        let mut ring = self.inner.ring.lock();
        if ring.len() == RING_MAX {
            ring.pop_front();
        }
        ring.push_back(event.clone());
        // Sent under the lock, so that a new reader sees each event once: in the ring or live.
        let _ = self.inner.live.send(event);
    }

    /// Past events (only when `since` asks for them) and the live stream that continues them without a gap.
    pub fn subscribe(&self, past: bool) -> (Vec<Arc<EventMessage>>, broadcast::Receiver<Arc<EventMessage>>) {
        let ring = self.inner.ring.lock();
        let receiver = self.inner.live.subscribe();
        (
            if past {
                ring.iter().cloned().collect()
            } else {
                Vec::new()
            },
            receiver,
        )
    }

    pub fn listeners(&self) -> usize {
        self.inner.live.receiver_count()
    }
}

/// Whether an event passes the filters, with Docker's fuzzy rules.
pub fn passes(event: &EventMessage, filters: &Filters) -> bool {
    let attribute = |key: &str| event.actor.attributes.get(key).map(String::as_str);
    // `--filter container=x` is about events of that container only: id prefix or name.
    let of_kind = |kind: &str, names: &[&str]| {
        if !filters.contains(kind) {
            return true;
        }
        let here = event.kind == kind || (kind == "image" && event.kind == "container");
        here && filters.get(kind).any(|wanted| {
            event.actor.id.starts_with(wanted) || names.iter().any(|n| attribute(n) == Some(wanted))
        })
    };
    let action = event.action.split(':').next().unwrap_or_default();
    let by_event = !filters.contains("event")
        || filters
            .get("event")
            .any(|wanted| wanted == event.action || wanted == action);
    by_event
        && filters.matches("type", &event.kind)
        && filters.matches("scope", &event.scope)
        && filters.matches_prefix("id", &event.actor.id)
        && filters.matches_labels("label", attribute)
        && [
            "container",
            "daemon",
            "network",
            "node",
            "plugin",
            "service",
            "secret",
            "config",
        ]
        .iter()
        .all(|kind| of_kind(kind, &["name"]))
        && of_kind("image", &["name", "image"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect()
    }

    #[test]
    fn the_ring_keeps_the_last_and_the_stream_continues_it() {
        let events = Events::default();
        for n in 0..300 {
            events.publish("container", "start", &n.to_string(), BTreeMap::new());
        }
        let (past, mut live) = events.subscribe(true);
        assert_eq!(past.len(), RING_MAX);
        assert_eq!(past[0].actor.id, "44");
        events.publish("container", "die", "x", BTreeMap::new());
        assert_eq!(live.try_recv().expect("an event").action, "die");
    }

    #[test]
    fn filters_select() {
        let events = Events::default();
        let pairs = attributes(&[("name", "web"), ("image", "busybox"), ("tier", "front")]);
        events.publish("container", "health_status: healthy", "abcdef", pairs);
        let (past, _live) = events.subscribe(true);
        let passes = |key: &str, value: &str| {
            let mut filters = Filters::new();
            filters.add(key, value);
            super::passes(&past[0], &filters)
        };
        for (key, value, expected) in [
            ("container", "web", true),
            ("container", "abc", true),
            ("container", "other", false),
            ("image", "busybox", true),
            ("event", "health_status", true),
            ("event", "start", false),
            ("type", "container", true),
            ("type", "image", false),
            ("label", "tier=front", true),
            ("label", "tier=back", false),
            ("network", "abc", false),
        ] {
            assert_eq!(passes(key, value), expected, "{key}={value}");
        }
    }
}
