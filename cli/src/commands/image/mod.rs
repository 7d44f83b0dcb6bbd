//! `shoal image …` and its short forms.

pub mod archive;
mod ls;
mod pull;
mod push;
mod search;
mod simple;

use crate::app::Leaf;
use crate::credentials;
use http::HeaderMap;

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

/// `X-Registry-Auth` for an image's registry.
pub fn auth(image: &str) -> HeaderMap {
    credentials::header(&credentials::registry_of(image))
}
