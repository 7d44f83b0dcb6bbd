//! The cluster's half of the API, on a manager: one resource per file. Every write is checked, proposed and durable
//! before it is answered; every read contains whatever was acknowledged before it.

mod attachments;
mod cluster;
pub(crate) mod convert;
mod examine;
mod logs;
mod material;
mod networks;
mod node;
mod service;
mod task;

pub(crate) use shoal_raft_objects::Attached as Wish;

use crate::manager::Manager;
use shoal_api_backend::{Error, Result};
use shoal_api_types::Filters;
use std::sync::Arc;

#[derive(Clone)]
pub(crate) struct Control {
    pub manager: Arc<Manager>,
}

/// Docker refuses a filter that it does not know rather than ignoring it.
fn known_filters(filters: &Filters, known: &[&str]) -> Result<()> {
    match filters.unknown_key(known) {
        Some(key) => Err(Error::invalid(format!("invalid filter '{key}'"))),
        None => Ok(()),
    }
}

/// The one that `asked` means, among those found by a prefix of the id.
fn only<T>(what: &str, asked: &str, mut found: Vec<T>) -> Result<T> {
    match found.len() {
        0 => Err(Error::not_found(format!("{what} {asked} not found"))),
        1 => Ok(found.remove(0)),
        n => Err(Error::invalid(format!(
            "{what} {asked} is ambiguous ({n} matches found)"
        ))),
    }
}

fn label<'a>(labels: &'a std::collections::BTreeMap<String, String>) -> impl Fn(&str) -> Option<&'a str> {
    |key| labels.get(key).map(String::as_str)
}
