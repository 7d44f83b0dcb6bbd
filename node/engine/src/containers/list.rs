//! `docker ps`.

use super::{Containers, Handle, View, summary};
use crate::clock;
use crate::error::{Result, invalid};
use crate::patterns::Patterns;
use shoal_api_backend::{ListContainers, Listed};
use shoal_api_types::Filters;
use shoal_node_core_host::lifecycle::{Phase, Time};
use shoal_node_core_host::ports;
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
    pub async fn list(&self, options: ListContainers) -> Result<Vec<Arc<Listed>>> {
        let kit = &*self.kit;
        let sieve = Sieve::new(self, &options).await?;
        let viewed = kit
            .registry
            .all()
            .into_iter()
            .map(|handle| (handle.view(), handle));
        let mut chosen: Vec<(Arc<View>, Handle)> = viewed
            .filter(|(view, _)| !view.gone && sieve.passes(view))
            .collect();
        chosen.sort_by_key(|(view, _)| std::cmp::Reverse(view.record.created));
        if options.limit > 0 {
            chosen.truncate(options.limit);
        }
        let now = clock::now();
        let mut names: HashMap<(&str, &str), bool> = HashMap::new();
        let mut out = Vec::with_capacity(chosen.len());
        for (view, handle) in &chosen {
            let record = &view.record;
            // The name it was made from, unless that name means another image by now.
            let made = (record.config.image.as_str(), record.image_id.as_str());
            let current = *names.entry(made).or_insert_with(|| {
                let found = crate::images::find(&kit.images, made.0);
                found.is_ok_and(|image| kit.images.platforms(&image).contains(&record.image_id))
            });
            let image = if current { made.0 } else { made.1 };
            if !options.size {
                out.push(summary::listed(kit, handle, view, image, now));
                continue;
            }
            let own = kit.images.usage(&record.id).await.unwrap_or(0);
            let whole = crate::images::find(&kit.images, &record.image_id).map_or(0, |i| i.size);
            let mut one = summary::summary(kit, view, image, now);
            one.size_rw = i64::try_from(own).unwrap_or(i64::MAX);
            one.size_root_fs = i64::try_from(own.saturating_add(whole)).unwrap_or(i64::MAX);
            out.push(Arc::new(Listed::new(one)));
        }
        Ok(out)
    }
}

/// The filters of one list, checked once.
struct Sieve<'a> {
    options: &'a ListContainers,
    before: Option<Time>,
    since: Option<Time>,
    ancestors: Vec<String>,
    names: Patterns,
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
            names: Patterns::of(filters, "name"),
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
            && (self.names.find_in(&record.name) || self.names.find_in(&format!("/{}", record.name)))
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
