//! The request: what it says of the container itself.

use super::health::health;
use super::host::host_config;
use super::ports::expand;
use crate::commands::parse::*;
use anyhow::{Context, Result};
use clap::ArgMatches;
use serde_json::{Map, Value as Json, json};

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

/// A relative source is relative to our own folder, not the daemon's.
fn absolute_bind(spec: &str) -> Result<String> {
    if spec.starts_with("./") || spec.starts_with("../") || spec.starts_with(".:") {
        let (source, rest) = spec.split_once(':').unwrap_or((spec, ""));
        let full = std::path::absolute(source).with_context(|| format!("resolving {source}"))?;
        return Ok(format!("{}:{rest}", full.display()));
    }
    Ok(spec.to_owned())
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
