//! The request: what it says of the container itself.

use super::{args::OPTIONS, health::health, host::host_config, networks::endpoints, ports::expand};
use crate::commands::options::lay;
use crate::commands::parse::*;
use anyhow::{Context, Result, bail};
use clap::ArgMatches;
use serde_json::{Map, Value as Json, json};

/// The body of `POST /containers/create`. `attach` is whether the client stays attached (a foreground run).
pub fn request(m: &ArgMatches, attach: bool) -> Result<Json> {
    let mut body = json!({"Image": required(m, "image")?, "HostConfig": {}});
    lay(m, OPTIONS, &mut body)?;
    let command = list(m, "command");
    if !command.is_empty() {
        body["Cmd"] = json!(command);
    }
    if let Some(entrypoint) = text(m, "entrypoint") {
        // An empty one resets the image's.
        body["Entrypoint"] = json!([entrypoint]);
    }
    body["Env"] = json!(environment(&with_files(m, "env-file", "env")?));
    body["Labels"] = Json::Object(pairs(&with_files(m, "label-file", "label")?));
    let wanted = streams(m, attach)?;
    body["AttachStdin"] = Json::from(wanted.stdin);
    body["AttachStdout"] = Json::from(wanted.stdout);
    body["AttachStderr"] = Json::from(wanted.stderr);
    body["StdinOnce"] = Json::from(wanted.stdin);
    health(m, &mut body)?;
    let (mut exposed, mut bindings) = (Map::new(), Map::new());
    for spec in list(m, "expose") {
        for (port, _, _) in expand(&spec)? {
            exposed.insert(port, json!({}));
        }
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
    body["ExposedPorts"] = Json::Object(exposed);
    body["Volumes"] = Json::Object(volumes);
    body["HostConfig"]["Binds"] = json!(binds);
    body["HostConfig"]["PortBindings"] = Json::Object(bindings);
    host_config(m, &mut body["HostConfig"])?;
    let endpoints = endpoints(m)?;
    if !endpoints.is_empty() {
        body["NetworkingConfig"] = json!({"EndpointsConfig": endpoints});
    }
    Ok(body)
}

/// Which of the process's streams the client takes.
pub struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

/// `--attach` names them; without it a foreground run takes what there is.
pub fn streams(m: &ArgMatches, attach: bool) -> Result<Streams> {
    let named = list(m, "attach");
    if named.is_empty() {
        return Ok(Streams {
            stdin: attach && on(m, "interactive"),
            stdout: attach,
            stderr: attach,
        });
    }
    let mut streams = Streams {
        stdin: false,
        stdout: false,
        stderr: false,
    };
    for name in named {
        match name.to_lowercase().as_str() {
            "stdin" => streams.stdin = true,
            "stdout" => streams.stdout = true,
            "stderr" => streams.stderr = true,
            _ => bail!(
                "invalid argument {name:?} for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR"
            ),
        }
    }
    Ok(streams)
}

/// The lines of the files first, so that what is given by itself wins.
pub fn with_files(m: &ArgMatches, files: &str, flag: &str) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for file in list(m, files) {
        all.extend(lines_of(&file)?);
    }
    all.extend(list(m, flag));
    Ok(all)
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
