//! The daemon's settings: command line and `daemon.json` laid over each other, checked, and typed.

use crate::args::Args;
use crate::options::{Use, by_key};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Docker's text, which configuration tools match on.
    #[error("unable to configure the Docker daemon with file {}: {reason}", file.display())]
    File { file: PathBuf, reason: String },
    #[error("invalid configuration: {0}")]
    Invalid(String),
}

/// All settings that mean something here. Names are those of `daemon.json`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Config {
    pub hosts: Vec<String>,
    pub data_root: PathBuf,
    pub exec_root: PathBuf,
    pub pidfile: PathBuf,
    pub group: String,
    pub debug: bool,
    pub log_level: String,
    pub log_format: String,
    pub tls: bool,
    pub tlsverify: bool,
    pub tlscacert: Option<PathBuf>,
    pub tlscert: Option<PathBuf>,
    pub tlskey: Option<PathBuf>,
    pub live_restore: bool,
    pub shutdown_timeout: i64,
    pub labels: Vec<String>,
    pub insecure_registries: Vec<String>,
    pub registry_mirrors: Vec<String>,
    pub max_concurrent_downloads: i64,
    pub bip: Option<String>,
    pub bridge: String,
    pub mtu: i64,
    pub default_address_pools: Vec<Value>,
    pub ip_forward: bool,
    pub log_driver: String,
    pub log_opts: BTreeMap<String, String>,
    pub init: bool,
    pub default_shm_size: Option<Value>,
    pub default_ulimits: Value,
    pub no_new_privileges: bool,
    pub cgroup_parent: Option<String>,
    pub dns: Vec<String>,
    pub dns_search: Vec<String>,
    pub dns_opts: Vec<String>,
    pub swarm_default_advertise_addr: Option<String>,
    pub allow_plain_tcp: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            data_root: "/var/lib/shoal".into(),
            exec_root: "/run/shoal".into(),
            pidfile: "/run/shoald.pid".into(),
            group: "docker".into(),
            debug: false,
            log_level: "info".into(),
            log_format: "text".into(),
            tls: false,
            tlsverify: false,
            tlscacert: None,
            tlscert: None,
            tlskey: None,
            // Docker's default is false; ours is that nothing dies with the daemon.
            live_restore: true,
            shutdown_timeout: 15,
            labels: Vec::new(),
            insecure_registries: Vec::new(),
            registry_mirrors: Vec::new(),
            max_concurrent_downloads: 3,
            bip: None,
            bridge: "docker0".into(),
            mtu: 1500,
            default_address_pools: Vec::new(),
            ip_forward: true,
            log_driver: "json-file".into(),
            log_opts: BTreeMap::new(),
            init: false,
            default_shm_size: None,
            default_ulimits: Value::Null,
            no_new_privileges: false,
            cgroup_parent: None,
            dns: Vec::new(),
            dns_search: Vec::new(),
            dns_opts: Vec::new(),
            swarm_default_advertise_addr: None,
            allow_plain_tcp: false,
        }
    }
}

/// A configuration and what should be said about it in the log.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// What the command line said, for reading the file again.
    pub args: Args,
    pub warnings: Vec<String>,
}

pub const DEFAULT_FILE: &str = "/etc/shoal/daemon.json";
/// A configuration file is a few kilobytes; a larger one is a mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads the file that the arguments name (it must exist) or the default one (it may be missing).
pub fn load(args: &Args) -> Result<Loaded, Error> {
    let (path, required) = match &args.config_file {
        Some(path) => (PathBuf::from(path), true),
        None => (PathBuf::from(DEFAULT_FILE), false),
    };
    let text = match read_bounded(&path) {
        Ok(text) => Some(text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !required => None,
        Err(e) => {
            return Err(Error::File {
                file: path,
                reason: e.to_string(),
            });
        }
    };
    merge(args, text.as_deref().map(|t| (path.as_path(), t)))
}

/// The file as it is now, with the same command line. Only what may change while the daemon runs is taken over by its
/// users; a file that has become wrong changes nothing.
pub fn reload(loaded: &Loaded) -> Result<Config, Error> {
    Ok(load(&loaded.args)?.config)
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(FILE_BYTES_MAX)
        .read_to_string(&mut text)?;
    Ok(text)
}

impl Config {
    /// `default-shm-size`: bytes, or a size with a unit.
    pub fn shm_bytes(&self) -> Result<i64, Error> {
        let bad = || Error::Invalid(format!("invalid default-shm-size: {:?}", self.default_shm_size));
        match &self.default_shm_size {
            None => Ok(64 << 20),
            Some(Value::Number(n)) => n.as_i64().ok_or_else(bad),
            Some(Value::String(text)) => size(text).ok_or_else(bad),
            Some(_) => Err(bad()),
        }
    }

    /// `default-ulimits`: (name, soft, hard), from the file's objects or the flag's `name=soft:hard`.
    pub fn ulimits(&self) -> Result<Vec<(String, i64, i64)>, Error> {
        let bad = |what: &dyn std::fmt::Debug| Error::Invalid(format!("invalid default-ulimits: {what:?}"));
        let mut limits = Vec::new();
        match &self.default_ulimits {
            Value::Object(map) => {
                for (name, limit) in map {
                    let (soft, hard) = (limit["Soft"].as_i64(), limit["Hard"].as_i64());
                    let (Some(soft), Some(hard)) = (soft, hard) else {
                        return Err(bad(limit));
                    };
                    limits.push((name.clone(), soft, hard));
                }
            }
            Value::Array(items) => {
                for item in items {
                    let parsed = item.as_str().and_then(|text| {
                        let (name, values) = text.split_once('=')?;
                        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
                        Some((name.to_owned(), soft.parse().ok()?, hard.parse().ok()?))
                    });
                    limits.push(parsed.ok_or_else(|| bad(item))?);
                }
            }
            _ => {}
        }
        Ok(limits)
    }
}

/// `64m`, `1g`, `512k`, `1024`.
fn size(text: &str) -> Option<i64> {
    let lower = text.trim().to_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let number: i64 = lower[..digits].parse().ok()?;
    let shift = match lower[digits..].trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// The merge itself, without a file system: flags and the file's text in, a configuration out. A setting given in both
/// places is refused, as dockerd does, except lists, whose values are added up where dockerd adds them.
pub fn merge(args: &Args, file: Option<(&Path, &str)>) -> Result<Loaded, Error> {
    let mut warnings = Vec::new();
    let mut merged = Map::new();
    if let Some((path, text)) = file {
        let refuse = |reason: String| Error::File {
            file: path.to_path_buf(),
            reason,
        };
        let parsed: Value = if text.trim().is_empty() {
            Value::Object(Map::new())
        } else {
            serde_json::from_str(text).map_err(|e| refuse(e.to_string()))?
        };
        let Value::Object(parsed) = parsed else {
            return Err(refuse("the file does not hold a JSON object".into()));
        };
        let unknown: Vec<&str> = parsed
            .keys()
            .map(String::as_str)
            .filter(|k| by_key(k).is_none())
            .collect();
        if !unknown.is_empty() {
            let list = unknown.join(", ");
            return Err(refuse(format!(
                "the following directives don't match any configuration option: {list}"
            )));
        }
        let both: Vec<String> = parsed
            .iter()
            .filter_map(|(key, from_file)| {
                let from_flag = args.options.get(key)?;
                Some(format!(
                    "{key}: (from flag: {}, from file: {})",
                    plain(from_flag),
                    plain(from_file)
                ))
            })
            .collect();
        if !both.is_empty() {
            return Err(refuse(format!(
                "the following directives are specified both as a flag and in the configuration file: {}",
                both.join(", ")
            )));
        }
        merged.extend(parsed);
    }
    merged.extend(args.options.clone());
    for key in merged.keys() {
        if by_key(key).is_some_and(|known| known.used == Use::NoMeaning) {
            warnings.push(format!("option {key:?} has no effect here and is ignored"));
        }
    }
    merged.retain(|key, value| !value.is_null() && by_key(key).is_some_and(|known| known.used == Use::Works));
    let config: Config = serde_json::from_value(Value::Object(merged)).map_err(|e| match file {
        Some((path, _)) => Error::File {
            file: path.to_path_buf(),
            reason: e.to_string(),
        },
        None => Error::Invalid(e.to_string()),
    })?;
    check(&config)?;
    Ok(Loaded {
        config,
        args: args.clone(),
        warnings,
    })
}

/// Values as Go prints them in that message: strings bare, the rest as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn check(config: &Config) -> Result<(), Error> {
    let invalid = |what: String| Err(Error::Invalid(what));
    if !["debug", "info", "warn", "error", "fatal"].contains(&config.log_level.as_str()) {
        return invalid(format!("invalid logging level: {}", config.log_level));
    }
    if !["text", "json"].contains(&config.log_format.as_str()) {
        return invalid(format!("invalid log format: {}", config.log_format));
    }
    if config.max_concurrent_downloads < 1 {
        return invalid(format!(
            "invalid max concurrent downloads: {}",
            config.max_concurrent_downloads
        ));
    }
    if !(0..=65535).contains(&config.mtu) {
        return invalid(format!("invalid default MTU: {}", config.mtu));
    }
    for label in &config.labels {
        if !label.contains('=') {
            return invalid(format!("bad attribute format: {label}"));
        }
    }
    for path in [&config.data_root, &config.exec_root] {
        if !path.is_absolute() {
            return invalid(format!("{} is not an absolute path", path.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn flags(options: Value) -> Args {
        Args {
            options: options.as_object().unwrap().clone(),
            ..Args::default()
        }
    }

    fn with_file(options: Value, text: &str) -> Result<Loaded, String> {
        merge(&flags(options), Some((Path::new("/d.json"), text))).map_err(|e| e.to_string())
    }

    #[test]
    fn file_and_flags_add_up() {
        let loaded = with_file(
            json!({"debug": true, "iptables": false}),
            r#"{"labels": ["a=b"], "insecure-registries": ["r:5000"], "log-opts": {"max-size": "1m"}}"#,
        )
        .unwrap();
        assert!(loaded.config.debug && loaded.config.live_restore);
        assert_eq!(loaded.config.labels, ["a=b"]);
        assert_eq!(loaded.config.log_opts["max-size"], "1m");
        assert_eq!(
            loaded.warnings,
            ["option \"iptables\" has no effect here and is ignored"]
        );
    }

    #[test]
    fn dockers_refusals_in_dockers_words() {
        assert_eq!(
            with_file(json!({"debug": true}), r#"{"debug": false}"#).unwrap_err(),
            "unable to configure the Docker daemon with file /d.json: the following directives are specified both as a \
             flag and in the configuration file: debug: (from flag: true, from file: false)"
        );
        assert_eq!(
            with_file(json!({}), r#"{"no-such": 1}"#).unwrap_err(),
            "unable to configure the Docker daemon with file /d.json: the following directives don't match any \
             configuration option: no-such"
        );
        for bad in [
            "[1]",
            "{",
            r#"{"debug": "yes"}"#,
            r#"{"mtu": 99999}"#,
            r#"{"labels": ["x"]}"#,
        ] {
            with_file(json!({}), bad).unwrap_err();
        }
        assert_eq!(with_file(json!({}), "").unwrap().config, Config::default());
    }
}
