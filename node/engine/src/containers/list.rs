//! `docker ps`.

use super::inspect::networks;
use super::{Containers, Kit, Record, View};
use crate::clock;
use crate::error::{Result, invalid};
use shoal_api_backend::ListContainers;
use shoal_api_types::Filters;
use shoal_api_types::container::{
    ContainerSummary, HealthSummary, Port, SummaryHostConfig, SummaryNetworkSettings,
};
use shoal_node_core_host::lifecycle::{Phase, Time};
use shoal_node_core_host::{ports, status};
use std::collections::HashMap;
use std::sync::Arc;

const FILTERS: [&str; 17] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
    "label!",
    "until",
];
const STATES: [&str; 7] = [
    "created",
    "running",
    "paused",
    "restarting",
    "removing",
    "exited",
    "dead",
];

impl Containers {
    pub async fn list(&self, options: ListContainers) -> Result<Vec<ContainerSummary>> {
        let sieve = Sieve::new(self, &options).await?;
        let mut views: Vec<Arc<View>> = self.kit.registry.all().iter().map(|h| h.view()).collect();
        views.retain(|view| !view.gone && sieve.passes(view));
        views.sort_by_key(|view| std::cmp::Reverse(view.record.created));
        if options.limit > 0 {
            views.truncate(options.limit);
        }
        let now = clock::now();
        let mut names: HashMap<(String, String), bool> = HashMap::new();
        let mut out = Vec::with_capacity(views.len());
        for view in &views {
            let mut one = summary(&self.kit, view, now);
            // The name it was made from, unless that name means another image by now.
            let made = (view.record.config.image.clone(), view.record.image_id.clone());
            let current = match names.get(&made) {
                Some(current) => *current,
                None => {
                    let found = crate::images::find(&self.kit.images, &view.record.config.image);
                    let current = found
                        .is_ok_and(|image| self.kit.images.platforms(&image).contains(&view.record.image_id));
                    names.insert(made, current);
                    current
                }
            };
            if !current {
                one.image = view.record.image_id.clone();
            }
            if options.size {
                let own = self.kit.images.usage(&view.record.id).await.unwrap_or(0);
                let image =
                    crate::images::find(&self.kit.images, &view.record.image_id).map_or(0, |i| i.size);
                one.size_rw = i64::try_from(own).unwrap_or(i64::MAX);
                one.size_root_fs = i64::try_from(own.saturating_add(image)).unwrap_or(i64::MAX);
            }
            out.push(one);
        }
        Ok(out)
    }
}

pub fn summary(kit: &Kit, view: &View, now: Time) -> ContainerSummary {
    let record = &view.record;
    let health = view.health.as_ref().map(|h| h.health);
    let words = std::iter::once(record.path.as_str()).chain(record.args.iter().map(String::as_str));
    let command = words.map(quoted).collect::<Vec<_>>().join(" ");
    ContainerSummary {
        id: record.id.clone(),
        names: names_of(kit, record),
        image: record.config.image.clone(),
        image_id: record.image_id.clone(),
        command,
        created: record.created.0 / 1_000_000_000,
        ports: ports_of(view),
        labels: record.config.labels.clone().into_map(),
        state: view.state.phase.as_str().into(),
        status: status::status(&view.state, health.map(|h| h.status.as_str()), now),
        host_config: SummaryHostConfig {
            network_mode: record.host.network_mode.clone(),
            annotations: record.host.annotations.clone(),
        },
        health: Some(HealthSummary {
            status: health.map_or("none", |h| h.status.as_str()).into(),
            failing_streak: health.map_or(0, |h| i64::try_from(h.failing_streak).unwrap_or(i64::MAX)),
        }),
        network_settings: SummaryNetworkSettings {
            networks: networks(kit, view),
        },
        mounts: record.mounts.iter().map(|m| m.point.clone()).collect(),
        ..ContainerSummary::default()
    }
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

/// The filters of one list, checked once.
struct Sieve<'a> {
    options: &'a ListContainers,
    before: Option<Time>,
    since: Option<Time>,
    ancestors: Vec<String>,
    all: bool,
}

impl<'a> Sieve<'a> {
    async fn new(containers: &Containers, options: &'a ListContainers) -> Result<Sieve<'a>> {
        let filters = &options.filters;
        if let Some(key) = filters.unknown_key(&FILTERS) {
            return Err(invalid(format!("invalid filter '{key}'")));
        }
        for state in filters.get("status") {
            if !STATES.contains(&state) {
                return Err(invalid(format!(
                    "invalid filter 'status={state}': invalid value for state ({state}): must be one of created, running, paused, restarting, removing, exited, dead"
                )));
            }
        }
        for health in filters.get("health") {
            if !["none", "starting", "healthy", "unhealthy"].contains(&health) {
                return Err(invalid(format!(
                    "invalid filter 'health={health}': invalid value for health ({health}): must be one of none, starting, healthy, unhealthy"
                )));
            }
        }
        for code in filters.get("exited") {
            code.parse::<i32>().map_err(|_| {
                invalid(format!(
                    "invalid filter 'exited={code}': strconv.Atoi: parsing {code:?}: invalid syntax"
                ))
            })?;
        }
        filters
            .get_bool("is-task")
            .map_err(|v| invalid(format!("invalid filter 'is-task=[{v}]'")))?;
        for key in ["publish", "expose"] {
            for port in filters.get(key) {
                let (range, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
                let number = ports::parse_host(range)
                    .map(drop)
                    .map_err(|_| format!("strconv.ParseUint: parsing {range:?}: invalid syntax"));
                let fits = number.and_then(|()| ports::parse(&format!("0/{protocol}")).map(drop));
                fits.map_err(|why| invalid(format!("error while looking up for {key} {port}: {why}")))?;
            }
        }
        let created = |key: &str| -> Result<Option<Time>> {
            match filters.get(key).next() {
                Some(reference) => Ok(Some(
                    containers.kit.registry.get(reference)?.view().record.created,
                )),
                None => Ok(None),
            }
        };
        let mut ancestors = Vec::new();
        for name in filters.get("ancestor") {
            if let Ok(image) = crate::images::find(&containers.kit.images, name) {
                let own = containers.kit.images.platforms(&image);
                ancestors.extend(containers.kit.images.descendants(&own));
                ancestors.extend(own);
            }
        }
        let implied = options.limit > 0 || filters.contains("status") || filters.contains("exited");
        Ok(Sieve {
            options,
            before: created("before")?,
            since: created("since")?,
            ancestors,
            all: options.all || implied,
        })
    }

    fn passes(&self, view: &View) -> bool {
        let filters: &Filters = &self.options.filters;
        let record = &view.record;
        let phase = view.phase();
        let label = |key: &str| record.config.labels.get(key).map(String::as_str);
        let health = view.health.as_ref().map_or("none", |h| h.health.status.as_str());
        let any =
            |key: &str, test: &dyn Fn(&str) -> bool| !filters.contains(key) || filters.get(key).any(test);
        let matches_port = |wanted: &str, actual: &dyn Fn(u16, &str) -> bool| {
            let (range, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
            ports::parse_host(range).is_ok_and(|(first, last)| (first..=last).any(|p| actual(p, protocol)))
        };
        let published = |p: u16, proto: &str| {
            view.endpoints
                .iter()
                .flat_map(|e| &e.published)
                .any(|b| b.host_port == p && b.protocol == proto)
        };
        let exposed = |p: u16, proto: &str| record.config.exposed_ports.contains_key(&format!("{p}/{proto}"));
        (self.all || phase.counts_as_running())
            && self.before.is_none_or(|at| record.created < at)
            && self.since.is_none_or(|at| record.created > at)
            && filters.matches_prefix("id", &record.id)
            && any("name", &|n| name_matches(&record.name, n))
            && filters.matches("status", phase.as_str())
            && filters.matches("health", health)
            && filters.matches_labels("label", label)
            && (!filters.contains("label!") || !filters.matches_labels("label!", label))
            && any("exited", &|c| {
                phase == Phase::Exited && c.parse() == Ok(view.state.exit_code)
            })
            && (!filters.contains("ancestor") || self.ancestors.contains(&record.image_id))
            && any("is-task", &|v| {
                (v == "true" || v == "1") == label("com.docker.swarm.task.id").is_some()
            })
            && any("network", &|n| {
                record.networks.contains_key(n)
                    || view.endpoints.iter().any(|e| e.network == n || e.network_id == n)
            })
            && any("volume", &|v| {
                record
                    .mounts
                    .iter()
                    .any(|m| m.point.name == v || m.point.destination == v)
            })
            && any("publish", &|p| matches_port(p, &published))
            && any("expose", &|p| matches_port(p, &exposed))
    }
}

/// A name filter matches anywhere in the name; `^` and `$` hold it to the ends, as clients that look for one use them.
fn name_matches(name: &str, filter: &str) -> bool {
    let (filter, from_start) = match filter.strip_prefix('^') {
        Some(rest) => (rest, true),
        None => (filter, false),
    };
    let (filter, to_end) = match filter.strip_suffix('$') {
        Some(rest) => (rest, true),
        None => (filter, false),
    };
    let slashed = filter.starts_with('/');
    let bare = filter.strip_prefix('/').unwrap_or(filter);
    match (from_start || slashed, to_end) {
        (true, true) => name == bare,
        (true, false) => name.starts_with(bare),
        (false, true) => name.ends_with(bare),
        (false, false) => name.contains(bare),
    }
}

#[cfg(test)]
mod tests {
    use super::name_matches;

    #[test]
    fn name_filters() {
        assert!(
            name_matches("web_1", "web") && name_matches("web_1", "^/web_1$") && name_matches("web_1", "_1$")
        );
        assert!(!name_matches("web_1", "^/eb") && !name_matches("web_1", "web$"));
    }
}
