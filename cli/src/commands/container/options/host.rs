//! The request's `HostConfig`.

use crate::commands::parse::*;
use crate::format::bytes_of;
use anyhow::{Context, Result, anyhow, bail};
use clap::ArgMatches;
use serde_json::{Map, Value as Json, json};

pub fn host_config(m: &ArgMatches, bindings: Map<String, Json>, binds: Vec<String>) -> Result<Json> {
    let mut host = Map::new();
    let mut put = |key: &str, value: Json| {
        host.insert(key.to_owned(), value);
    };
    put("PortBindings", Json::Object(bindings));
    put("PublishAllPorts", Json::from(on(m, "publish-all")));
    put("Binds", json!(binds));
    put("AutoRemove", Json::from(on(m, "rm")));
    put("Privileged", Json::from(on(m, "privileged")));
    put("ReadonlyRootfs", Json::from(on(m, "read-only")));
    if on(m, "init") {
        put("Init", Json::from(true));
    }
    if on(m, "oom-kill-disable") {
        put("OomKillDisable", Json::from(true));
    }
    put("RestartPolicy", restart(text(m, "restart").unwrap_or("no"))?);
    put(
        "NetworkMode",
        Json::from(list(m, "network").first().map_or("default", String::as_str)),
    );
    for (flag, key) in [
        ("cap-add", "CapAdd"),
        ("cap-drop", "CapDrop"),
        ("add-host", "ExtraHosts"),
        ("dns", "Dns"),
        ("dns-option", "DnsOptions"),
        ("dns-search", "DnsSearch"),
        ("group-add", "GroupAdd"),
        ("volumes-from", "VolumesFrom"),
    ] {
        let values = list(m, flag);
        if !values.is_empty() {
            put(key, json!(values));
        }
    }
    let mut security = Vec::new();
    for option in list(m, "security-opt") {
        // A profile is sent by content: the daemon may be on another machine.
        match option.strip_prefix("seccomp=") {
            Some(path) if path != "unconfined" && path != "builtin" => {
                let profile = std::fs::read_to_string(path)
                    .with_context(|| format!("opening seccomp profile ({path}) failed"))?;
                security.push(format!("seccomp={profile}"));
            }
            _ => security.push(option),
        }
    }
    put("SecurityOpt", json!(security));
    for (flag, key) in [
        ("ipc", "IpcMode"),
        ("pid", "PidMode"),
        ("uts", "UTSMode"),
        ("userns", "UsernsMode"),
        ("cgroupns", "CgroupnsMode"),
        ("cgroup-parent", "CgroupParent"),
        ("cpuset-cpus", "CpusetCpus"),
        ("cpuset-mems", "CpusetMems"),
        ("runtime", "Runtime"),
        ("cidfile", "ContainerIDFile"),
    ] {
        if let Some(value) = text(m, flag) {
            put(key, Json::from(value));
        }
    }
    for (flag, key) in [
        ("memory", "Memory"),
        ("memory-reservation", "MemoryReservation"),
        ("shm-size", "ShmSize"),
    ] {
        if let Some(value) = text(m, flag) {
            put(key, Json::from(bytes_of(value)?));
        }
    }
    if let Some(value) = text(m, "memory-swap") {
        put(
            "MemorySwap",
            Json::from(if value == "-1" { -1 } else { bytes_of(value)? }),
        );
    }
    if let Some(value) = text(m, "cpus") {
        put("NanoCpus", Json::from(nano_cpus(value)?));
    }
    for (flag, key) in [
        ("cpu-shares", "CpuShares"),
        ("cpu-period", "CpuPeriod"),
        ("cpu-quota", "CpuQuota"),
        ("pids-limit", "PidsLimit"),
        ("oom-score-adj", "OomScoreAdj"),
    ] {
        if let Some(value) = number::<i64>(m, flag)? {
            put(key, Json::from(value));
        }
    }
    put(
        "LogConfig",
        json!({"Type": text(m, "log-driver").unwrap_or_default(), "Config": pairs(&list(m, "log-opt"))}),
    );
    put("Sysctls", Json::Object(pairs(&list(m, "sysctl"))));
    let tmpfs = list(m, "tmpfs").into_iter().map(|t| {
        let (path, options) = t.split_once(':').unwrap_or((&t, ""));
        (path.to_owned(), Json::from(options))
    });
    put("Tmpfs", Json::Object(tmpfs.collect()));
    put(
        "Ulimits",
        Json::Array(
            list(m, "ulimit")
                .iter()
                .map(|u| ulimit(u))
                .collect::<Result<_>>()?,
        ),
    );
    put(
        "Devices",
        Json::Array(
            list(m, "device")
                .iter()
                .map(|d| device(d))
                .collect::<Result<_>>()?,
        ),
    );
    put(
        "Mounts",
        Json::Array(list(m, "mount").iter().map(|x| mount(x)).collect::<Result<_>>()?),
    );
    Ok(Json::Object(host))
}

fn restart(policy: &str) -> Result<Json> {
    let (name, count) = policy.split_once(':').unwrap_or((policy, "0"));
    let count: u64 = count
        .parse()
        .map_err(|_| anyhow!("invalid restart policy format: maximum retry count must be an integer"))?;
    Ok(json!({"Name": name, "MaximumRetryCount": count}))
}

fn ulimit(text: &str) -> Result<Json> {
    let bad = || anyhow!("invalid ulimit argument: {text}");
    let (name, values) = text.split_once('=').ok_or_else(bad)?;
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let parse = |v: &str| v.parse::<i64>().map_err(|_| bad());
    Ok(json!({"Name": name, "Soft": parse(soft)?, "Hard": parse(hard)?}))
}

fn device(text: &str) -> Result<Json> {
    let parts: Vec<&str> = text.split(':').collect();
    let (host, inside, access) = match parts[..] {
        [host] => (host, host, "rwm"),
        [host, access] if !access.starts_with('/') => (host, host, access),
        [host, inside] => (host, inside, "rwm"),
        [host, inside, access] => (host, inside, access),
        _ => bail!("invalid device specification: {text}"),
    };
    Ok(json!({"PathOnHost": host, "PathInContainer": inside, "CgroupPermissions": access}))
}
