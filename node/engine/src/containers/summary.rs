//! A container as lists show it, made anew only when something has changed.

use super::inspect;
use super::{Handle, Kit, Record, View};
use shoal_api_backend::Listed;
use shoal_api_types::container::{
    ContainerSummary, HealthSummary, Port, SummaryHostConfig, SummaryNetworkSettings,
};
use shoal_node_core_host::lifecycle::Time;
use shoal_node_core_host::{ports, status};
use std::sync::{Arc, Weak};

/// What a list showed of a container last, and what that was made from.
pub(super) struct Shown {
    /// Weak: nothing that ended is held by it, and nothing else can have its place meanwhile.
    view: Weak<View>,
    /// [`crate::networks::NetworkTable::changes`] of that time.
    networks: u64,
    listed: Arc<Listed>,
}

/// The container as it is now; the last one again if that says the same. `image` is the name that it is shown with.
pub(super) fn listed(kit: &Kit, handle: &Handle, view: &Arc<View>, image: &str, now: Time) -> Arc<Listed> {
    // What others are called by those that link to it changes without it.
    if kit.registry.any_linked() {
        return Arc::new(Listed::new(summary(kit, view, image, now)));
    }
    let networks = kit.networks.changes();
    let mut shown = handle.inner.shown.lock();
    if let Some(last) = &*shown
        && std::ptr::eq(last.view.as_ptr(), Arc::as_ptr(view))
        && last.networks == networks
        && last.listed.image == image
        && last.listed.status == status_of(view, now)
    {
        return last.listed.clone();
    }
    let listed = Arc::new(Listed::new(summary(kit, view, image, now)));
    *shown = Some(Shown {
        view: Arc::downgrade(view),
        networks,
        listed: listed.clone(),
    });
    listed
}

pub(super) fn summary(kit: &Kit, view: &View, image: &str, now: Time) -> ContainerSummary {
    let record = &view.record;
    let health = view.health.as_ref().map(|h| h.health);
    let words = std::iter::once(record.path.as_str()).chain(record.args.iter().map(String::as_str));
    let command = words.map(quoted).collect::<Vec<_>>().join(" ");
    ContainerSummary {
        id: record.id.clone(),
        names: names_of(kit, record),
        image: image.into(),
        image_id: record.image_id.clone(),
        image_manifest_descriptor: record.image_manifest.clone(),
        command,
        created: record.created.0 / 1_000_000_000,
        ports: ports_of(view),
        labels: record.config.labels.clone().into_map(),
        state: view.state.phase.as_str().into(),
        status: status_of(view, now),
        host_config: SummaryHostConfig {
            network_mode: record.host.network_mode.clone(),
            annotations: record.host.annotations.clone(),
        },
        health: Some(HealthSummary {
            status: health.map_or("none", |h| h.status.as_str()).into(),
            failing_streak: health.map_or(0, |h| i64::try_from(h.failing_streak).unwrap_or(i64::MAX)),
        }),
        network_settings: SummaryNetworkSettings {
            networks: inspect::networks(kit, view),
        },
        mounts: record.mounts.iter().map(|m| m.point.clone()).collect(),
        ..ContainerSummary::default()
    }
}

fn status_of(view: &View, now: Time) -> String {
    let health = view.health.as_ref().map(|h| h.health.status.as_str());
    status::status(&view.state, health, now)
}

/// Its own, and what containers on the default bridge that are linked to it call it.
fn names_of(kit: &Kit, record: &Record) -> Vec<String> {
    let mut names = vec![format!("/{}", record.name)];
    if kit.registry.any_linked() {
        for handle in kit.registry.all() {
            let from = handle.view();
            let here = crate::launch::links(kit, &from.record).filter(|(_, to)| to.record.id == record.id);
            names.extend(here.map(|(alias, _)| format!("/{}/{alias}", from.record.name)));
        }
    }
    names
}

/// As Docker: an argument with a space is put in quotes.
fn quoted(word: &str) -> String {
    if word.contains(' ') {
        format!("'{word}'")
    } else {
        word.to_string()
    }
}

fn ports_of(view: &View) -> Vec<Port> {
    let mut out: Vec<Port> = view
        .endpoints
        .iter()
        .flat_map(|e| &e.published)
        .map(|p| Port {
            ip: if p.host_port == 0 {
                String::new()
            } else {
                p.host_ip.clone()
            },
            private_port: p.container_port,
            public_port: p.host_port,
            kind: p.protocol.clone(),
        })
        .collect();
    if view.phase().is_live() {
        for port in view.record.config.exposed_ports.keys() {
            let Ok((number, protocol)) = ports::parse(port) else {
                continue;
            };
            if !out.iter().any(|p| p.private_port == number && p.kind == protocol) {
                out.push(Port {
                    private_port: number,
                    kind: protocol.into(),
                    ..Port::default()
                });
            }
        }
    }
    out.sort();
    out
}
