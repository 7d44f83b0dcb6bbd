//! The options of `service create` and `service update`, laid onto a service's spec.

use crate::commands::options::{Opt, Takes::*, args, lay, opt};
use crate::commands::parse::*;
use anyhow::{Result, anyhow, bail};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use serde_json::{Value as Json, json};

/// Options that both commands have.
pub fn common(command: Command) -> Command {
    args(command, OPTIONS)
}

#[rustfmt::skip]
const OPTIONS: &[Opt] = &[
    opt("replicas", Int, "", "Number of tasks"),
    opt("user u", Text, "TaskTemplate/ContainerSpec/User", "Username or UID (format: <name|uid>[:<group|gid>])"),
    opt("workdir w", Text, "TaskTemplate/ContainerSpec/Dir", "Working directory inside the container"),
    opt("hostname", Text, "TaskTemplate/ContainerSpec/Hostname", "Container hostname"),
    opt("entrypoint", Text, "", "Overwrite the default ENTRYPOINT of the image"),
    opt("init", Switch, "TaskTemplate/ContainerSpec/Init", "Use an init inside each service container to forward signals and reap processes"),
    opt("read-only", Switch, "TaskTemplate/ContainerSpec/ReadOnly", "Mount the container's root filesystem as read only"),
    opt("tty t", Switch, "TaskTemplate/ContainerSpec/TTY", "Allocate a pseudo-TTY"),
    opt("limit-cpu", Cpus, "TaskTemplate/Resources/Limits/NanoCPUs", "Limit CPUs"),
    opt("limit-memory", Bytes, "TaskTemplate/Resources/Limits/MemoryBytes", "Limit Memory"),
    opt("limit-pids", Int, "TaskTemplate/Resources/Limits/Pids", "Limit maximum number of processes"),
    opt("reserve-cpu", Cpus, "TaskTemplate/Resources/Reservations/NanoCPUs", "Reserve CPUs"),
    opt("reserve-memory", Bytes, "TaskTemplate/Resources/Reservations/MemoryBytes", "Reserve Memory"),
    opt("restart-condition", Text, "TaskTemplate/RestartPolicy/Condition", "Restart when condition is met (none, on-failure, any)"),
    opt("restart-delay", Duration, "TaskTemplate/RestartPolicy/Delay", "Delay between restart attempts (default 5s)"),
    opt("restart-max-attempts", Int, "TaskTemplate/RestartPolicy/MaxAttempts", "Maximum number of restarts before giving up"),
    opt("restart-window", Duration, "TaskTemplate/RestartPolicy/Window", "Window used to evaluate the restart policy"),
    opt("stop-grace-period", Duration, "TaskTemplate/ContainerSpec/StopGracePeriod", "Time to wait before force killing a container"),
    opt("stop-signal", Text, "TaskTemplate/ContainerSpec/StopSignal", "Signal to stop the container"),
    opt("update-parallelism", Int, "UpdateConfig/Parallelism", "Maximum number of tasks updated simultaneously (0 to update all at once)"),
    opt("update-delay", Duration, "UpdateConfig/Delay", "Delay between updates"),
    opt("update-monitor", Duration, "UpdateConfig/Monitor", "Duration after each task update to monitor for failure"),
    opt("update-failure-action", Text, "UpdateConfig/FailureAction", "Action on update failure (pause, continue, rollback)"),
    opt("update-max-failure-ratio", Float, "UpdateConfig/MaxFailureRatio", "Failure rate to tolerate during an update"),
    opt("update-order", Text, "UpdateConfig/Order", "Update order (start-first, stop-first)"),
    opt("rollback-parallelism", Int, "RollbackConfig/Parallelism", "Maximum number of tasks rolled back simultaneously"),
    opt("rollback-delay", Duration, "RollbackConfig/Delay", "Delay between task rollbacks"),
    opt("rollback-monitor", Duration, "RollbackConfig/Monitor", "Duration after each task rollback to monitor for failure"),
    opt("rollback-failure-action", Text, "RollbackConfig/FailureAction", "Action on rollback failure (pause, continue)"),
    opt("rollback-max-failure-ratio", Float, "RollbackConfig/MaxFailureRatio", "Failure rate to tolerate during a rollback"),
    opt("rollback-order", Text, "RollbackConfig/Order", "Rollback order (start-first, stop-first)"),
    opt("replicas-max-per-node", Int, "TaskTemplate/Placement/MaxReplicas", "Maximum number of tasks per node (default 0 = unlimited)"),
    opt("log-driver", Text, "", "Logging driver for service"),
    opt("log-opt", List, "", "Logging driver options"),
    opt("endpoint-mode", Text, "EndpointSpec/Mode", "Endpoint mode (vip or dnsrr)"),
    opt("detach d", Switch, "", "Exit immediately instead of waiting for the service to converge"),
    opt("quiet q", Switch, "", "Suppress progress output"),
    opt("no-resolve-image", Switch, "", "Do not query the registry to resolve image digest and supported platforms"),
    opt("with-registry-auth", Switch, "", "Send registry authentication details to swarm agents"),
];

/// What a rollout that is described at all has besides what was given.
fn rollout(m: &ArgMatches, prefix: &str, config: &mut Json) {
    let mine = |id: &str| id.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('-'));
    let given = m
        .ids()
        .any(|id| mine(id.as_str()) && m.value_source(id.as_str()) == Some(ValueSource::CommandLine));
    if given && config["Parallelism"].is_null() {
        config["Parallelism"] = json!(1);
        config["MaxFailureRatio"] = json!(0);
    }
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
    for (prefix, key) in [("update", "UpdateConfig"), ("rollback", "RollbackConfig")] {
        rollout(m, prefix, &mut spec[key]);
    }
    lay(m, OPTIONS, spec)?;
    let template = &mut spec["TaskTemplate"];
    if let Some(entrypoint) = text(m, "entrypoint") {
        template["ContainerSpec"]["Command"] = json!(entrypoint.split_whitespace().collect::<Vec<_>>());
    }
    let log_options = list(m, "log-opt");
    if let Some(driver) = text(m, "log-driver") {
        template["LogDriver"] = json!({"Name": driver, "Options": pairs(&log_options)});
    } else if !log_options.is_empty() {
        template["LogDriver"]["Options"] = Json::Object(pairs(&log_options));
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
