//! The daemon's settings: command line and `daemon.json` laid over each other, checked, and typed.

mod check;
mod merge;
mod pools;

use crate::args::Args;
pub use merge::merge;
use serde::Deserialize;
use serde_json::Value;
use shoal_api_types::{API_VERSION, MIN_API_VERSION};
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
    pub bip6: Option<String>,
    pub fixed_cidr_v6: Option<String>,
    pub ipv6: bool,
    pub ip: Option<String>,
    pub bridge: String,
    pub mtu: i64,
    pub default_address_pools: Vec<Value>,
    pub ip_forward: bool,
    pub userland_proxy: bool,
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
    pub max_concurrent_uploads: i64,
    pub max_download_attempts: i64,
    pub fixed_cidr: Option<String>,
    pub icc: bool,
    pub ip_masq: bool,
    pub runtimes: BTreeMap<String, Runtime>,
    pub default_runtime: String,
    pub authorization_plugins: Vec<String>,
    pub exec_opts: Vec<String>,
    pub features: BTreeMap<String, Value>,
    pub metrics_addr: Option<String>,
    pub min_api_version: Option<String>,
    pub http_proxy: String,
    pub https_proxy: String,
    pub no_proxy: String,
    pub default_ipc_mode: String,
    /// Empty: `host` where control groups are of version 1, else `private`.
    pub default_cgroupns_mode: String,
    pub init_path: Option<PathBuf>,
    pub raw_logs: bool,
    pub userns_remap: String,
    pub seccomp_profile: String,
    pub oom_score_adjust: i64,
    pub cdi_spec_dirs: Vec<PathBuf>,
    pub image_gc_high: i64,
    /// 0: ten below `image_gc_high`.
    pub image_gc_low: i64,
    pub image_gc_keep_releases: i64,
    pub image_gc_spare: i64,
    pub image_gc_every: i64,
}

/// An OCI runtime that containers may ask for by name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Runtime {
    pub path: String,
    pub runtime_args: Vec<String>,
    pub runtime_type: String,
    pub options: BTreeMap<String, Value>,
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
            bip6: None,
            fixed_cidr_v6: None,
            ipv6: false,
            ip: None,
            bridge: "docker0".into(),
            mtu: 1500,
            default_address_pools: Vec::new(),
            ip_forward: true,
            userland_proxy: true,
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
            max_concurrent_uploads: 5,
            max_download_attempts: 5,
            fixed_cidr: None,
            icc: true,
            ip_masq: true,
            runtimes: BTreeMap::new(),
            default_runtime: "runc".into(),
            authorization_plugins: Vec::new(),
            exec_opts: Vec::new(),
            features: BTreeMap::new(),
            metrics_addr: None,
            min_api_version: None,
            http_proxy: String::new(),
            https_proxy: String::new(),
            no_proxy: String::new(),
            default_ipc_mode: "private".into(),
            default_cgroupns_mode: String::new(),
            init_path: None,
            raw_logs: false,
            userns_remap: String::new(),
            seccomp_profile: String::new(),
            oom_score_adjust: 0,
            cdi_spec_dirs: Vec::new(),
            image_gc_high: 0,
            image_gc_low: 0,
            image_gc_keep_releases: 0,
            image_gc_spare: 600,
            image_gc_every: 60,
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
            let why = match e.kind() {
                std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
                std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
                _ => e.to_string(),
            };
            return Err(Error::File {
                reason: format!("open {}: {why}", path.display()),
                file: path,
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
    pub fn shm_bytes(&self) -> Result<i64, String> {
        let bad = || format!("invalid default-shm-size: {:?}", self.default_shm_size);
        match &self.default_shm_size {
            None => Ok(64 << 20),
            Some(Value::Number(n)) => n.as_i64().ok_or_else(bad),
            Some(Value::String(text)) => size(text).ok_or_else(bad),
            Some(_) => Err(bad()),
        }
    }

    /// `default-ulimits`: (name, soft, hard), from the file's objects or the flag's `name=soft:hard`.
    pub fn ulimits(&self) -> Result<Vec<(String, i64, i64)>, String> {
        let bad = |what: &dyn std::fmt::Debug| format!("invalid default-ulimits: {what:?}");
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

    /// (base, prefix length of each network).
    pub fn address_pools(&self) -> Result<Vec<(ipnet::IpNet, u8)>, String> {
        pools::pools(&self.default_address_pools)
    }

    /// The oldest API that is served, as its minor number.
    pub fn min_api_version(&self) -> Result<u16, String> {
        let minor = |text: &str| text.strip_prefix("1.")?.parse::<u16>().ok();
        let (first, last) = (
            minor(MIN_API_VERSION).unwrap_or(0),
            minor(API_VERSION).unwrap_or(u16::MAX),
        );
        let Some(text) = self.min_api_version.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(first);
        };
        match minor(text) {
            None => Err(format!("invalid API version {text:?}: want 1.<number>")),
            Some(asked) if asked < first => Err(format!(
                "min-api-version: minimum supported API version is {MIN_API_VERSION}: {text}"
            )),
            Some(asked) if asked > last => Err(format!(
                "min-api-version: maximum supported API version is {API_VERSION}: {text}"
            )),
            Some(asked) => Ok(asked),
        }
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
            json!({"debug": true, "iptables": false, "userland-proxy": false}),
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
        assert!(!loaded.config.userland_proxy && loaded.config.ip_forward);
    }

    #[test]
    fn dockers_refusals_in_dockers_words() {
        let validation = "merged configuration validation from file and command line flags failed";
        for (flags, file, reason) in [
            (
                json!({"debug": true, "labels": ["c=d"]}),
                r#"{"labels": ["a=b"], "debug": true}"#,
                "the following directives are specified both as a flag and in the configuration file: debug: (from \
                 flag: true, from file: true), labels: (from flag: [c=d], from file: [a=b])"
                    .to_owned(),
            ),
            (
                json!({}),
                r#"{"a": 1, "b": {"c": 1}, "features": {"x": true}}"#,
                "the following directives don't match any configuration option: a, c".into(),
            ),
            (
                json!({}),
                r#"{"debug": "x"}"#,
                "invalid JSON: json: cannot unmarshal string into Go struct field Config.debug of type bool".into(),
            ),
            (
                json!({}),
                r#"{"debug": true"#,
                "invalid JSON: unexpected end of JSON input".into(),
            ),
            (
                json!({}),
                "[]",
                "invalid JSON: json: cannot unmarshal array into Go value of type map[string]interface {}".into(),
            ),
            (
                json!({}),
                r#"{"log-level": "foo"}"#,
                format!("{validation}: invalid logging level: foo"),
            ),
            (
                json!({}),
                r#"{"hosts": ["x://"]}"#,
                format!("{validation}: invalid bind address (x://): unsupported proto 'x'"),
            ),
            (
                json!({}),
                r#"{"labels": ["x"]}"#,
                format!("{validation}: bad attribute format: x"),
            ),
            (
                json!({}),
                r#"{"max-concurrent-downloads": -1}"#,
                format!("{validation}: invalid max concurrent downloads: -1"),
            ),
            (
                json!({}),
                r#"{"registry-mirrors": ["x"]}"#,
                format!(
                    "{validation}: invalid mirror: no scheme specified for \"x\": must use either 'https://' or \
                     'http://'"
                ),
            ),
        ] {
            assert_eq!(
                with_file(flags, file).unwrap_err(),
                format!("unable to configure the Docker daemon with file /d.json: {reason}")
            );
        }
        for bad in [
            r#"{"mtu": 99999}"#,
            r#"{"metrics-addr": "x"}"#,
            r#"{"runtimes": {"runc": {"path": "x"}}}"#,
        ] {
            with_file(json!({}), bad).unwrap_err();
        }
        assert_eq!(with_file(json!({}), "").unwrap().config, Config::default());
    }

    #[test]
    fn grouped_keys_and_flags_of_the_same_map() {
        let loaded = with_file(
            json!({"runtimes": {"b": {"path": "/b"}}}),
            r#"{"proxies": {"http-proxy": "http://p"}, "runtimes": {"a": {"path": "/a", "runtimeArgs": ["-v"]}},
                "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1, "Hard": 2}}, "default-shm-size": "8m",
                "default-address-pools": [{"base": "10.77.0.0/16", "size": 24}], "min-api-version": "1.30"}"#,
        )
        .unwrap();
        let config = loaded.config;
        assert_eq!(config.http_proxy, "http://p");
        assert_eq!(config.runtimes.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(config.runtimes["a"].runtime_args, ["-v"]);
        assert_eq!(config.ulimits().unwrap(), [("nofile".to_owned(), 1, 2)]);
        assert_eq!(
            (config.shm_bytes().unwrap(), config.min_api_version().unwrap()),
            (8 << 20, 30)
        );
        assert_eq!(config.address_pools().unwrap().len(), 1);
        let refused = with_file(json!({}), r#"{"labels": ["a=b", "a=c"]}"#).unwrap_err();
        assert!(
            refused.ends_with("/d.json: conflict labels for a=c and a=b"),
            "{refused}"
        );
    }
}
