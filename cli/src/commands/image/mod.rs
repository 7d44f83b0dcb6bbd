//! `shoal image …` and its short forms.

pub mod archive;
mod ls;
mod pull;
mod push;
mod search;
mod simple;
mod tree;

use crate::app::Leaf;
use crate::commands::parse::{list, many};
use crate::credentials;
use anyhow::{Result, bail};
use clap::{Arg, ArgMatches};
use http::HeaderMap;
use shoal_api_client::query;

pub fn leaves() -> Vec<Leaf> {
    let mut all = simple::leaves();
    all.extend([
        ls::leaf(),
        pull::leaf(),
        push::leaf(),
        search::leaf(),
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

/// `linux/arm64/v8` as the API wants it.
pub fn platform(text: &str) -> Result<String> {
    let parts: Vec<&str> = text.split('/').collect();
    let (os, architecture, variant) = match parts[..] {
        [os, architecture] => (os, architecture, ""),
        [os, architecture, variant] => (os, architecture, variant),
        _ => bail!("{text:?} is no platform: os/architecture[/variant]"),
    };
    let mut value = serde_json::json!({"os": os, "architecture": architecture});
    if !variant.is_empty() {
        value["variant"] = variant.into();
    }
    Ok(value.to_string())
}

/// `--platform`, of which there may be several, each as a query has it under `key`.
pub fn platforms(matches: &ArgMatches, key: &str) -> Result<Vec<(String, String)>> {
    let each = list(matches, "platform");
    let each = each.iter().flat_map(|text| text.split(','));
    each.map(|text| Ok((key.to_owned(), platform(text)?))).collect()
}

/// The flag.
pub fn platform_arg(help: &'static str) -> Arg {
    many("platform", help).value_name("stringSlice")
}

/// A path with more to its query.
pub fn with_query(path: &str, more: &[(String, String)]) -> String {
    let pairs: Vec<_> = more
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let own = query("", &pairs);
    match path.contains('?') {
        true => format!("{path}{}", own.replacen('?', "&", 1)),
        false => format!("{path}{own}"),
    }
}

/// `X-Registry-Auth` for an image's registry.
pub fn auth(image: &str) -> HeaderMap {
    credentials::header(&credentials::registry_of(image))
}
