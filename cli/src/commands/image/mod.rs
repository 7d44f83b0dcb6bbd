//! `shoal image …` and its short forms.

pub mod archive;
mod ls;
mod pull;
mod simple;

use crate::app::Leaf;
use base64::Engine;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value as Json, json};

pub fn leaves() -> Vec<Leaf> {
    let mut all = simple::leaves();
    all.extend([
        ls::leaf(),
        pull::leaf(),
        archive::load(),
        archive::save(),
        archive::import(),
    ]);
    all
}

/// `name` → `name:latest`; digests and tags stay.
pub fn with_tag(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if name.contains('@') || last.contains(':') {
        name.to_owned()
    } else {
        format!("{name}:latest")
    }
}

/// `X-Registry-Auth` for an image's registry, from `config.json`'s `auths` where it holds credentials.
pub fn auth(image: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(value) = credentials(image).and_then(|v| HeaderValue::from_str(&v).ok()) {
        headers.insert("X-Registry-Auth", value);
    }
    headers
}

fn credentials(image: &str) -> Option<String> {
    let first = image.split('/').next().unwrap_or_default();
    let registry = if image.contains('/') && (first.contains(['.', ':']) || first == "localhost") {
        first
    } else {
        "https://index.docker.io/v1/"
    };
    let dir = std::env::var("DOCKER_CONFIG")
        .ok()
        .map(std::path::PathBuf::from)
        .or_else(|| {
            std::env::var("HOME")
                .ok()
                .map(|home| std::path::Path::new(&home).join(".docker"))
        })?;
    let config: Json = serde_json::from_str(&std::fs::read_to_string(dir.join("config.json")).ok()?).ok()?;
    let entry = config["auths"]
        .get(registry)
        .or_else(|| config["auths"].get(format!("https://{registry}")))?;
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(entry["auth"].as_str()?)
        .ok()?;
    let pair = String::from_utf8(decoded).ok()?;
    let (user, password) = pair.split_once(':')?;
    let auth = json!({"username": user, "password": password, "serveraddress": registry, "identitytoken": entry["identitytoken"].as_str().unwrap_or_default()});
    Some(base64::engine::general_purpose::URL_SAFE.encode(auth.to_string()))
}
