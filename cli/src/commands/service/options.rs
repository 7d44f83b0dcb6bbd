//! The options of `service create` and `service update`, laid onto a service's spec.

use crate::commands::parse::*;
use crate::format::{bytes_of, duration_of};
use anyhow::{Result, anyhow, bail};
use clap::{ArgMatches, Command};
use serde_json::{Value as Json, json};

/// Options that both commands have.
pub fn common(command: Command) -> Command {
    command
        .arg(one("replicas", "uint", "Number of tasks"))
        .arg(
            one(
                "user",
                "string",
                "Username or UID (format: <name|uid>[:<group|gid>])",
            )
            .short('u'),
        )
        .arg(one("workdir", "string", "Working directory inside the container").short('w'))
        .arg(one("hostname", "string", "Container hostname"))
        .arg(one(
            "entrypoint",
            "command",
            "Overwrite the default ENTRYPOINT of the image",
        ))
        .arg(switch(
            "init",
            "Use an init inside each service container to forward signals and reap processes",
        ))
        .arg(switch(
            "read-only",
            "Mount the container's root filesystem as read only",
        ))
        .arg(switch("tty", "Allocate a pseudo-TTY").short('t'))
        .arg(one("limit-cpu", "decimal", "Limit CPUs"))
        .arg(one("limit-memory", "bytes", "Limit Memory"))
        .arg(one("limit-pids", "int", "Limit maximum number of processes"))
        .arg(one("reserve-cpu", "decimal", "Reserve CPUs"))
        .arg(one("reserve-memory", "bytes", "Reserve Memory"))
        .arg(one(
            "restart-condition",
            "string",
            "Restart when condition is met (none, on-failure, any)",
        ))
        .arg(one(
            "restart-delay",
            "duration",
            "Delay between restart attempts (default 5s)",
        ))
        .arg(one(
            "restart-max-attempts",
            "uint",
            "Maximum number of restarts before giving up",
        ))
        .arg(one(
            "restart-window",
            "duration",
            "Window used to evaluate the restart policy",
        ))
        .arg(one(
            "stop-grace-period",
            "duration",
            "Time to wait before force killing a container",
        ))
        .arg(one("stop-signal", "string", "Signal to stop the container"))
        .arg(one(
            "update-parallelism",
            "uint",
            "Maximum number of tasks updated simultaneously (0 to update all at once)",
        ))
        .arg(one("update-delay", "duration", "Delay between updates"))
        .arg(one(
            "update-monitor",
            "duration",
            "Duration after each task update to monitor for failure",
        ))
        .arg(one(
            "update-failure-action",
            "string",
            "Action on update failure (pause, continue, rollback)",
        ))
        .arg(one(
            "update-max-failure-ratio",
            "float",
            "Failure rate to tolerate during an update",
        ))
        .arg(one(
            "update-order",
            "string",
            "Update order (start-first, stop-first)",
        ))
        .arg(one(
            "rollback-parallelism",
            "uint",
            "Maximum number of tasks rolled back simultaneously",
        ))
        .arg(one("rollback-delay", "duration", "Delay between task rollbacks"))
        .arg(one(
            "rollback-monitor",
            "duration",
            "Duration after each task rollback to monitor for failure",
        ))
        .arg(one(
            "rollback-failure-action",
            "string",
            "Action on rollback failure (pause, continue)",
        ))
        .arg(one(
            "rollback-max-failure-ratio",
            "float",
            "Failure rate to tolerate during a rollback",
        ))
        .arg(one(
            "rollback-order",
            "string",
            "Rollback order (start-first, stop-first)",
        ))
        .arg(one(
            "replicas-max-per-node",
            "uint",
            "Maximum number of tasks per node (default 0 = unlimited)",
        ))
        .arg(one("log-driver", "string", "Logging driver for service"))
        .arg(many("log-opt", "Logging driver options"))
        .arg(one("endpoint-mode", "string", "Endpoint mode (vip or dnsrr)"))
        .arg(
            switch(
                "detach",
                "Exit immediately instead of waiting for the service to converge",
            )
            .short('d'),
        )
        .arg(switch("quiet", "Suppress progress output").short('q'))
        .arg(switch(
            "no-resolve-image",
            "Do not query the registry to resolve image digest and supported platforms",
        ))
        .arg(switch(
            "with-registry-auth",
            "Send registry authentication details to swarm agents",
        ))
}

/// Lays what both commands share onto `spec`.
pub fn apply(m: &ArgMatches, spec: &mut Json) -> Result<()> {
    if let Some(replicas) = number::<u64>(m, "replicas")? {
        let mode = &mut spec["Mode"];
        if !mode["Replicated"].is_null() {
            mode["Replicated"]["Replicas"] = json!(replicas);
        } else if !mode["ReplicatedJob"].is_null() {
            mode["ReplicatedJob"]["TotalCompletions"] = json!(replicas);
        } else {
            bail!("replicas can only be used with replicated or replicated-job mode");
        }
    }
    let template = &mut spec["TaskTemplate"];
    let container = &mut template["ContainerSpec"];
    for (flag, key) in [
        ("user", "User"),
        ("workdir", "Dir"),
        ("hostname", "Hostname"),
        ("stop-signal", "StopSignal"),
    ] {
        if let Some(value) = text(m, flag) {
            container[key] = json!(value);
        }
    }
    if let Some(entrypoint) = text(m, "entrypoint") {
        container["Command"] = json!(entrypoint.split_whitespace().collect::<Vec<_>>());
    }
    for (flag, key) in [("init", "Init"), ("read-only", "ReadOnly"), ("tty", "TTY")] {
        if on(m, flag) {
            container[key] = json!(true);
        }
    }
    if let Some(grace) = text(m, "stop-grace-period") {
        container["StopGracePeriod"] = json!(duration_of(grace)?);
    }
    let resources = &mut template["Resources"];
    for (flag, part) in [("limit-cpu", "Limits"), ("reserve-cpu", "Reservations")] {
        if let Some(value) = text(m, flag) {
            resources[part]["NanoCPUs"] = json!(nano_cpus(value)?);
        }
    }
    for (flag, part) in [("limit-memory", "Limits"), ("reserve-memory", "Reservations")] {
        if let Some(value) = text(m, flag) {
            resources[part]["MemoryBytes"] = json!(bytes_of(value)?);
        }
    }
    if let Some(pids) = number::<i64>(m, "limit-pids")? {
        resources["Limits"]["Pids"] = json!(pids);
    }
    let restart = &mut template["RestartPolicy"];
    if let Some(condition) = text(m, "restart-condition") {
        restart["Condition"] = json!(condition);
    }
    for (flag, key) in [("restart-delay", "Delay"), ("restart-window", "Window")] {
        if let Some(value) = text(m, flag) {
            restart[key] = json!(duration_of(value)?);
        }
    }
    if let Some(attempts) = number::<u64>(m, "restart-max-attempts")? {
        restart["MaxAttempts"] = json!(attempts);
    }
    if let Some(max) = number::<u64>(m, "replicas-max-per-node")? {
        template["Placement"]["MaxReplicas"] = json!(max);
    }
    let log_options = list(m, "log-opt");
    if let Some(driver) = text(m, "log-driver") {
        template["LogDriver"] = json!({"Name": driver, "Options": pairs(&log_options)});
    } else if !log_options.is_empty() {
        template["LogDriver"]["Options"] = Json::Object(pairs(&log_options));
    }
    for (prefix, key) in [("update", "UpdateConfig"), ("rollback", "RollbackConfig")] {
        rollout(m, prefix, &mut spec[key])?;
    }
    if let Some(mode) = text(m, "endpoint-mode") {
        spec["EndpointSpec"]["Mode"] = json!(mode);
    }
    Ok(())
}

fn rollout(m: &ArgMatches, prefix: &str, config: &mut Json) -> Result<()> {
    let flag = |what: &str| format!("{prefix}-{what}");
    let given = [
        "parallelism",
        "delay",
        "monitor",
        "failure-action",
        "max-failure-ratio",
        "order",
    ]
    .iter()
    .any(|what| m.contains_id(&flag(what)));
    if given && config["Parallelism"].is_null() {
        config["Parallelism"] = json!(1);
        config["MaxFailureRatio"] = json!(0);
    }
    if let Some(n) = number::<u64>(m, &flag("parallelism"))? {
        config["Parallelism"] = json!(n);
    }
    for (what, key) in [("delay", "Delay"), ("monitor", "Monitor")] {
        if let Some(value) = text(m, &flag(what)) {
            config[key] = json!(duration_of(value)?);
        }
    }
    for (what, key) in [("failure-action", "FailureAction"), ("order", "Order")] {
        if let Some(value) = text(m, &flag(what)) {
            config[key] = json!(value);
        }
    }
    if let Some(ratio) = number::<f64>(m, &flag("max-failure-ratio"))? {
        config["MaxFailureRatio"] = json!(ratio);
    }
    Ok(())
}

/// `8080:80/tcp` (ingress) or `published=8080,target=80,protocol=tcp,mode=host`.
pub fn publish(spec: &str) -> Result<Json> {
    if !spec.contains('=') {
        let (container, ip, host) = port(spec)?;
        if !ip.is_empty() {
            bail!("hostip is not supported in service port mapping: {spec}");
        }
        let (target, protocol) = container.split_once('/').unwrap_or((&container, "tcp"));
        let mut out =
            json!({"Protocol": protocol, "TargetPort": target.parse::<u16>()?, "PublishMode": "ingress"});
        if !host.is_empty() {
            out["PublishedPort"] = json!(host.parse::<u16>()?);
        }
        return Ok(out);
    }
    let mut out = json!({"Protocol": "tcp", "PublishMode": "ingress"});
    for field in spec.split(',') {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| anyhow!("invalid field: {field}"))?;
        match key {
            "target" => out["TargetPort"] = json!(value.parse::<u16>()?),
            "published" => out["PublishedPort"] = json!(value.parse::<u16>()?),
            "protocol" => out["Protocol"] = json!(value),
            "mode" => out["PublishMode"] = json!(value),
            _ => bail!("invalid field key: {key}"),
        }
    }
    if out["TargetPort"].is_null() {
        bail!("missing mandatory field \"target\"");
    }
    Ok(out)
}
