//! The cluster object: one per swarm, named `default`, holding its settings, its CA and its join tokens.

use crate::id::ClusterId;
use crate::meta::{Annotations, Meta, Time};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Settings a user may change through `docker swarm update`. Durations are nanoseconds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterSpec {
    pub annotations: Annotations,
    /// Ended tasks kept per slot.
    pub task_history_limit: i64,
    pub snapshot_interval: u64,
    pub keep_old_snapshots: u64,
    pub log_entries_for_slow_followers: u64,
    pub election_tick: u64,
    pub heartbeat_tick: u64,
    /// How often an agent reports that it lives.
    pub heartbeat_period: i64,
    /// How long after its last heartbeat a node counts as down.
    pub heartbeat_grace: i64,
    pub node_cert_expiry: i64,
    pub autolock: bool,
    pub task_log_driver: Option<crate::service::LogDriver>,
    /// Whether workers may forward API calls of their clients to the managers.
    pub worker_forwarding: bool,
    /// Bumped by `docker swarm ca --rotate`.
    pub ca_force_rotate: u64,
}

impl Default for ClusterSpec {
    fn default() -> Self {
        Self {
            annotations: Annotations {
                name: "default".into(),
                ..Default::default()
            },
            task_history_limit: 5,
            snapshot_interval: 10_000,
            keep_old_snapshots: 0,
            log_entries_for_slow_followers: 500,
            election_tick: 10,
            heartbeat_tick: 1,
            heartbeat_period: 1_000_000_000,
            heartbeat_grace: 4_000_000_000,
            node_cert_expiry: 7_776_000_000_000_000,
            autolock: false,
            task_log_driver: None,
            worker_forwarding: true,
            ca_force_rotate: 0,
        }
    }
}

/// The cluster's certificate authority. The key lives only here, in a log and snapshots that are sealed at rest.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RootCa {
    pub cert_pem: String,
    pub key_pem: String,
    /// `sha256:<hex>` of the certificate's DER.
    pub digest: String,
}

impl fmt::Debug for RootCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootCa")
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct CaState {
    pub root: RootCa,
    /// The next root while a rotation is under way.
    pub rotation: Option<RootCa>,
    pub last_force_rotate: u64,
}

/// Whoever holds one may join in its role, so they are kept out of `{:?}`.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JoinTokens {
    pub worker: String,
    pub manager: String,
}

impl fmt::Debug for JoinTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinTokens(..)")
    }
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Cluster {
    pub id: ClusterId,
    pub meta: Meta,
    pub spec: ClusterSpec,
    pub ca: CaState,
    pub tokens: JoinTokens,
    pub default_addr_pool: Vec<String>,
    pub subnet_size: u32,
    pub data_path_port: u32,
    /// Serials of certificates, and ids of removed nodes whose every certificate is meant, that must be refused until
    /// they expire, with that time.
    pub revoked: Vec<(String, Time)>,
    pub unlock_key: Option<String>,
}
