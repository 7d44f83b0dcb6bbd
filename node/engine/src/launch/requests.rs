//! Device requests (`--gpus`, `--device vendor.com/class=name`), met by what vendors describe on this host.

use super::devices;
use crate::error::{Result, invalid, system};
use oci_spec::runtime::LinuxDevice;
use shoal_api_types::container::{DeviceMapping, DeviceRequest};
use shoal_node_core_host::cdi::{Devices, Node};
use shoal_node_core_host::ocispec::{Device, Mount};
use std::path::{Path, PathBuf};

const FILE_BYTES_MAX: u64 = 4 << 20;
/// The devices that `--gpus` means.
const GPUS: &str = "nvidia.com/gpu";

/// What a container gets for its requests.
#[derive(Default)]
pub struct Granted {
    pub env: Vec<String>,
    pub devices: Vec<Device>,
    pub mounts: Vec<Mount>,
    pub groups: Vec<u32>,
}

/// `dirs` are where descriptions lie; what lies in the later one wins.
pub fn grant(requests: &[DeviceRequest], dirs: &[PathBuf]) -> Result<Granted> {
    if requests.is_empty() {
        return Ok(Granted::default());
    }
    let described = read(dirs);
    let mut names = Vec::new();
    for request in requests {
        names.extend(named(request, &described)?);
    }
    let edits = described.edits(&names).map_err(system)?;
    let mut out = Granted {
        env: edits.env,
        groups: edits.additional_gids,
        ..Granted::default()
    };
    for node in &edits.device_nodes {
        out.devices.extend(device(node)?);
    }
    out.mounts = edits
        .mounts
        .into_iter()
        .map(|mount| Mount::Given {
            source: mount.host_path.into(),
            kind: if mount.kind.is_empty() {
                "bind".into()
            } else {
                mount.kind
            },
            destination: mount.container_path,
            options: if mount.options.is_empty() {
                ["rbind", "rprivate"].map(String::from).to_vec()
            } else {
                mount.options
            },
        })
        .collect();
    Ok(out)
}

/// Which described devices a request means.
fn named(request: &DeviceRequest, described: &Devices) -> Result<Vec<String>> {
    if request.driver == "cdi" {
        return Ok(request.device_ids.to_vec());
    }
    let gpu = request
        .capabilities
        .iter()
        .any(|set| set.iter().any(|c| c == "gpu"));
    let gpus = matches!(request.driver.as_str(), "" | "nvidia") && gpu;
    if gpus && described.has(&format!("{GPUS}=all")) {
        let wanted: Vec<String> = match (request.device_ids.as_slice(), request.count) {
            ([], 0 | -1) => vec!["all".into()],
            ([], count) => (0..count.max(0)).map(|n| n.to_string()).collect(),
            (ids, _) => ids.to_vec(),
        };
        return Ok(wanted.iter().map(|name| format!("{GPUS}={name}")).collect());
    }
    let sets: Vec<String> = request
        .capabilities
        .iter()
        .map(|set| format!("[{}]", set.join(" ")))
        .collect();
    Err(invalid(format!(
        "could not select device driver {:?} with capabilities: [{}]",
        request.driver,
        sets.join(" ")
    )))
}

fn device(node: &Node) -> Result<Vec<Device>> {
    let host = if node.host_path.is_empty() {
        &node.path
    } else {
        &node.host_path
    };
    let mapping = DeviceMapping {
        path_on_host: host.clone(),
        path_in_container: node.path.clone(),
        cgroup_permissions: node.permissions.clone(),
    };
    let mut found = devices::asked(&mapping)?;
    for device in &mut found {
        let node_of: &mut LinuxDevice = &mut device.node;
        if node.file_mode.is_some() {
            node_of.set_file_mode(node.file_mode);
        }
        if node.uid.is_some() {
            node_of.set_uid(node.uid);
        }
        if node.gid.is_some() {
            node_of.set_gid(node.gid);
        }
    }
    Ok(found)
}

fn read(dirs: &[PathBuf]) -> Devices {
    let mut out = Devices::default();
    for dir in dirs {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let mut paths: Vec<_> = entries.map(|e| e.path()).collect();
        paths.sort();
        for path in paths {
            let read = match path.extension().and_then(|e| e.to_str()) {
                Some("json") => text(&path).and_then(|text| out.add(&text)),
                Some("yaml" | "yml") => Err("only JSON is read".into()),
                _ => continue,
            };
            if let Err(error) = read {
                tracing::warn!(path = %path.display(), %error, "a description of devices is left out");
            }
        }
    }
    out
}

fn text(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(path).map_err(|e| e.to_string())
}
