//! The options of `run` and `create`, and the request that they make.

use crate::commands::parse::*;
use crate::format::{bytes_of, duration_of};
use anyhow::{Context, Result, anyhow, bail};
use clap::{Arg, ArgMatches, Command};
use serde_json::{Map, Value as Json, json};

pub fn args(command: Command) -> Command {
    let command = command
        .arg(many("add-host", "Add a custom host-to-IP mapping (host:ip)"))
        .arg(many("attach", "Attach to STDIN, STDOUT or STDERR").short('a'))
        .arg(many("cap-add", "Add Linux capabilities"))
        .arg(many("cap-drop", "Drop Linux capabilities"))
        .arg(one(
            "cgroup-parent",
            "string",
            "Optional parent cgroup for the container",
        ))
        .arg(one(
            "cgroupns",
            "string",
            "Cgroup namespace to use (host|private)",
        ))
        .arg(one("cidfile", "string", "Write the container ID to the file"))
        .arg(one("cpu-period", "int", "Limit CPU CFS period"))
        .arg(one("cpu-quota", "int", "Limit CPU CFS quota"))
        .arg(one("cpu-shares", "int", "CPU shares (relative weight)").short('c'))
        .arg(one("cpus", "decimal", "Number of CPUs"))
        .arg(one(
            "cpuset-cpus",
            "string",
            "CPUs in which to allow execution (0-3, 0,1)",
        ))
        .arg(one(
            "cpuset-mems",
            "string",
            "MEMs in which to allow execution (0-3, 0,1)",
        ))
        .arg(many("device", "Add a host device to the container"))
        .arg(many("dns", "Set custom DNS servers"))
        .arg(many("dns-option", "Set DNS options"))
        .arg(many("dns-search", "Set custom DNS search domains"))
        .arg(one("domainname", "string", "Container NIS domain name"))
        .arg(one(
            "entrypoint",
            "string",
            "Overwrite the default ENTRYPOINT of the image",
        ))
        .arg(many("env", "Set environment variables").short('e'))
        .arg(many("env-file", "Read in a file of environment variables"))
        .arg(many("expose", "Expose a port or a range of ports"))
        .arg(many("group-add", "Add additional groups to join"))
        .arg(one("health-cmd", "string", "Command to run to check health"))
        .arg(one(
            "health-interval",
            "duration",
            "Time between running the check",
        ))
        .arg(one(
            "health-retries",
            "int",
            "Consecutive failures needed to report unhealthy",
        ))
        .arg(one(
            "health-start-period",
            "duration",
            "Start period before counting failures",
        ))
        .arg(one(
            "health-timeout",
            "duration",
            "Maximum time to allow one check to run",
        ))
        .arg(
            Arg::new("hostname")
                .short('h')
                .long("hostname")
                .value_name("string")
                .help("Container host name"),
        )
        .arg(switch(
            "init",
            "Run an init inside the container that forwards signals and reaps processes",
        ))
        .arg(switch("interactive", "Keep STDIN open even if not attached").short('i'))
        .arg(one("ip", "string", "IPv4 address"))
        .arg(one("ipc", "string", "IPC mode to use"))
        .arg(many("label", "Set meta data on a container").short('l'))
        .arg(one("log-driver", "string", "Logging driver for the container"))
        .arg(many("log-opt", "Log driver options"))
        .arg(one("mac-address", "string", "Container MAC address"))
        .arg(one("memory", "bytes", "Memory limit").short('m'))
        .arg(one("memory-reservation", "bytes", "Memory soft limit"))
        .arg(one(
            "memory-swap",
            "bytes",
            "Memory plus swap: -1 for unlimited swap",
        ))
        .arg(many("mount", "Attach a filesystem mount to the container"))
        .arg(one("name", "string", "Assign a name to the container"))
        .arg(many("network", "Connect a container to a network").visible_alias("net"))
        .arg(many(
            "network-alias",
            "Add network-scoped alias for the container",
        ))
        .arg(switch(
            "no-healthcheck",
            "Disable any container-specified HEALTHCHECK",
        ))
        .arg(switch("oom-kill-disable", "Disable OOM Killer"))
        .arg(one(
            "oom-score-adj",
            "int",
            "Tune host's OOM preferences (-1000 to 1000)",
        ))
        .arg(one("pid", "string", "PID namespace to use"))
        .arg(one(
            "pids-limit",
            "int",
            "Tune container pids limit (set -1 for unlimited)",
        ))
        .arg(one(
            "platform",
            "string",
            "Set platform if server is multi-platform capable",
        ))
        .arg(switch("privileged", "Give extended privileges to this container"));
    command
        .arg(many("publish", "Publish a container's port(s) to the host").short('p'))
        .arg(switch("publish-all", "Publish all exposed ports to random ports").short('P'))
        .arg(
            one(
                "pull",
                "string",
                "Pull image before running (\"always\", \"missing\", \"never\")",
            )
            .default_value("missing"),
        )
        .arg(switch("quiet", "Suppress the pull output").short('q'))
        .arg(switch(
            "read-only",
            "Mount the container's root filesystem as read only",
        ))
        .arg(
            one(
                "restart",
                "string",
                "Restart policy to apply when a container exits",
            )
            .default_value("no"),
        )
        .arg(switch("rm", "Automatically remove the container when it exits"))
        .arg(one("runtime", "string", "Runtime to use for this container"))
        .arg(many("security-opt", "Security Options"))
        .arg(one("shm-size", "bytes", "Size of /dev/shm"))
        .arg(one("stop-signal", "string", "Signal to stop the container"))
        .arg(one(
            "stop-timeout",
            "int",
            "Timeout (in seconds) to stop a container",
        ))
        .arg(many("sysctl", "Sysctl options"))
        .arg(many("tmpfs", "Mount a tmpfs directory"))
        .arg(switch("tty", "Allocate a pseudo-TTY").short('t'))
        .arg(many("ulimit", "Ulimit options"))
        .arg(
            one(
                "user",
                "string",
                "Username or UID (format: <name|uid>[:<group|gid>])",
            )
            .short('u'),
        )
        .arg(one("userns", "string", "User namespace to use"))
        .arg(one("uts", "string", "UTS namespace to use"))
        .arg(many("volume", "Bind mount a volume").short('v'))
        .arg(many(
            "volumes-from",
            "Mount volumes from the specified container(s)",
        ))
        .arg(one("workdir", "string", "Working directory inside the container").short('w'))
}

/// The body of `POST /containers/create`. `attach` is whether the client stays attached (a foreground run).
pub fn request(m: &ArgMatches, attach: bool) -> Result<Json> {
    let mut body = Map::new();
    let command = list(m, "command");
    let mut put = |key: &str, value: Json| {
        body.insert(key.to_owned(), value);
    };
    put("Image", Json::from(required(m, "image")?));
    if !command.is_empty() {
        put("Cmd", json!(command));
    }
    for (flag, key) in [
        ("hostname", "Hostname"),
        ("domainname", "Domainname"),
        ("user", "User"),
        ("workdir", "WorkingDir"),
        ("stop-signal", "StopSignal"),
        ("mac-address", "MacAddress"),
    ] {
        if let Some(value) = text(m, flag) {
            put(key, Json::from(value));
        }
    }
    if let Some(entrypoint) = text(m, "entrypoint") {
        // An empty one resets the image's.
        put("Entrypoint", json!([entrypoint]));
    }
    let mut env = Vec::new();
    for file in list(m, "env-file") {
        env.extend(lines_of(&file)?);
    }
    env.extend(list(m, "env"));
    put("Env", json!(environment(&env)));
    put("Labels", Json::Object(pairs(&list(m, "label"))));
    let (stdin, tty) = (on(m, "interactive"), on(m, "tty"));
    put("Tty", Json::from(tty));
    put("OpenStdin", Json::from(stdin));
    put("StdinOnce", Json::from(stdin && attach));
    put("AttachStdin", Json::from(stdin && attach));
    put("AttachStdout", Json::from(attach));
    put("AttachStderr", Json::from(attach));
    if let Some(seconds) = number::<i64>(m, "stop-timeout")? {
        put("StopTimeout", Json::from(seconds));
    }
    if let Some(health) = health(m)? {
        put("Healthcheck", health);
    }
    let (mut exposed, mut bindings) = (Map::new(), Map::new());
    for spec in list(m, "expose") {
        let spec = if spec.contains('/') {
            spec
        } else {
            format!("{spec}/tcp")
        };
        exposed.insert(spec, json!({}));
    }
    for spec in list(m, "publish") {
        for (container, ip, host) in expand(&spec)? {
            exposed.insert(container.clone(), json!({}));
            let entry = bindings.entry(container).or_insert_with(|| json!([]));
            if let Json::Array(all) = entry {
                all.push(json!({"HostIp": ip, "HostPort": host}));
            }
        }
    }
    let mut volumes = Map::new();
    let mut binds = Vec::new();
    for volume in list(m, "volume") {
        if volume.contains(':') {
            binds.push(absolute_bind(&volume)?);
        } else {
            volumes.insert(volume, json!({}));
        }
    }
    put("ExposedPorts", Json::Object(exposed));
    put("Volumes", Json::Object(volumes));
    put("HostConfig", host_config(m, bindings, binds)?);
    let networks = list(m, "network");
    if let Some(first) = networks.first() {
        let mut endpoint = json!({});
        if let Some(ip) = text(m, "ip") {
            endpoint["IPAMConfig"] = json!({"IPv4Address": ip});
        }
        let aliases = list(m, "network-alias");
        if !aliases.is_empty() {
            endpoint["Aliases"] = json!(aliases);
        }
        if endpoint != json!({}) {
            put(
                "NetworkingConfig",
                json!({"EndpointsConfig": {first.as_str(): endpoint}}),
            );
        }
    }
    Ok(Json::Object(body))
}

fn host_config(m: &ArgMatches, bindings: Map<String, Json>, binds: Vec<String>) -> Result<Json> {
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

fn health(m: &ArgMatches) -> Result<Option<Json>> {
    if on(m, "no-healthcheck") {
        return Ok(Some(json!({"Test": ["NONE"]})));
    }
    let mut health = Map::new();
    if let Some(command) = text(m, "health-cmd") {
        health.insert("Test".into(), json!(["CMD-SHELL", command]));
    }
    for (flag, key) in [
        ("health-interval", "Interval"),
        ("health-timeout", "Timeout"),
        ("health-start-period", "StartPeriod"),
    ] {
        if let Some(value) = text(m, flag) {
            health.insert(key.into(), Json::from(duration_of(value)?));
        }
    }
    if let Some(retries) = number::<i64>(m, "health-retries")? {
        health.insert("Retries".into(), Json::from(retries));
    }
    Ok((!health.is_empty()).then_some(Json::Object(health)))
}

/// A relative source is relative to our own folder, not the daemon's.
fn absolute_bind(spec: &str) -> Result<String> {
    if spec.starts_with("./") || spec.starts_with("../") || spec.starts_with(".:") {
        let (source, rest) = spec.split_once(':').unwrap_or((spec, ""));
        let full = std::path::absolute(source).with_context(|| format!("resolving {source}"))?;
        return Ok(format!("{}:{rest}", full.display()));
    }
    Ok(spec.to_owned())
}

/// Ranges `8000-8002:80-82` become single ports.
fn expand(spec: &str) -> Result<Vec<(String, String, String)>> {
    let (container, ip, host) = port(spec)?;
    let (range, protocol) = container.split_once('/').unwrap_or((&container, "tcp"));
    let ends = |text: &str| -> Result<(u16, u16)> {
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        Ok((low.parse()?, high.parse()?))
    };
    let (low, high) = ends(range)?;
    if low == high {
        return Ok(vec![(container, ip, host)]);
    }
    let hosts = if host.is_empty() { None } else { Some(ends(&host)?) };
    if high < low || hosts.is_some_and(|(a, b)| b.wrapping_sub(a) != high - low) {
        bail!("invalid ranges specified for container and host Ports: {range} and {host}");
    }
    Ok((low..=high)
        .map(|p| {
            (
                format!("{p}/{protocol}"),
                ip.clone(),
                hosts.map_or(String::new(), |(a, _)| (a + (p - low)).to_string()),
            )
        })
        .collect())
}

fn lines_of(path: &str) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("open {path}"))?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .map(str::to_owned)
        .collect())
}
