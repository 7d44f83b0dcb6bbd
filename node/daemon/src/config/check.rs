//! What a configuration must not say, in Docker's words.

use super::{Config, pools};
use std::collections::BTreeMap;

/// How the one refusal begins that Docker gives without a preface.
pub const CONFLICT: &str = "conflict labels for ";

pub fn check(config: &Config) -> Result<(), String> {
    if !["debug", "info", "warn", "error", "fatal"].contains(&config.log_level.as_str()) {
        return Err(format!("invalid logging level: {}", config.log_level));
    }
    if !["text", "json"].contains(&config.log_format.as_str()) {
        return Err(format!("invalid log format: {}", config.log_format));
    }
    for (what, value) in [
        ("max concurrent downloads", config.max_concurrent_downloads),
        ("max concurrent uploads", config.max_concurrent_uploads),
        ("max download attempts", config.max_download_attempts),
    ] {
        // Zero is the default, as in Docker.
        if value < 0 {
            return Err(format!("invalid {what}: {value}"));
        }
    }
    if !(0..=65535).contains(&config.mtu) {
        return Err(format!("invalid default MTU: {}", config.mtu));
    }
    if !(-1000..=1000).contains(&config.oom_score_adjust) {
        return Err(format!("invalid oom-score-adjust: {}", config.oom_score_adjust));
    }
    labels(&config.labels)?;
    for mirror in &config.registry_mirrors {
        check_mirror(mirror)?;
    }
    for host in &config.hosts {
        if let Some((proto, _)) = host.split_once("://")
            && !["unix", "tcp", "fd", "http"].contains(&proto)
        {
            return Err(format!(
                "invalid bind address ({host}): unsupported proto '{proto}'"
            ));
        }
    }
    for option in &config.exec_opts {
        match option.split_once('=') {
            Some(("native.cgroupdriver", "cgroupfs" | "systemd")) => {}
            Some(("native.cgroupdriver", other)) => {
                return Err(format!(
                    "native.cgroupdriver option {other} is internally inconsistent"
                ));
            }
            Some((key, _)) => return Err(format!("Invalid exec option {key:?}")),
            None => return Err(format!("exec option {option:?} is not key=value")),
        }
    }
    if !["private", "shareable"].contains(&config.default_ipc_mode.as_str()) {
        return Err(format!(
            "IPC mode {:?} is not supported as default value",
            config.default_ipc_mode
        ));
    }
    if !["", "private", "host"].contains(&config.default_cgroupns_mode.as_str()) {
        return Err(format!(
            "invalid default cgroup namespace ({}): use \"host\" or \"private\"",
            config.default_cgroupns_mode
        ));
    }
    if let Some(address) = &config.metrics_addr
        && !address.is_empty()
        && address
            .rsplit_once(':')
            .is_none_or(|(_, port)| port.parse::<u16>().is_err())
    {
        return Err(format!("invalid metrics-addr: {address:?} is not host:port"));
    }
    for (key, value, max) in [
        ("image-gc-high", config.image_gc_high, 100),
        ("image-gc-low", config.image_gc_low, 100),
        ("image-gc-keep-releases", config.image_gc_keep_releases, 1_000_000),
        ("image-gc-spare", config.image_gc_spare, i64::from(u32::MAX)),
        ("image-gc-every", config.image_gc_every, i64::from(u32::MAX)),
    ] {
        if !(0..=max).contains(&value) {
            return Err(format!("invalid {key}: {value} is not from 0 to {max}"));
        }
    }
    if config.image_gc_low > config.image_gc_high {
        return Err(format!(
            "invalid image-gc-low: {} is above image-gc-high, {}",
            config.image_gc_low, config.image_gc_high
        ));
    }
    config.min_api_version()?;
    if config.default_runtime.is_empty() {
        return Err("the default runtime has no name".into());
    }
    for (name, runtime) in &config.runtimes {
        if name == "runc" || name.is_empty() {
            return Err(format!("runtime name '{name}' is reserved"));
        }
        if runtime.path.is_empty() && runtime.runtime_type.is_empty() {
            return Err(format!(
                "runtime {name}: either a runtimeType or a path must be configured"
            ));
        }
    }
    pools::pools(&config.default_address_pools)?;
    config.shm_bytes()?;
    config.ulimits()?;
    for path in [&config.data_root, &config.exec_root] {
        if !path.is_absolute() {
            return Err(format!("{} is not an absolute path", path.display()));
        }
    }
    Ok(())
}

/// `key=value`, each key with one value.
fn labels(labels: &[String]) -> Result<(), String> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for label in labels {
        let Some((key, value)) = label.split_once('=') else {
            return Err(format!("bad attribute format: {label}"));
        };
        match seen.insert(key, value) {
            Some(before) if before != value => {
                return Err(format!("{CONFLICT}{key}={value} and {key}={before}"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_mirror(mirror: &str) -> Result<(), String> {
    let Some((scheme, rest)) = mirror.split_once("://") else {
        return Err(format!(
            "invalid mirror: no scheme specified for {mirror:?}: must use either 'https://' or 'http://'"
        ));
    };
    if !matches!(scheme, "http" | "https") {
        return Err(format!(
            "invalid mirror: unsupported scheme {scheme:?} in {mirror:?}: must use either 'https://' or 'http://'"
        ));
    }
    if rest.is_empty() || rest.contains(['?', '#', '@', ' ']) {
        return Err(format!(
            "invalid mirror: {mirror:?} must be a host, with a path at most"
        ));
    }
    Ok(())
}
