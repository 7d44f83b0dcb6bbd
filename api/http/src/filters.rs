//! `filters=` and the keys that each list takes.

use crate::params::Params;
use crate::reply::Failure;
use shoal_api_backend::Error;
use shoal_api_types::Filters;

pub(crate) const CONTAINERS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "id",
    "isolation",
    "label",
    "name",
    "status",
    "health",
    "since",
    "volume",
    "network",
    "is-task",
    "publish",
    "expose",
];
pub(crate) const IMAGES: &[&str] = &["dangling", "label", "before", "since", "reference", "until"];
pub(crate) const NETWORKS: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];
pub(crate) const VOLUMES: &[&str] = &["dangling", "name", "driver", "label"];
pub(crate) const NODES: &[&str] = &["name", "id", "label", "node.label", "role", "membership"];
pub(crate) const SERVICES: &[&str] = &["name", "id", "label", "mode", "runtime"];
pub(crate) const TASKS: &[&str] = &[
    "name",
    "id",
    "label",
    "service",
    "node",
    "desired-state",
    "_up-to-date",
    "runtime",
];
pub(crate) const SECRETS: &[&str] = &["name", "names", "id", "label"];
pub(crate) const CONFIGS: &[&str] = &["name", "id", "label"];
pub(crate) const PRUNE: &[&str] = &["label", "label!", "until"];
pub(crate) const PRUNE_IMAGES: &[&str] = &["dangling", "label", "label!", "until"];
pub(crate) const PRUNE_VOLUMES: &[&str] = &["label", "label!", "all"];
pub(crate) const SEARCH: &[&str] = &["is-automated", "is-official", "stars"];

/// Reads `filters=`; keys that are not in `known` are refused.
pub(crate) fn read(params: &Params, known: &[&str]) -> Result<Filters, Failure> {
    let filters = any(params)?;
    match filters.unknown_key(known) {
        Some(key) => Err(Error::invalid(format!("invalid filter '{key}'")).into()),
        None => Ok(filters),
    }
}

/// Reads `filters=` with whatever keys (events ignore what they do not know).
pub(crate) fn any(params: &Params) -> Result<Filters, Failure> {
    Filters::parse(params.get("filters")).map_err(|_| Error::invalid("invalid filter").into())
}
