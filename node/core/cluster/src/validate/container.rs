//! The container inside a service.

use super::{Invalid, invalid};
use serde_json::Value;
use shoal_raft_objects::ContainerSpec;
use std::collections::{BTreeMap, BTreeSet};

pub fn check(spec: &ContainerSpec) -> Result<(), Invalid> {
    if spec.image.is_empty() {
        return invalid("ContainerSpec: image reference must be provided");
    }
    if !is_reference(&spec.image) {
        return invalid(format!(
            "ContainerSpec: {:?} is not a valid repository/tag",
            spec.image
        ));
    }
    if spec.stop_grace_period.is_some_and(|n| n < 0) {
        return invalid("ContainerSpec: stop-grace-period cannot be negative");
    }
    mounts(spec)?;
    targets(spec, "Secrets", "SecretID", "SecretName", "secret")?;
    targets(spec, "Configs", "ConfigID", "ConfigName", "config")
}

fn mounts(spec: &ContainerSpec) -> Result<(), Invalid> {
    let mut targets = BTreeSet::new();
    for mount in members(spec, "Mounts") {
        let target = text(mount, "Target");
        if target.is_empty() {
            return invalid("ContainerSpec: mount target must not be empty");
        }
        if !targets.insert(target) {
            return invalid(format!("ContainerSpec: duplicate mount point: {target}"));
        }
    }
    Ok(())
}

/// References must be whole, and no two may put a file in the same place.
fn targets(spec: &ContainerSpec, member: &str, id: &str, name: &str, kind: &str) -> Result<(), Invalid> {
    let mut targets: BTreeMap<&str, &str> = BTreeMap::new();
    for reference in members(spec, member) {
        let (id, name) = (text(reference, id), text(reference, name));
        if id.is_empty() || name.is_empty() {
            return invalid(format!("malformed {kind} reference"));
        }
        let Some(file) = reference.get("File").filter(|f| !f.is_null()) else {
            continue;
        };
        let target = text(file, "Name");
        if target.is_empty() {
            return invalid(format!(
                "malformed file {kind} reference, invalid target file name provided"
            ));
        }
        if let Some(other) = targets.insert(target, name) {
            return invalid(format!(
                "{kind} references '{other}' and '{name}' have a conflicting target: '{target}'"
            ));
        }
    }
    Ok(())
}

fn members<'a>(spec: &'a ContainerSpec, member: &str) -> impl Iterator<Item = &'a Value> {
    spec.rest
        .get(member)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or("")
}

/// `[host[:port]/]path[:tag][@digest]`, by form alone.
fn is_reference(image: &str) -> bool {
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    let digest_ok = digest.is_none_or(|digest| {
        digest.split_once(':').is_some_and(|(algorithm, hex)| {
            !algorithm.is_empty() && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
        })
    });
    // A colon after the last slash begins the tag; one before it is a registry's port.
    let (name, tag) = match rest.rfind(':') {
        Some(at) if !rest[at..].contains('/') => (&rest[..at], Some(&rest[at + 1..])),
        _ => (rest, None),
    };
    let tag_ok = tag.is_none_or(|tag| {
        !tag.is_empty()
            && tag.len() <= 128
            && !tag.starts_with(['.', '-'])
            && tag
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
    });
    let mut parts: Vec<&str> = name.split('/').collect();
    let host = parts[0];
    let has_host = parts.len() > 1
        && (host.contains(['.', ':']) || host == "localhost" || host.bytes().any(|b| b.is_ascii_uppercase()));
    if has_host {
        parts.remove(0);
    }
    let part_ok = |part: &&str| {
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = part.as_bytes();
        edge(bytes.first())
            && edge(bytes.last())
            && bytes
                .iter()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
    };
    digest_ok && tag_ok && name.len() <= 255 && parts.iter().all(part_ok)
}
