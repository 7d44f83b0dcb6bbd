//! Pieces that several commands read from a command line, and turn into the API's JSON.

use crate::format::bytes_of;
use anyhow::{Context, Result, anyhow, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value as Json, json};

/// A flag that may be repeated.
pub fn many(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::Append)
        .value_name("list")
        .help(help)
}

/// A flag with one value.
pub fn one(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .help(help)
        .allow_hyphen_values(true)
}

/// A switch; `--flag=false` switches it off.
pub fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .default_value("false")
        .hide_default_value(true)
        .hide_possible_values(true)
        .value_parser(clap::builder::BoolishValueParser::new())
        .help(help)
}

pub fn on(matches: &ArgMatches, name: &str) -> bool {
    matches.get_one::<bool>(name).copied().unwrap_or(false)
}

pub fn text<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a str> {
    matches.get_one::<String>(name).map(String::as_str)
}

pub fn list(matches: &ArgMatches, name: &str) -> Vec<String> {
    matches
        .get_many::<String>(name)
        .unwrap_or_default()
        .cloned()
        .collect()
}

pub fn required<'a>(matches: &'a ArgMatches, name: &str) -> Result<&'a str> {
    text(matches, name).ok_or_else(|| anyhow!("{name} is required"))
}

pub fn number<T: std::str::FromStr>(matches: &ArgMatches, name: &str) -> Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text(matches, name)
        .map(|v| {
            v.parse()
                .with_context(|| format!("invalid argument {v:?} for --{name}"))
        })
        .transpose()
}

/// Positional arguments `NAME...`.
pub fn names(command: Command, what: &'static str) -> Command {
    command.arg(Arg::new("names").value_name(what).num_args(1..).required(true))
}

/// One positional argument.
pub fn name(command: Command, what: &'static str) -> Command {
    command.arg(Arg::new("name").value_name(what).required(true))
}

/// `IMAGE [COMMAND] [ARG...]`: everything after the image belongs to the container.
pub fn image_and_command(command: Command) -> Command {
    command
        .arg(Arg::new("image").value_name("IMAGE").required(true))
        .arg(
            Arg::new("command")
                .value_name("COMMAND")
                .num_args(0..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true),
        )
}

/// `k=v` pairs; a bare key has an empty value.
pub fn pairs(items: &[String]) -> Map<String, Json> {
    items
        .iter()
        .map(|item| {
            let (key, value) = item.split_once('=').unwrap_or((item, ""));
            (key.to_owned(), Json::from(value))
        })
        .collect()
}

/// Environment: a bare name takes the value of our own environment, and is left out where we have none.
pub fn environment(items: &[String]) -> Vec<String> {
    items
        .iter()
        .filter_map(|item| match item.contains('=') {
            true => Some(item.clone()),
            false => std::env::var(item).ok().map(|value| format!("{item}={value}")),
        })
        .collect()
}

/// `--filter k=v` → the API's JSON of lists.
pub fn filters(matches: &ArgMatches) -> Result<String> {
    filters_of(&list(matches, "filter"))
}

pub fn filters_of(items: &[String]) -> Result<String> {
    let mut map: Map<String, Json> = Map::new();
    for item in items {
        let (key, value) = item
            .split_once('=')
            .ok_or_else(|| anyhow!("invalid argument {item:?} for \"-f, --filter\" flag: bad format of filter (expected name=value)"))?;
        let entry = map.entry(key.trim().to_lowercase()).or_insert_with(|| json!([]));
        if let Json::Array(values) = entry {
            values.push(Json::from(value.trim()));
        }
    }
    Ok(if map.is_empty() {
        String::new()
    } else {
        Json::Object(map).to_string()
    })
}

/// `--cpus 1.5` → nano CPUs.
pub fn nano_cpus(value: &str) -> Result<i64> {
    let cpus: f64 = value
        .parse()
        .map_err(|_| anyhow!("invalid argument {value:?} for \"--cpus\" flag"))?;
    let nanos = (cpus * 1e9).round();
    // What cannot be said must not come out as "no limit".
    if !nanos.is_finite() || nanos.abs() >= i64::MAX as f64 {
        bail!("invalid argument {value:?} for \"--cpus\" flag");
    }
    Ok(nanos as i64)
}

/// `[ip:][hostPort:]containerPort[/proto]` → (`"80/tcp"`, ip, host port).
pub fn port(spec: &str) -> Result<(String, String, String)> {
    let bad = || anyhow!("invalid publish value {spec:?}");
    let (rest, protocol) = spec.rsplit_once('/').unwrap_or((spec, "tcp"));
    let mut parts = rest.rsplitn(3, ':');
    let container = parts.next().filter(|p| !p.is_empty()).ok_or_else(bad)?;
    let host = parts.next().unwrap_or_default();
    let ip = parts.next().unwrap_or_default().trim_matches(['[', ']']);
    for number in [container, host] {
        if !number.is_empty() && number.split('-').any(|n| n.parse::<u16>().is_err()) {
            bail!("invalid containerPort: {number}");
        }
    }
    Ok((format!("{container}/{protocol}"), ip.to_owned(), host.to_owned()))
}

/// `--mount type=bind,src=/a,dst=/b,readonly` → the API's `Mount`.
pub fn mount(spec: &str) -> Result<Json> {
    let mut mount = json!({"Type": "volume"});
    for field in spec.split(',') {
        let (key, value) = field.split_once('=').unwrap_or((field, "true"));
        let yes = matches!(value, "true" | "1");
        match key.to_lowercase().as_str() {
            "type" => mount["Type"] = Json::from(value),
            "source" | "src" => mount["Source"] = Json::from(value),
            "target" | "dst" | "destination" => mount["Target"] = Json::from(value),
            "readonly" | "ro" => mount["ReadOnly"] = Json::from(yes),
            "consistency" => mount["Consistency"] = Json::from(value),
            "bind-propagation" => mount["BindOptions"]["Propagation"] = Json::from(value),
            "volume-nocopy" => mount["VolumeOptions"]["NoCopy"] = Json::from(yes),
            "volume-driver" => mount["VolumeOptions"]["DriverConfig"]["Name"] = Json::from(value),
            "volume-subpath" => mount["VolumeOptions"]["Subpath"] = Json::from(value),
            "tmpfs-size" => mount["TmpfsOptions"]["SizeBytes"] = Json::from(bytes_of(value)?),
            "tmpfs-mode" => {
                let mode =
                    u32::from_str_radix(value, 8).map_err(|_| anyhow!("invalid value for {key}: {value}"))?;
                mount["TmpfsOptions"]["Mode"] = Json::from(mode);
            }
            _ => bail!("unexpected key '{key}' in '{field}'"),
        }
    }
    if mount["Target"].is_null() {
        bail!("invalid argument {spec:?} for \"--mount\" flag: target is required");
    }
    Ok(mount)
}

/// Runs a call per name, prints each name that went well, and fails at the end if any did not.
pub async fn each<'a, F, Fut>(names: impl IntoIterator<Item = &'a String>, call: F) -> Result<u8>
where
    F: Fn(&'a str) -> Fut,
    Fut: std::future::Future<Output = shoal_api_client::Result<()>>,
{
    let mut code = 0;
    for name in names {
        match call(name).await {
            Ok(()) => println!("{name}"),
            Err(e) => {
                eprintln!("{e}");
                code = 1;
            }
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_that_are_no_number_are_not_no_limit() {
        assert_eq!(nano_cpus("1.5").unwrap(), 1_500_000_000);
        for bad in ["NaN", "inf", "1e300", "-1e300", "x", ""] {
            assert!(nano_cpus(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ports_mounts_and_filters() {
        let p = |s: &str| port(s).unwrap();
        assert_eq!(p("80"), ("80/tcp".into(), "".into(), "".into()));
        assert_eq!(p("8080:80/udp"), ("80/udp".into(), "".into(), "8080".into()));
        assert_eq!(
            p("127.0.0.1:8080:80"),
            ("80/tcp".into(), "127.0.0.1".into(), "8080".into())
        );
        assert!(port("x:80").is_err() && port("").is_err());
        assert_eq!(
            mount("type=bind,src=/a,dst=/b,readonly").unwrap(),
            json!({"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": true})
        );
        assert!(mount("type=bind").is_err() && mount("dst=/x,what=1").is_err());
        assert_eq!(
            filters_of(&["label=a=b".into(), "label=c".into()]).unwrap(),
            r#"{"label":["a=b","c"]}"#
        );
        assert!(filters_of(&["x".into()]).is_err());
    }
}
