//! `/swarm`.

use super::{annotations, meta};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shoal_api_backend::{Error, Result};
use shoal_api_types::swarm as api;
use shoal_node_drivers_certs::{LEAF_VALIDITY_MIN, Root};
use shoal_raft_objects::service::LogDriver;
use shoal_raft_objects::{Cluster, ClusterSpec};

pub fn info(cluster: &Cluster) -> api::ClusterInfo {
    api::ClusterInfo {
        id: cluster.id.to_string(),
        meta: meta(&cluster.meta),
        spec: spec(&cluster.spec),
        tls_info: tls_info(&cluster.ca.root.cert_pem),
        root_rotation_in_progress: cluster.ca.rotation.is_some(),
        default_addr_pool: shoal_api_types::Slice(Some(cluster.default_addr_pool.clone())),
        subnet_size: cluster.subnet_size,
        data_path_port: cluster.data_path_port,
    }
}

pub fn tls_info(root_pem: &str) -> api::TlsInfo {
    let Ok(info) = Root::info(root_pem) else {
        return api::TlsInfo::default();
    };
    api::TlsInfo {
        trust_root: root_pem.to_owned(),
        cert_issuer_subject: STANDARD.encode(info.subject),
        cert_issuer_public_key: STANDARD.encode(info.public_key),
    }
}

/// What says whether workers may forward: a label, so that the stock CLI can set it.
pub const FORWARDING_LABEL: &str = "io.shoal.worker-forwarding";

pub fn spec(spec: &ClusterSpec) -> api::Spec {
    api::Spec {
        annotations: annotations(&spec.annotations),
        orchestration: api::OrchestrationConfig {
            task_history_retention_limit: Some(spec.task_history_limit),
        },
        raft: api::RaftConfig {
            snapshot_interval: spec.snapshot_interval,
            keep_old_snapshots: Some(spec.keep_old_snapshots),
            log_entries_for_slow_followers: spec.log_entries_for_slow_followers,
            election_tick: i64::try_from(spec.election_tick).unwrap_or(i64::MAX),
            heartbeat_tick: i64::try_from(spec.heartbeat_tick).unwrap_or(i64::MAX),
        },
        dispatcher: api::DispatcherConfig {
            heartbeat_period: spec.heartbeat_period,
        },
        ca_config: api::CaConfig {
            node_cert_expiry: spec.node_cert_expiry,
            force_rotate: spec.ca_force_rotate,
            ..Default::default()
        },
        task_defaults: api::TaskDefaults {
            log_driver: spec
                .task_log_driver
                .as_ref()
                .map(|d| shoal_api_types::mount::Driver {
                    name: d.name.clone(),
                    options: shoal_api_types::Dict(Some(d.options.clone())),
                }),
        },
        encryption_config: api::EncryptionConfig {
            auto_lock_managers: spec.autolock,
        },
    }
}

/// `base` with what the client gave. Members that it left out keep the value of `base`, as swarmkit's merge does.
pub fn spec_from(given: &api::Spec, base: &ClusterSpec) -> Result<ClusterSpec> {
    let mut spec = base.clone();
    if !matches!(given.annotations.name.as_str(), "" | "default") {
        return Err(Error::invalid("swarm spec must be named \"default\"".to_owned()));
    }
    if !given.annotations.labels.is_nil() {
        spec.annotations.labels = given.annotations.labels.clone().into_map();
    }
    spec.worker_forwarding = !matches!(
        spec.annotations.labels.get(FORWARDING_LABEL).map(String::as_str),
        Some("false" | "off" | "0")
    );
    if let Some(limit) = given.orchestration.task_history_retention_limit {
        spec.task_history_limit = limit;
    }
    if given.raft.snapshot_interval != 0 {
        spec.snapshot_interval = given.raft.snapshot_interval;
    }
    if let Some(keep) = given.raft.keep_old_snapshots {
        spec.keep_old_snapshots = keep;
    }
    if given.raft.log_entries_for_slow_followers != 0 {
        spec.log_entries_for_slow_followers = given.raft.log_entries_for_slow_followers;
    }
    for (ticks, into) in [
        (given.raft.election_tick, &mut spec.election_tick),
        (given.raft.heartbeat_tick, &mut spec.heartbeat_tick),
    ] {
        match u64::try_from(ticks) {
            Ok(0) => {}
            Ok(ticks) => *into = ticks,
            Err(_) => return Err(Error::invalid("invalid raft tick")),
        }
    }
    if given.dispatcher.heartbeat_period != 0 {
        if given.dispatcher.heartbeat_period < 0 {
            return Err(Error::invalid(
                "heartbeat time period cannot be a negative duration",
            ));
        }
        // Docker's clients send the whole spec back: the grace follows a changed period at swarmkit's three periods.
        if given.dispatcher.heartbeat_period != base.heartbeat_period {
            spec.heartbeat_period = given.dispatcher.heartbeat_period;
            spec.heartbeat_grace = given.dispatcher.heartbeat_period.saturating_mul(3);
        }
    }
    if given.ca_config.node_cert_expiry != 0 {
        let min = i64::try_from(LEAF_VALIDITY_MIN.as_nanos()).unwrap_or(i64::MAX);
        if given.ca_config.node_cert_expiry < min {
            return Err(Error::invalid("minimum certificate expiry time is: 1h0m0s"));
        }
        spec.node_cert_expiry = given.ca_config.node_cert_expiry;
    }
    if !given.ca_config.external_cas.is_empty() {
        return Err(Error::not_implemented("an external certificate authority"));
    }
    if !given.ca_config.signing_ca_cert.is_empty() || given.ca_config.force_rotate > base.ca_force_rotate {
        return Err(Error::not_implemented("rotating the cluster's root certificate"));
    }
    if let Some(driver) = &given.task_defaults.log_driver {
        spec.task_log_driver = Some(LogDriver {
            name: driver.name.clone(),
            options: driver.options.clone().into_map(),
        });
    }
    if given.encryption_config.auto_lock_managers {
        return Err(Error::not_implemented("locking managers"));
    }
    Ok(spec)
}
