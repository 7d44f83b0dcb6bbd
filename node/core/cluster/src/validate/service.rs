//! A service's spec, and what an update may change of it.

use super::{Invalid, container, invalid, service_name};
use crate::constraint;
use crate::portoptions;
use crate::scheduler::filter::resources;
use serde_json::Value;
use shoal_raft_objects::service::{ModeKind, Resources};
use shoal_raft_objects::{EndpointSpec, RestartPolicy, Service, ServiceSpec, TaskSpec, UpdateConfig};
use std::collections::BTreeSet;

const CPUS_MIN: i64 = 1_000_000;
const MEMORY_MIN: i64 = 4 << 20;

/// Everything that can be said of a spec alone.
pub fn service(spec: &ServiceSpec) -> Result<(), Invalid> {
    service_name(&spec.name)?;
    portoptions::check(&spec.labels)?;
    task(&spec.task_template)?;
    mode(spec)?;
    for config in [&spec.update_config, &spec.rollback_config].into_iter().flatten() {
        update(config)?;
    }
    match &spec.endpoint_spec {
        Some(endpoint) => ports(endpoint),
        None => Ok(()),
    }
}

/// What an update may not change.
pub fn change(old: &Service, new: &ServiceSpec) -> Result<(), Invalid> {
    let kind = |spec: &ServiceSpec| std::mem::discriminant(&spec.mode.kind());
    if !old.spec.name.eq_ignore_ascii_case(&new.name) {
        return invalid("renaming services is not supported");
    }
    if kind(&old.spec) != kind(new) {
        return invalid("service mode change is not allowed");
    }
    Ok(())
}

fn task(spec: &TaskSpec) -> Result<(), Invalid> {
    if let Some(resources) = &spec.resources {
        quantities(resources)?;
    }
    if let Some(policy) = &spec.restart_policy {
        restart(policy)?;
    }
    if let Some(placement) = &spec.placement {
        constraint::parse_all(&placement.constraints).map_err(|error| Invalid(error.to_string()))?;
    }
    if !matches!(spec.runtime.as_deref(), None | Some("" | "container")) {
        return invalid("RuntimeSpec: unimplemented runtime in service spec");
    }
    match &spec.container_spec {
        None => invalid("ContainerSpec: missing in service spec"),
        Some(container) => container::check(container),
    }
}

fn quantities(resources: &Resources) -> Result<(), Invalid> {
    let limits = resources.limits.as_ref().map(|l| (l.nano_cpus, l.memory_bytes));
    let reserved = resources
        .reservations
        .as_ref()
        .map(|r| (r.nano_cpus, r.memory_bytes));
    for (nano_cpus, memory_bytes) in [limits, reserved].into_iter().flatten() {
        if nano_cpus != 0 && nano_cpus < CPUS_MIN {
            return invalid(format!(
                "invalid cpu value {}: Must be at least {}",
                nano_cpus as f64 / 1e9,
                CPUS_MIN as f64 / 1e9
            ));
        }
        if memory_bytes != 0 && memory_bytes < MEMORY_MIN {
            return invalid(format!(
                "invalid memory value {memory_bytes}: Must be at least 4MiB"
            ));
        }
    }
    let mut generic = resources.reservations.iter().flat_map(|r| &r.generic_resources);
    match generic.find(|value: &&Value| resources::generic(value).is_none()) {
        Some(value) => invalid(format!("invalid generic resource: {value}")),
        None => Ok(()),
    }
}

fn restart(policy: &RestartPolicy) -> Result<(), Invalid> {
    if policy.delay.is_some_and(|n| n < 0) {
        return invalid("TaskSpec: restart-delay cannot be negative");
    }
    if policy.window.is_some_and(|n| n < 0) {
        return invalid("TaskSpec: restart-window cannot be negative");
    }
    Ok(())
}

fn mode(spec: &ServiceSpec) -> Result<(), Invalid> {
    let modes = [
        spec.mode.replicated.is_some(),
        spec.mode.global.is_some(),
        spec.mode.replicated_job.is_some(),
        spec.mode.global_job.is_some(),
    ];
    if modes.iter().filter(|set| **set).count() > 1 {
        return invalid("must specify only one service mode");
    }
    let job = matches!(
        spec.mode.kind(),
        ModeKind::ReplicatedJob { .. } | ModeKind::GlobalJob
    );
    if job && (spec.update_config.is_some() || spec.rollback_config.is_some()) {
        return invalid("update config is not supported for services with a job mode");
    }
    if let ModeKind::ReplicatedJob {
        max_concurrent: 0, ..
    } = spec.mode.kind()
    {
        return invalid("Maximum concurrent jobs must not be 0");
    }
    Ok(())
}

fn update(config: &UpdateConfig) -> Result<(), Invalid> {
    if config.delay < 0 {
        return invalid("TaskSpec: update-delay cannot be negative");
    }
    if config.monitor < 0 {
        return invalid("TaskSpec: update-monitor cannot be negative");
    }
    if !(0.0..=1.0).contains(&config.max_failure_ratio) {
        return invalid("TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1");
    }
    if !matches!(
        config.failure_action.as_str(),
        "" | "pause" | "continue" | "rollback"
    ) {
        return invalid(format!(
            "unrecognized update failure action {}",
            config.failure_action
        ));
    }
    if !matches!(config.order.as_str(), "" | "stop-first" | "start-first") {
        return invalid(format!("unrecognized update order {}", config.order));
    }
    Ok(())
}

fn ports(endpoint: &EndpointSpec) -> Result<(), Invalid> {
    if !matches!(endpoint.mode.as_str(), "" | "vip" | "dnsrr") {
        return invalid(format!("invalid resolution mode: {}", endpoint.mode));
    }
    let mut seen = BTreeSet::new();
    for port in &endpoint.ports {
        if !matches!(port.protocol.as_str(), "" | "tcp" | "udp" | "sctp") {
            return invalid(format!("invalid protocol value {:?}", port.protocol));
        }
        let ingress = match port.publish_mode.as_str() {
            "" | "ingress" => true,
            "host" => false,
            other => return invalid(format!("invalid publish mode value {other:?}")),
        };
        if ingress && endpoint.mode == "dnsrr" {
            return invalid("EndpointSpec: port published with ingress mode can't be used with dnsrr mode");
        }
        if port.target_port == 0 {
            return invalid("EndpointSpec: target port must be between 1 and 65535");
        }
        let protocol = if port.protocol.is_empty() {
            "tcp"
        } else {
            &port.protocol
        };
        if port.published_port != 0 && !seen.insert((protocol, port.published_port)) {
            return invalid("EndpointSpec: duplicate published ports provided");
        }
    }
    Ok(())
}
