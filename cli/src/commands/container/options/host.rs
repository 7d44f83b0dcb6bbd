//! The members of the request's `HostConfig` whose options are more than a value.

use super::devices;
use crate::commands::parse::*;
use anyhow::{Context, Result, anyhow, bail};
use clap::ArgMatches;
use serde_json::{Value as Json, json};

/// Plain values are laid there already.
pub fn host_config(m: &ArgMatches, host: &mut Json) -> Result<()> {
    host["RestartPolicy"] = restart(text(m, "restart").unwrap_or("no"))?;
    if on(m, "rm") && host["RestartPolicy"]["Name"] != "no" {
        bail!("conflicting options: cannot specify both --restart and --rm");
    }
    let networks = list(m, "network");
    let first = networks.first().map(|n| super::networks::name_of(n));
    host["NetworkMode"] = json!(first.unwrap_or_else(|| "default".into()));
    host["SecurityOpt"] = json!(
        list(m, "security-opt")
            .iter()
            .map(|o| security(o))
            .collect::<Result<Vec<_>>>()?
    );
    host["LogConfig"] =
        json!({"Type": text(m, "log-driver").unwrap_or_default(), "Config": pairs(&list(m, "log-opt"))});
    for (flag, key) in [
        ("sysctl", "Sysctls"),
        ("storage-opt", "StorageOpt"),
        ("annotation", "Annotations"),
    ] {
        let values = list(m, flag);
        if !values.is_empty() {
            host[key] = Json::Object(pairs(&values));
        }
    }
    let tmpfs = list(m, "tmpfs").into_iter().map(|t| {
        let (path, options) = t.split_once(':').unwrap_or((&t, ""));
        (path.to_owned(), Json::from(options))
    });
    host["Tmpfs"] = Json::Object(tmpfs.collect());
    host["Ulimits"] = each_of(m, "ulimit", ulimit)?;
    host["Mounts"] = each_of(m, "mount", mount)?;
    devices::lay(m, host)
}

pub fn each_of(m: &ArgMatches, flag: &str, read: fn(&str) -> Result<Json>) -> Result<Json> {
    Ok(Json::Array(
        list(m, flag).iter().map(|x| read(x)).collect::<Result<_>>()?,
    ))
}

/// A profile is sent by content: the daemon may be on another machine.
fn security(option: &str) -> Result<String> {
    match option.strip_prefix("seccomp=") {
        Some(path) if path != "unconfined" && path != "builtin" => {
            let profile = std::fs::read_to_string(path)
                .with_context(|| format!("opening seccomp profile ({path}) failed"))?;
            Ok(format!("seccomp={profile}"))
        }
        _ => Ok(option.to_owned()),
    }
}

pub fn restart(policy: &str) -> Result<Json> {
    let (name, count) = policy.split_once(':').unwrap_or((policy, "0"));
    if name.is_empty() && policy.contains(':') {
        bail!("invalid restart policy format: no policy provided before colon");
    }
    let count: i64 = count
        .parse()
        .map_err(|_| anyhow!("invalid restart policy format: maximum retry count must be an integer"))?;
    Ok(json!({"Name": name, "MaximumRetryCount": count}))
}

fn ulimit(text: &str) -> Result<Json> {
    let bad = || anyhow!("invalid ulimit argument: {text}");
    let (name, values) = text.split_once('=').ok_or_else(bad)?;
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let parse = |v: &str| v.parse::<i64>().map_err(|_| bad());
    let (soft, hard) = (parse(soft)?, parse(hard)?);
    if hard >= 0 && (soft > hard || soft < 0) {
        bail!("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}");
    }
    Ok(json!({"Name": name, "Soft": soft, "Hard": hard}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_policies() {
        assert_eq!(
            ulimit("nofile=10:20").unwrap(),
            json!({"Name": "nofile", "Soft": 10, "Hard": 20})
        );
        assert!(ulimit("nofile=20:10").is_err() && ulimit("nofile").is_err() && ulimit("core=-1").is_ok());
        assert_eq!(restart("on-failure:3").unwrap()["MaximumRetryCount"], 3);
        assert!(restart("on-failure:x").is_err() && restart(":3").is_err());
    }
}
