//! `GET /events`.

use crate::go::{Dict, empty};
use serde::{Deserialize, Serialize};

/// One event, one JSON object in the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventMessage {
    /// Deprecated copy of `Action` (containers and images only).
    #[serde(skip_serializing_if = "empty")]
    pub status: String,
    /// Deprecated copy of `Actor.ID`.
    #[serde(skip_serializing_if = "empty")]
    pub id: String,
    /// Deprecated copy of the image's name.
    #[serde(skip_serializing_if = "empty")]
    pub from: String,
    /// `container`, `image`, `network`, `volume`, `daemon`, `node`, `service`, `secret`, `config`, `plugin` or `builder`.
    #[serde(rename = "Type")]
    pub kind: String,
    #[serde(rename = "Action")]
    pub action: String,
    #[serde(rename = "Actor")]
    pub actor: EventActor,
    /// `local` or `swarm`.
    #[serde(skip_serializing_if = "empty")]
    pub scope: String,
    /// Unix seconds.
    #[serde(skip_serializing_if = "empty")]
    pub time: i64,
    /// Unix nanoseconds.
    #[serde(rename = "timeNano", skip_serializing_if = "empty")]
    pub time_nano: i64,
}

/// What the event happened to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventActor {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "Attributes")]
    pub attributes: Dict<String>,
}
