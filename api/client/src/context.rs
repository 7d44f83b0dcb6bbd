//! Which daemon a command means: `-H`, `--context`, DOCKER_HOST, DOCKER_CONTEXT, the configured context, the default.

use crate::error::{Error, Result};
use crate::target::{DEFAULT, Target, TlsFiles};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Resolves in Docker's order. `host` and `context` are the flags; `tls` what the TLS flags or DOCKER_TLS_VERIFY and
/// DOCKER_CERT_PATH came to; `env` reads the environment.
pub fn resolve(
    host: Option<&str>,
    context: Option<&str>,
    tls: Option<TlsFiles>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Target> {
    if host.is_some() && context.is_some() {
        return Err(Error::Target(
            "conflicting options: cannot specify both --host and --context".into(),
        ));
    }
    let set = |name: &str| env(name).filter(|v| !v.is_empty());
    if let Some(host) = host {
        return Ok(host.parse::<Target>()?.with_tls(tls));
    }
    let dir = set("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".docker")));
    let named = match context {
        Some(name) => Some(name.to_owned()),
        None => {
            if let Some(host) = set("DOCKER_HOST") {
                return Ok(host.parse::<Target>()?.with_tls(tls));
            }
            set("DOCKER_CONTEXT").or_else(|| current(dir.as_deref()))
        }
    };
    match named.as_deref() {
        None | Some("default") => Ok(DEFAULT.parse::<Target>()?.with_tls(tls)),
        Some(name) => {
            let dir = dir
                .ok_or_else(|| Error::Target(format!("context {name:?}: no home directory to find it in")))?;
            Ok(stored(&dir, name)?.with_tls(tls))
        }
    }
}

/// `currentContext` of `config.json`.
fn current(dir: Option<&Path>) -> Option<String> {
    let text = std::fs::read_to_string(dir?.join("config.json")).ok()?;
    let config: Value = serde_json::from_str(&text).ok()?;
    config["currentContext"]
        .as_str()
        .filter(|c| !c.is_empty())
        .map(str::to_owned)
}

/// A context as the docker CLI stores it: `contexts/meta/<id>/meta.json`, TLS files in `contexts/tls/<id>/docker/`.
/// The id is a hash of the name; looking at each one's name needs no hash.
fn stored(dir: &Path, name: &str) -> Result<Target> {
    let missing = || {
        Error::Target(format!(
            "context {name:?}: context not found in {}",
            dir.join("contexts/meta").display()
        ))
    };
    for entry in std::fs::read_dir(dir.join("contexts/meta"))
        .map_err(|_| missing())?
        .flatten()
    {
        let Ok(text) = std::fs::read_to_string(entry.path().join("meta.json")) else {
            continue;
        };
        let Ok(meta) = serde_json::from_str::<Value>(&text) else {
            continue;
        };
        if meta["Name"] != name {
            continue;
        }
        let endpoint = &meta["Endpoints"]["docker"];
        let host = endpoint["Host"]
            .as_str()
            .filter(|h| !h.is_empty())
            .unwrap_or(DEFAULT);
        let tls = dir.join("contexts/tls").join(entry.file_name()).join("docker");
        let verify = endpoint["SkipTLSVerify"] != true;
        let files = tls.is_dir().then(|| TlsFiles::in_dir(&tls, verify));
        return Ok(host.parse::<Target>()?.with_tls(files));
    }
    Err(missing())
}
