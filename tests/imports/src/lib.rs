//! The shape of the house as a test: who may import whom, which licences and sources come in.
//!
//! Reads `cargo metadata` only; holds the tables that ARCHITECTURE.md explains in words. Nobody imports this crate.

pub mod advisories;

use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;

/// A package of the workspace: its normal dependencies that are ours, and those that are not.
#[derive(Debug, Default)]
pub struct Package {
    pub ours: Vec<String>,
    pub others: Vec<String>,
}

/// `cargo metadata` of this workspace.
pub fn metadata() -> Value {
    let out = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output()
        .expect("cargo metadata runs");
    assert!(
        out.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    serde_json::from_slice(&out.stdout).expect("cargo metadata prints JSON")
}

/// Every workspace package by name. Build and dev dependencies are left out: only what ships counts.
pub fn packages(metadata: &Value) -> BTreeMap<String, Package> {
    let mut found = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("name");
        if !package["source"].is_null() {
            continue;
        }
        let entry: &mut Package = found.entry(name.to_owned()).or_default();
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            if !dependency["kind"].is_null() {
                continue;
            }
            let target = dependency["name"].as_str().expect("name").to_owned();
            if dependency["path"].is_null() {
                entry.others.push(target)
            } else {
                entry.ours.push(target)
            }
        }
    }
    found
}
