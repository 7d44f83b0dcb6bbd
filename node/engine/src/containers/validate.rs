//! What `docker create` refuses before anything is made, in Docker's words; and the defaults that it fills in.

use super::kit::Kit;
use super::limits;
use crate::error::{Result, invalid, system};
use shoal_api_types::Dict;
use shoal_api_types::container::{Config, HostConfig, Ulimit};
use shoal_api_types::network::EndpointSettings;
use shoal_node_core_host::bridgeopts::go_bool;
use shoal_node_core_host::lifecycle::Policy;
use shoal_node_core_host::{binds, caps, devices, ports};
use std::collections::BTreeMap;

pub const HOST_AND_LINKS: &str = "conflicting options: host type networking can't be used with links. This would result in undefined behavior";

/// Checks both halves; answers warnings for the user.
pub fn check(kit: &Kit, config: &Config, host: &mut HostConfig) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        return Err(invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            config.working_dir
        )));
    }
    for entry in config.env.iter() {
        if entry.is_empty() || entry.starts_with('=') || entry.contains('\0') {
            return Err(invalid(format!("invalid environment variable: {entry}")));
        }
    }
    if !config.stop_signal.is_empty() && crate::units::signal(&config.stop_signal).is_none() {
        return Err(invalid(format!("invalid signal: {}", config.stop_signal)));
    }
    if !config.mac_address.is_empty() {
        crate::networks::parse_mac(&config.mac_address)?;
    }
    health(config)?;
    for port in config.exposed_ports.keys() {
        ports::parse(port).map_err(invalid)?;
    }
    published(host)?;
    let policy =
        Policy::parse(&host.restart_policy.name, host.restart_policy.maximum_retry_count).map_err(invalid)?;
    if host.auto_remove && policy != Policy::No {
        return Err(invalid("can't create 'AutoRemove' container with restart policy"));
    }
    caps::normalize(&host.cap_add, "CapAdd").map_err(invalid)?;
    caps::normalize(&host.cap_drop, "CapDrop").map_err(invalid)?;
    limits::check(kit, &mut host.resources, false, &mut warnings)?;
    for rule in host.resources.device_cgroup_rules.iter() {
        devices::parse_rule(rule).map_err(invalid)?;
    }
    for (destination, options) in host.tmpfs.iter() {
        if !destination.starts_with('/') {
            return Err(invalid(format!(
                "invalid mount path: '{destination}' mount path must be absolute"
            )));
        }
        if binds::clean(destination) == "/" {
            return Err(invalid("invalid specification: destination can't be '/'"));
        }
        binds::tmpfs_options(options).map_err(invalid)?;
    }
    if let Some(key) = host.storage_opt.keys().find(|key| *key != "size") {
        return Err(system(format!("Unknown option {key}")));
    }
    if let Some(size) = host.storage_opt.get("size") {
        if kit.quotas.is_none() {
            return Err(system(
                "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
            ));
        }
        if shoal_node_drivers_volumes::size(size).is_none() {
            return Err(invalid(format!("invalid size: '{size}'")));
        }
    }
    if !matches!(host.isolation.as_str(), "" | "default") {
        return Err(invalid(format!(
            "invalid isolation ({}): linux only supports 'default'",
            host.isolation
        )));
    }
    if host.annotations.contains_key("") {
        return Err(invalid(
            "invalid Annotations: the empty string is not permitted as an annotation key",
        ));
    }
    for host_entry in host.extra_hosts.iter() {
        extra_host(host_entry)?;
    }
    if host.shm_size < 0 {
        return Err(invalid("SHM size can not be less than 0"));
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return Err(invalid(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        )));
    }
    for limit in host.resources.ulimits.iter() {
        if limit.hard >= 0 && (limit.soft > limit.hard || limit.soft < 0) {
            return Err(invalid(format!(
                "ulimit soft limit must be less than or equal to hard limit: {} > {}",
                limit.soft, limit.hard
            )));
        }
    }
    security(host)?;
    modes(kit, config, host)?;
    sysctls(host)?;
    log(kit, host)?;
    kit.runtime(&host.runtime)?;
    if host.network_mode == "host" && (host.publish_all_ports || !host.port_bindings.is_empty()) {
        warnings.push("Published ports are discarded when using host network mode".into());
    }
    Ok(warnings)
}

fn health(config: &Config) -> Result<()> {
    const MIN_NS: i64 = 1_000_000;
    let Some(health) = &config.healthcheck else {
        return Ok(());
    };
    for (name, value) in [
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
        ("StartInterval", health.start_interval),
    ] {
        if value != 0 && value < MIN_NS {
            return Err(invalid(format!("{name} in Healthcheck cannot be less than 1ms")));
        }
    }
    if health.retries < 0 {
        return Err(invalid("Retries in Healthcheck cannot be negative"));
    }
    Ok(())
}

fn published(host: &HostConfig) -> Result<()> {
    for (port, bindings) in host.port_bindings.iter() {
        ports::parse(port).map_err(|e| invalid(format!("invalid port specification: {port:?}: {e}")))?;
        for binding in bindings {
            ports::parse_host(&binding.host_port).map_err(invalid)?;
            if !binding.host_ip.is_empty() && binding.host_ip.parse::<std::net::IpAddr>().is_err() {
                return Err(invalid(format!("invalid IP address: {}", binding.host_ip)));
            }
        }
    }
    Ok(())
}

fn extra_host(entry: &str) -> Result<()> {
    let bad = || invalid(format!("bad format for add-host: {entry:?}"));
    let (name, address) = entry.split_once(['=', ':']).ok_or_else(bad)?;
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    if name.is_empty() {
        return Err(bad());
    }
    if bare != "host-gateway" && bare.parse::<std::net::IpAddr>().is_err() {
        return Err(invalid(format!("invalid IP address in add-host: {address:?}")));
    }
    Ok(())
}

fn security(host: &HostConfig) -> Result<()> {
    for option in host.security_opt.iter() {
        let known = option == "no-new-privileges"
            || [
                "no-new-privileges",
                "seccomp",
                "apparmor",
                "label",
                "systempaths",
                "writable-cgroups",
            ]
            .iter()
            .any(|k| {
                option
                    .strip_prefix(k)
                    .is_some_and(|rest| rest.starts_with(['=', ':']))
            });
        let told = option
            .strip_prefix("no-new-privileges")
            .and_then(|rest| rest.get(1..));
        if !known || told.is_some_and(|told| go_bool(told).is_none()) {
            let number = if option.contains(['=', ':']) { 2 } else { 1 };
            return Err(invalid(format!("invalid --security-opt {number}: {option:?}")));
        }
    }
    Ok(())
}

fn modes(kit: &Kit, config: &Config, host: &HostConfig) -> Result<()> {
    let joined = |mode: &str| mode.starts_with("container:");
    for (mode, what) in [
        (&host.ipc_mode, "IPC"),
        (&host.pid_mode, "PID"),
        (&host.network_mode, "network"),
    ] {
        if mode.as_str() == "container:" {
            return Err(invalid(format!("invalid {what} mode: {mode}")));
        }
    }
    if !matches!(
        host.ipc_mode.as_str(),
        "" | "none" | "private" | "shareable" | "host"
    ) && !joined(&host.ipc_mode)
    {
        return Err(invalid(format!("invalid IPC mode: {}", host.ipc_mode)));
    }
    if !matches!(host.pid_mode.as_str(), "" | "host") && !joined(&host.pid_mode) {
        return Err(invalid(format!("invalid PID mode: {}", host.pid_mode)));
    }
    if !matches!(host.uts_mode.as_str(), "" | "host") {
        return Err(invalid(format!("invalid UTS mode: {}", host.uts_mode)));
    }
    if !matches!(host.cgroupns_mode.as_str(), "" | "private" | "host") {
        return Err(invalid(format!(
            "invalid cgroup namespace mode: {}",
            host.cgroupns_mode
        )));
    }
    // Docker knows `host` only; `private` asks for a user namespace where the daemon gives none.
    if !matches!(host.userns_mode.as_str(), "" | "host" | "private") {
        return Err(invalid("invalid user namespace mode"));
    }
    let remapped = match host.userns_mode.as_str() {
        "host" => false,
        mode => mode == "private" || kit.subids.remaps(),
    };
    if remapped {
        remapping(host)?;
    }
    if host.uts_mode == "host" && !config.hostname.is_empty() {
        return Err(invalid("conflicting options: hostname and the UTS mode"));
    }
    if host.network_mode == "host" && !host.links.is_empty() {
        return Err(invalid(HOST_AND_LINKS));
    }
    if joined(&host.network_mode) {
        if !config.hostname.is_empty() {
            return Err(invalid("conflicting options: hostname and the network mode"));
        }
        if !host.links.is_empty() {
            return Err(invalid(
                "conflicting options: container type network can't be used with links. This would result in undefined behavior",
            ));
        }
        if !host.dns.is_empty() {
            return Err(invalid("conflicting options: dns and the network mode"));
        }
        if !host.extra_hosts.is_empty() {
            return Err(invalid(
                "conflicting options: custom host-to-IP mapping and the network mode",
            ));
        }
        if !host.port_bindings.is_empty() || host.publish_all_ports {
            return Err(invalid(
                "conflicting options: port publishing and the container type network mode",
            ));
        }
        if !config.exposed_ports.is_empty() {
            return Err(invalid(
                "conflicting options: port exposing and the container type network mode",
            ));
        }
    }
    Ok(())
}

/// What a user namespace excludes.
fn remapping(host: &HostConfig) -> Result<()> {
    if host.privileged {
        return Err(invalid(
            "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode",
        ));
    }
    if host.network_mode == "host" {
        return Err(invalid(
            "cannot share the host's network namespace when user namespaces are enabled",
        ));
    }
    if host.pid_mode == "host" {
        return Err(invalid(
            "cannot share the host PID namespace when user namespaces are enabled",
        ));
    }
    Ok(())
}

fn sysctls(host: &HostConfig) -> Result<()> {
    const IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    for key in host.sysctls.keys() {
        let of_ipc = IPC.contains(&key.as_str()) || key.starts_with("fs.mqueue.");
        let of_network = key.starts_with("net.");
        let of_uts = matches!(key.as_str(), "kernel.domainname" | "kernel.hostname");
        if of_network && host.network_mode == "host" {
            return Err(invalid(format!(
                "sysctl '{key}' is not allowed in the host network namespace"
            )));
        }
        if of_ipc && host.ipc_mode == "host" {
            return Err(invalid(format!(
                "sysctl '{key}' is not allowed in the host ipc namespace"
            )));
        }
        // Everything else belongs to the whole host.
        if !(of_ipc || of_network || of_uts) || key.contains("..") || key.contains('/') {
            return Err(invalid(format!("sysctl '{key}' is not whitelisted")));
        }
    }
    Ok(())
}

fn log(kit: &Kit, host: &HostConfig) -> Result<()> {
    let log = &host.log_config;
    let driver = if log.kind.is_empty() {
        &kit.defaults.log_driver
    } else {
        &log.kind
    };
    crate::logging::check(driver, &log.config.clone().into_map())
}

/// Fills in what Docker shows for what was left out.
pub fn complete(kit: &Kit, host: &mut HostConfig) -> Result<()> {
    let live = kit.live.get();
    if matches!(host.network_mode.as_str(), "" | "default") {
        host.network_mode = "bridge".into();
    }
    if host.ipc_mode.is_empty() {
        host.ipc_mode.clone_from(&live.ipc_mode);
    }
    if host.cgroupns_mode.is_empty() && !host.privileged {
        host.cgroupns_mode.clone_from(&live.cgroupns_mode);
    }
    if host.cgroupns_mode.is_empty() {
        host.cgroupns_mode = if kit.host.cgroup_v2 && !host.privileged {
            "private"
        } else {
            "host"
        }
        .into();
    }
    if host.shm_size == 0 {
        host.shm_size = live.shm_bytes;
    }
    if host.log_config.kind.is_empty() {
        host.log_config.kind = kit.defaults.log_driver.clone();
    }
    if host.log_config.config.is_nil() {
        host.log_config.config = Dict::new();
    }
    if host.log_config.kind == kit.defaults.log_driver {
        // The daemon's options are for its own driver, each unless the container has its own.
        for (key, value) in &kit.defaults.log_opts {
            if !host.log_config.config.contains_key(key) {
                host.log_config.config.insert(key.clone(), value.clone());
            }
        }
    }
    if host.restart_policy.name.is_empty() {
        host.restart_policy.name = "no".into();
    }
    if host.runtime.is_empty() {
        host.runtime.clone_from(&live.default_runtime);
    }
    for (list, default) in [
        (&mut host.dns, &kit.defaults.dns),
        (&mut host.dns_search, &kit.defaults.dns_search),
        (&mut host.dns_options, &kit.defaults.dns_options),
    ] {
        if list.is_empty() && !default.is_empty() {
            *list = default.clone().into();
        }
    }
    let resources = &mut host.resources;
    if resources.memory > 0 && resources.memory_swap == 0 {
        resources.memory_swap = resources.memory.saturating_mul(2);
    }
    resources.pids_limit = resources.pids_limit.filter(|n| *n > 0);
    resources.memory_swappiness = resources.memory_swappiness.filter(|n| *n >= 0);
    if !kit.host.cgroup_v2 && resources.oom_kill_disable.is_none() {
        resources.oom_kill_disable = Some(false);
    }
    for (name, soft, hard) in &kit.defaults.ulimits {
        if !resources.ulimits.iter().any(|u| u.name == *name) {
            resources.ulimits.push(Ulimit {
                name: name.clone(),
                soft: *soft,
                hard: *hard,
            });
        }
    }
    for (list, field) in [(&mut host.cap_add, "CapAdd"), (&mut host.cap_drop, "CapDrop")] {
        if !list.is_empty() {
            *list = caps::normalize(list, field).map_err(invalid)?.into();
        }
    }
    if kit.defaults.no_new_privileges
        && !host
            .security_opt
            .iter()
            .any(|o| o.starts_with("no-new-privileges"))
    {
        host.security_opt.push("no-new-privileges".into());
    }
    // The CLI turns `--security-opt systempaths=unconfined` into empty lists; other clients leave it to us.
    if host.security_opt.iter().any(|o| o == "systempaths=unconfined") {
        host.masked_paths = Vec::new().into();
        host.readonly_paths = Vec::new().into();
    }
    Ok(())
}

/// A mount point used twice.
pub fn duplicate(destination: &str) -> crate::error::Error {
    invalid(format!("Duplicate mount point: {destination}"))
}

/// What is asked for of each network, under the network's own name.
pub async fn endpoints(
    kit: &Kit,
    asked: BTreeMap<String, Option<EndpointSettings>>,
) -> Result<BTreeMap<String, EndpointSettings>> {
    let mut out = BTreeMap::new();
    for (name, asked) in asked {
        let asked = crate::networks::endpoint_wishes(asked.unwrap_or_default());
        // One that is not there yet may be when the container starts.
        let Ok(network) = kit.networks.find_any(&name).await else {
            out.insert(name, asked);
            continue;
        };
        crate::networks::check_endpoint(&asked, &network).map_err(|e| {
            let text = format!("invalid config for network {name}: {}", e.message);
            crate::error::Error::new(e.class, text)
        })?;
        out.insert(network.name, asked);
    }
    Ok(out)
}

/// A container that was named by another's mode must exist. Not "not found": clients would take that for the image.
pub fn known_container(kit: &Kit, mode: &str) -> Result<Option<String>> {
    match mode.strip_prefix("container:") {
        Some(reference) => match kit.registry.get(reference) {
            Ok(handle) => Ok(Some(handle.id().to_string())),
            Err(e) => Err(invalid(e.message)),
        },
        None => Ok(None),
    }
}
