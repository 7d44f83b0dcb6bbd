//! What happened on this node: a ring of the last 256 events and a live stream. Publishing never waits; a reader that
//! falls too far behind is told so and cut off, never fed a silent gap.

use crate::clock;
use crate::figures::Figures;
use parking_lot::Mutex;
use shoal_api_types::event::{EventActor, EventMessage};
use shoal_api_types::{Dict, Filters};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::broadcast;

const RING_MAX: usize = 256;
/// How far a live reader may fall behind.
const BEHIND_MAX: usize = 1024;

#[derive(Clone)]
pub struct Events {
    inner: Arc<Inner>,
}

struct Inner {
    figures: Figures,
    ring: Mutex<VecDeque<Arc<EventMessage>>>,
    live: broadcast::Sender<Arc<EventMessage>>,
}

impl Default for Events {
    fn default() -> Self {
        let (live, _) = broadcast::channel(BEHIND_MAX);
        Events {
            inner: Arc::new(Inner {
                figures: Figures::default(),
                ring: Mutex::new(VecDeque::with_capacity(RING_MAX)),
                live,
            }),
        }
    }
}

impl Events {
    /// Of this node. What the cluster decided is said by [`Events::publish_scoped`].
    pub fn publish(&self, kind: &str, action: &str, id: &str, attributes: BTreeMap<String, String>) {
        self.publish_scoped("local", kind, action, id, attributes);
    }

    /// `scope` is `local` or `swarm`.
    pub fn publish_scoped(
        &self,
        scope: &str,
        kind: &str,
        action: &str,
        id: &str,
        attributes: BTreeMap<String, String>,
    ) {
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
            scope: scope.into(),
            time: now.0 / 1_000_000_000,
            time_nano: now.0,
        };
        let event = Arc::new(event);
        self.inner.figures.event();
        let mut ring = self.inner.ring.lock();
        if ring.len() == RING_MAX {
            ring.pop_front();
        }
        ring.push_back(event.clone());
        // Sent under the lock, so that a new reader sees each event once: in the ring or live.
        let _ = self.inner.live.send(event);
    }

    /// What a prune of things of this kind gave back; Docker says it without an id.
    pub fn pruned(&self, kind: &str, bytes: u64) {
        let attributes = BTreeMap::from([("reclaimed".to_owned(), bytes.to_string())]);
        self.publish(kind, "prune", "", attributes);
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

    /// The engine's figures, which whoever has something to tell of also counts in.
    pub fn figures(&self) -> &Figures {
        &self.inner.figures
    }

    pub fn listeners(&self) -> usize {
        self.inner.live.receiver_count()
    }
}

/// Names and ids that a filter is compared with by their beginning, whatever the event is about: `network=web` lets an
/// event of container `web1` pass. So it is in Docker.
const BY_NAME: [&str; 9] = [
    "config",
    "container",
    "daemon",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "volume",
];

/// Actions with something behind a colon; a filter that names one of them makes all of the filter match by beginnings.
const WITH_DETAIL: [&str; 3] = ["exec_create", "exec_start", "health_status"];

/// Whether an event passes the filters, by Docker's rules. Keys that are no filter change nothing.
pub fn passes(event: &EventMessage, filters: &Filters) -> bool {
    let attribute = |key: &str| event.actor.attributes.get(key).map(String::as_str);
    let id = event.actor.id.as_str();
    let name = attribute("name").unwrap_or_default();
    let named = |key: &str| {
        !filters.contains(key)
            || filters
                .get(key)
                .any(|wanted| id.starts_with(wanted) || name.starts_with(wanted))
    };
    let by_event = if filters.get("event").any(|wanted| WITH_DETAIL.contains(&wanted)) {
        filters.matches_prefix("event", &event.action)
    } else {
        filters.matches("event", &event.action)
    };
    let image = if event.kind == "image" {
        name
    } else {
        attribute("image").unwrap_or_default()
    };
    by_event
        && filters.matches("type", &event.kind)
        && filters.matches("scope", &event.scope)
        && filters.matches_labels("label", attribute)
        && BY_NAME.into_iter().all(named)
        && [id, image, without_tag(id), without_tag(image)]
            .into_iter()
            .any(|text| filters.matches("image", text))
}

/// `registry:5000/name:tag@digest` without tag and digest.
fn without_tag(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or_default();
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
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
            ("image", "busy", false),
            ("container", "we", true),
            // Docker compares these with whatever the event is about.
            ("network", "abc", true),
            ("network", "xyz", false),
            ("volume", "web", true),
            ("no-such-filter", "x", true),
        ] {
            assert_eq!(passes(key, value), expected, "{key}={value}");
        }
    }
}
