//! Docker's JSON ⇄ cluster objects, one resource per file. Nothing is decided here, and nothing is looked up.

pub mod cluster;
pub mod material;
pub mod network;
pub mod node;
pub mod service;
pub mod task;

use serde::Serialize;
use serde::de::DeserializeOwned;
use shoal_api_backend::{Error, Result};
use shoal_api_types::Timestamp;
use shoal_api_types::swarm as api;
use shoal_raft_objects::{Annotations, Meta, Time};

/// One shape, two types: the specs of the cluster's objects mirror Docker's member for member.
pub(crate) fn reshape<T: DeserializeOwned>(what: &str, value: &impl Serialize) -> Result<T> {
    serde_json::to_value(value)
        .and_then(shoal_api_types::go::decode_value)
        .map_err(|error| Error::invalid(format!("invalid {what}: {error}")))
}

pub(crate) fn timestamp(time: Time) -> Timestamp {
    if time == Time::ZERO {
        Timestamp::ZERO
    } else {
        Timestamp::from_unix_nanos(time.0.into())
    }
}

pub(crate) fn meta(meta: &Meta) -> api::Meta {
    api::Meta {
        version: api::Version { index: meta.version },
        created_at: timestamp(meta.created_at),
        updated_at: timestamp(meta.updated_at),
    }
}

pub(crate) fn annotations(annotations: &Annotations) -> api::Annotations {
    api::Annotations {
        name: annotations.name.clone(),
        labels: shoal_api_types::Dict(Some(annotations.labels.clone())),
    }
}

pub(crate) fn annotations_from(annotations: &api::Annotations) -> Annotations {
    Annotations {
        name: annotations.name.clone(),
        labels: annotations.labels.clone().into_map(),
    }
}
