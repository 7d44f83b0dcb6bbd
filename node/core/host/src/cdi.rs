//! Devices that their vendors describe: the Container Device Interface (CDI), whose specifications lie as files on the host
//! and say what a container needs to use a device: nodes, mounts, environment, groups.

use serde::Deserialize;

/// One file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    /// `vendor.com/class`
    kind: String,
    devices: Vec<Device>,
    container_edits: Edits,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Device {
    name: String,
    container_edits: Edits,
}

/// What is to be changed of a container.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Edits {
    /// `NAME=value`
    pub env: Vec<String>,
    pub device_nodes: Vec<Node>,
    pub mounts: Vec<Mount>,
    #[serde(rename = "additionalGIDs", alias = "additionalGids")]
    pub additional_gids: Vec<u32>,
    /// Programs to be run; this engine runs none.
    pub hooks: Vec<serde_json::Value>,
    pub net_devices: Vec<serde_json::Value>,
    pub intel_rdt: Option<serde_json::Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Node {
    /// In the container.
    pub path: String,
    /// On the host; empty is the same.
    pub host_path: String,
    /// Some of `rwm`; empty is all.
    pub permissions: String,
    pub file_mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mount {
    pub host_path: String,
    pub container_path: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub options: Vec<String>,
}

/// What this host describes.
#[derive(Clone, Debug, Default)]
pub struct Devices {
    specs: Vec<Spec>,
}

impl Devices {
    /// Takes one file in, or says what is wrong with it. A later one wins over those before it.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let spec: Spec = serde_json::from_str(text).map_err(|e| e.to_string())?;
        match spec.kind.split_once('/') {
            Some((vendor, class)) if !vendor.is_empty() && !class.is_empty() => {
                self.specs.push(spec);
                Ok(())
            }
            _ => Err(format!("invalid kind {:?}, it must be vendor/class", spec.kind)),
        }
    }

    /// Whether there is such a device.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<(usize, &Device)> {
        let (kind, device) = name.split_once('=')?;
        let specs = self
            .specs
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, s)| s.kind == kind);
        specs
            .filter_map(|(i, s)| s.devices.iter().find(|d| d.name == device).map(|d| (i, d)))
            .next()
    }

    /// What these devices need, each file's own part once; Docker's words when one is not to be had.
    pub fn edits(&self, names: &[String]) -> Result<Edits, String> {
        let fail = |why: String| format!("CDI device injection failed: {why}");
        let unknown: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|n| !self.has(n))
            .collect();
        if !unknown.is_empty() {
            return Err(fail(format!("unresolvable CDI devices {}", unknown.join(", "))));
        }
        let mut out = Edits::default();
        let mut used = Vec::new();
        for (index, device) in names.iter().filter_map(|n| self.find(n)) {
            if !used.contains(&index) {
                used.push(index);
                out.merge(&self.specs[index].container_edits);
            }
            out.merge(&device.container_edits);
        }
        for (there, what) in [
            (!out.hooks.is_empty(), "hooks"),
            (!out.net_devices.is_empty(), "network devices"),
            (out.intel_rdt.is_some(), "Intel RDT"),
        ] {
            if there {
                return Err(fail(format!(
                    "the specification of {} asks for {what}, which this engine does not have",
                    names.join(", ")
                )));
            }
        }
        Ok(out)
    }
}

impl Edits {
    fn merge(&mut self, other: &Edits) {
        self.env.extend(other.env.iter().cloned());
        self.device_nodes.extend(other.device_nodes.iter().cloned());
        self.mounts.extend(other.mounts.iter().cloned());
        self.additional_gids.extend(&other.additional_gids);
        self.hooks.extend(other.hooks.iter().cloned());
        self.net_devices.extend(other.net_devices.iter().cloned());
        self.intel_rdt = self.intel_rdt.take().or_else(|| other.intel_rdt.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = r#"{"cdiVersion":"0.6.0","kind":"acme.com/toy",
        "containerEdits":{"env":["ALL=1"]},
        "devices":[
            {"name":"a","containerEdits":{"env":["A=1"],"deviceNodes":[{"path":"/dev/toy","hostPath":"/dev/null","permissions":"rw"}],
                "mounts":[{"hostPath":"/etc","containerPath":"/toy","options":["ro"]}],"additionalGids":[77]}},
            {"name":"h","containerEdits":{"hooks":[{"hookName":"prestart","path":"/x"}]}}]}"#;

    fn edits(names: &[&str]) -> Result<Edits, String> {
        let mut devices = Devices::default();
        devices.add(SPEC).expect("read");
        devices.edits(&names.iter().map(|n| n.to_string()).collect::<Vec<_>>())
    }

    #[test]
    fn a_device_brings_what_it_needs_and_its_files_part_once() {
        let e = edits(&["acme.com/toy=a", "acme.com/toy=a"]).expect("there");
        assert_eq!(e.env, ["ALL=1", "A=1", "A=1"]);
        assert_eq!(e.additional_gids, [77, 77]);
        assert_eq!(
            (
                e.device_nodes[0].path.as_str(),
                e.mounts[0].container_path.as_str()
            ),
            ("/dev/toy", "/toy")
        );
    }

    #[test]
    fn what_is_unknown_or_impossible_is_named() {
        assert_eq!(
            edits(&["acme.com/toy=a", "acme.com/toy=b", "x"]).unwrap_err(),
            "CDI device injection failed: unresolvable CDI devices acme.com/toy=b, x"
        );
        assert!(edits(&["acme.com/toy=h"]).unwrap_err().contains("asks for hooks"));
        assert!(Devices::default().add(r#"{"kind":"x"}"#).is_err());
    }
}
