//! Docker's `config.json`: who we are towards which registry. Written so that the stock CLI finds it as it left it.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value as Json, json};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub const HUB: &str = "https://index.docker.io/v1/";

/// What is known of one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: String,
    pub identity: String,
}

/// The key under which a registry stands in the file: the Hub has an old address of its own.
pub fn key(server: &str) -> String {
    let host = server
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    let host = host.split('/').next().unwrap_or_default();
    match host {
        "" | "docker.io" | "index.docker.io" | "registry-1.docker.io" => HUB.to_owned(),
        host => host.to_owned(),
    }
}

/// The registry that an image's name leads to.
pub fn registry_of(image: &str) -> String {
    let first = image.split('/').next().unwrap_or_default();
    let named = image.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    key(if named { first } else { "" })
}

/// `X-Registry-Auth` for a registry; empty without credentials.
pub fn header(registry: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some(found) = find(registry) else {
        return headers;
    };
    let text = json!({
        "username": found.username, "password": found.password, "serveraddress": registry, "identitytoken": found.identity,
    });
    if let Ok(value) = HeaderValue::from_str(&URL_SAFE.encode(text.to_string())) {
        headers.insert("X-Registry-Auth", value);
    }
    headers
}

/// What the file, or the helper that it names, knows of a registry.
pub fn find(registry: &str) -> Option<Credentials> {
    let config = read().ok()?;
    if let Some(helper) = helper(&config, registry) {
        return from_helper(&helper, registry);
    }
    let entry = config["auths"]
        .get(registry)
        .or_else(|| config["auths"].get(format!("https://{registry}")))?;
    let decoded = STANDARD.decode(entry["auth"].as_str().unwrap_or_default()).ok()?;
    let pair = String::from_utf8(decoded).ok()?;
    let (username, password) = pair.split_once(':').unwrap_or((&pair, ""));
    Some(Credentials {
        username: username.to_owned(),
        password: password.trim_end_matches('\0').to_owned(),
        identity: entry["identitytoken"].as_str().unwrap_or_default().to_owned(),
    })
}

pub fn store(registry: &str, credentials: &Credentials) -> Result<()> {
    let mut config = read()?;
    if let Some(helper) = helper(&config, registry) {
        let secret = json!({
            "ServerURL": registry,
            "Username": if credentials.identity.is_empty() { &credentials.username } else { "<token>" },
            "Secret": if credentials.identity.is_empty() { &credentials.password } else { &credentials.identity },
        });
        return ask(&helper, "store", &secret.to_string()).map(drop);
    }
    let mut entry = Map::new();
    let password = if credentials.identity.is_empty() {
        &credentials.password
    } else {
        ""
    };
    let pair = format!("{}:{password}", credentials.username);
    entry.insert("auth".into(), json!(STANDARD.encode(pair)));
    if !credentials.identity.is_empty() {
        entry.insert("identitytoken".into(), json!(credentials.identity));
    }
    let Some(members) = config.as_object_mut() else {
        bail!("the configuration file is no JSON object");
    };
    let auths = members.entry("auths").or_insert_with(|| json!({}));
    match auths.as_object_mut() {
        Some(auths) => drop(auths.insert(registry.to_owned(), Json::Object(entry))),
        None => bail!("\"auths\" in the configuration file is no object"),
    }
    write(&config)
}

/// False if there was nothing to forget.
pub fn erase(registry: &str) -> Result<bool> {
    let mut config = read()?;
    if let Some(helper) = helper(&config, registry) {
        return ask(&helper, "erase", registry).map(|_| true);
    }
    let known = |auths: &mut Map<String, Json>| {
        let both = [registry.to_owned(), format!("https://{registry}")];
        both.iter().filter_map(|key| auths.remove(key)).count() > 0
    };
    match config["auths"].as_object_mut().is_some_and(known) {
        true => write(&config).map(|()| true),
        false => Ok(false),
    }
}

fn path() -> Result<PathBuf> {
    let set = |name: &str| {
        std::env::var(name)
            .ok()
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let dir = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")));
    Ok(dir
        .context("neither DOCKER_CONFIG nor HOME is set")?
        .join("config.json"))
}

fn read() -> Result<Json> {
    let path = path()?;
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => Ok(json!({})),
        Ok(text) => serde_json::from_str(&text).with_context(|| format!("reading {}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(json!({})),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// Whole or not at all, and for nobody else's eyes.
fn write(config: &Json) -> Result<()> {
    let path = path()?;
    // Where it is a link, what it leads to is replaced.
    let path = std::fs::canonicalize(&path).unwrap_or(path);
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let aside = path.with_extension(format!("json{}", std::process::id()));
    let written = (|| {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&aside)?;
        let mut text = Vec::new();
        let style = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        serde::Serialize::serialize(
            config,
            &mut serde_json::Serializer::with_formatter(&mut text, style),
        )?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&aside, &path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&aside);
    }
    written.with_context(|| format!("writing {}", path.display()))
}

fn helper(config: &Json, registry: &str) -> Option<String> {
    let own = config["credHelpers"].get(registry).and_then(Json::as_str);
    let name = own
        .or(config["credsStore"].as_str())
        .filter(|name| !name.is_empty())?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.chars()
        .all(plain)
        .then(|| format!("docker-credential-{name}"))
}

fn from_helper(helper: &str, registry: &str) -> Option<Credentials> {
    let answer: Json = serde_json::from_str(&ask(helper, "get", registry).ok()?).ok()?;
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    Some(match answer["Username"].as_str() {
        Some("<token>") => Credentials {
            identity: text("Secret"),
            ..Credentials::default()
        },
        _ => Credentials {
            username: text("Username"),
            password: text("Secret"),
            identity: String::new(),
        },
    })
}

fn ask(helper: &str, verb: &str, input: &str) -> Result<String> {
    let mut child = Command::new(helper)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .with_context(|| format!("running {helper}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let out = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    match out.status.success() {
        true => Ok(text),
        false => bail!("{helper} {verb}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_have_one_key_each() {
        for (server, wanted) in [
            ("", HUB),
            ("docker.io", HUB),
            ("https://index.docker.io/v1/", HUB),
            ("http://reg.lan:5000/v2/", "reg.lan:5000"),
        ] {
            assert_eq!(key(server), wanted);
        }
        for (image, wanted) in [
            ("busybox", HUB),
            ("a/b:1", HUB),
            ("localhost/a", "localhost"),
            ("reg.lan:5000/a/b", "reg.lan:5000"),
        ] {
            assert_eq!(registry_of(image), wanted);
        }
    }
}
